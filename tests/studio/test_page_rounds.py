"""Whole sessions in a real browser, drawn with the mouse: `make test-browser`."""

from pathlib import Path

import numpy as np
import pytest
from page_bench import FRAMES, HEIGHT, SIDE, WIDTH, Served, Tab, corner, line, middle

from siaf.session.state_file import read_masks, read_summary

pytestmark = pytest.mark.browser


def overlap(served: Served, tag: int, frame: int, square: int | None = None) -> float:
    """Intersection over union of an object's mask with a square, by default its own."""
    left, top = corner(tag if square is None else square, frame)
    truth = np.zeros((HEIGHT, WIDTH), bool)
    truth[top : top + SIDE, left : left + SIDE] = True
    found = served.bitmaps(frame).get(tag, np.zeros_like(truth))
    return float((found & truth).sum() / (found | truth).sum())


def test_three_objects_from_the_first_stroke_to_the_exported_file(tab: Tab, served: Served, tmp_path: Path) -> None:
    page = tab.page
    assert "Draw a line" in tab.said
    for tag, frame in ((1, 0), (2, 6), (3, 11)):
        tab.scribble(tag, frame)
    assert tab.drafts == [0, 6, 11]
    assert served.session()["rounds"] == 0  # a preview changes nothing
    assert "3 frames" in page.inner_text("#commit")

    tab.reload()  # in the middle
    assert tab.drafts == [0, 6, 11]
    assert "is here again" in tab.said
    tab.commit(1)
    assert tab.drafts == []
    assert "Round 1: 3 frames done" in tab.said
    for tag, frame in ((1, 0), (2, 6), (3, 11)):
        assert overlap(served, tag, frame) > 0.7
    assert served.session()["interacted"] == {"0": [1], "6": [1], "11": [1]}

    tab.propagate()
    for tag in (1, 2, 3):
        assert np.mean([overlap(served, tag, frame) for frame in range(FRAMES)]) > 0.6
    tab.go(3)
    tab.masked("propagated")
    assert "%" in page.inner_text("#objects [data-tag='1'] .sure")

    tab.scribble(1, 3)  # a correction
    tab.commit(2)
    tab.masked("drawn")
    tab.propagate()
    before = served.everything()
    assert served.session()["interacted"]["3"] == [2]

    tab.go(6)
    tab.choose(1, "Swap with another")
    page.select_option("dialog select", "2")
    page.click("dialog.ask button.primary")
    tab.wait(rounds=3, busy="")
    assert "Objects 1 and 2 are swapped from frame 6 on" in tab.said
    for frame in range(FRAMES):
        now, was = served.bitmaps(frame), before[frame]
        one, two = (2, 1) if frame >= 6 else (1, 2)
        assert (now[1].tobytes(), now[2].tobytes()) == (was[one], was[two])

    page.click("#undo-round")
    tab.wait(rounds=2, busy="")
    assert "Shift+Enter takes it to" in tab.said  # the frames that nobody drew on
    tab.propagate()
    assert served.everything() == before

    page.click("#export")
    with page.expect_download() as download:
        page.click(".menu >> text=SIAF session")
    download.value.save_as(tmp_path / "exported.siaf")
    exported = read_masks((tmp_path / "exported.siaf").read_bytes())
    for frame in range(FRAMES):
        assert {tag: (exported.masks[frame] == tag).tobytes() for tag in (1, 2, 3)} == before[frame]
    tab.hears("clip.siaf is saved")


def test_the_masks_of_a_frame_are_shown_as_it_is_done(tab: Tab, served: Served) -> None:
    tab.scribble(1, 5)
    tab.press("Shift+Enter")  # commits first
    tab.wait(rounds=1)
    tab.go(4)
    tab.masked("propagated")
    tab.hears("All frames are done")
    assert served.masked() == set(range(FRAMES))


def test_a_propagation_is_stopped_and_goes_on(tab: Tab, served: Served) -> None:
    tab.scribble(1, 0)
    tab.commit(1)
    tab.press("Shift+Enter")
    tab.wait(running=True)
    tab.press("Shift+Escape")
    tab.wait(running=False, busy="")
    assert "Stopped" in tab.said
    done = served.session()["propagation"]["done"]
    assert done < FRAMES - 1
    assert tab.page.inner_text("#propagate") == ("Go on" if done else "Propagate")
    tab.propagate()
    assert served.masked() == set(range(FRAMES))


def test_a_negative_stroke_takes_away(tab: Tab, served: Served) -> None:
    tab.scribble(1, 0)
    tab.draw(line(2, 0), button="right")
    tab.press("x")
    tab.wait(negative=True)
    tab.draw(line(3, 0))
    tab.press("x")
    tab.wait(negative=False)
    tab.commit(1)
    (drawn,) = served.session()["strokes"]
    assert [stroke["polarity"] for stroke in drawn["strokes"]] == ["positive", "negative", "negative"]
    assert {stroke["tag"] for stroke in drawn["strokes"]} == {1}
    mask = served.bitmaps(0)[1]
    for tag, expected in ((1, True), (2, False), (3, False)):
        x, y = middle(tag, 0)
        assert mask[int(y), int(x)] == expected


def test_a_mask_painted_by_hand_becomes_a_reference(tab: Tab, served: Served) -> None:
    tab.scribble(1, 0)
    tab.commit(1)
    tab.propagate()
    tab.go(4)
    tab.masked("propagated")
    before = served.bitmaps(4)[1]
    tab.press("p")
    tab.draw([(6, 70), (30, 70)])
    tab.masked("painted")
    tab.press("e", "[", "[")
    x, y = middle(1, 4)
    tab.draw([(x - 3, y), (x + 3, y)])
    assert tab.drafts == [4]
    tab.press("Control+z", "Control+Shift+z")
    tab.commit(2)
    assert served.session()["references"] == [4]
    after = served.bitmaps(4)[1]
    assert after[70, 8:28].all()  # as painted, though nothing is there
    assert not after[int(y), int(x)]
    assert before[int(y), int(x)]
    tab.masked("drawn")


def test_clicks_and_boxes_say_where_an_object_is(tab: Tab, served: Served) -> None:
    tab.press("r", "1")
    left, top = corner(1, 0)
    tab.draw([(left - 1, top - 1), (left + SIDE + 1, top + SIDE + 1)])
    tab.masked("preview")
    tab.press("k", "2")
    tab.draw([middle(2, 0)])
    tab.commit(1)
    assert overlap(served, 1, 0) > 0.7
    (drawn,) = served.session()["strokes"]
    assert [(stroke["tag"], len(stroke["points"])) for stroke in drawn["strokes"]] == [(2, 1)]
    assert served.bitmaps(0)[2][int(middle(2, 0)[1]), int(middle(2, 0)[0])]


def test_strokes_are_where_the_mouse_was_however_the_picture_lies(tab: Tab, served: Served) -> None:
    page = tab.page
    at = tab.place(middle(1, 0))
    page.mouse.move(*at)
    page.mouse.wheel(0, -400)  # closer by e, to where the mouse is
    page.keyboard.down("Shift")
    page.mouse.down()
    page.mouse.move(at[0] + 50, at[1] + 30, steps=3)
    page.mouse.up()
    page.keyboard.up("Shift")
    assert tab.drafts == []
    page.mouse.down()
    page.mouse.up()
    tab.masked("preview")
    tab.commit(1)
    box = page.locator("#stage").bounding_box()
    scale = min((box["width"] - 24) / WIDTH, (box["height"] - 24) / HEIGHT)
    (drawn,) = served.session()["strokes"]
    (point,) = drawn["strokes"][0]["points"]
    assert point == pytest.approx(middle(1, 0), abs=1.5 / scale)


def test_a_frame_that_is_right_becomes_a_reference(tab: Tab, served: Served) -> None:
    tab.press("a")
    assert "no mask on this frame" in tab.said
    for tag, frame in ((1, 0), (2, 0)):
        tab.scribble(tag, frame)
    tab.press("a")
    assert "Commit what you drew" in tab.said
    tab.commit(1)
    tab.propagate()
    tab.go(4)
    tab.masked("propagated")
    before = served.bitmaps(4)
    tab.press("a")
    assert tab.drafts == [4]
    tab.press("Control+z")
    assert tab.drafts == []
    tab.press("a", "a")
    assert "taken as they are already" in tab.said
    tab.commit(2)
    assert served.session()["references"] == [4]
    after = served.bitmaps(4)
    assert before.keys() == after.keys() != set()
    assert all(np.array_equal(before[tag], after[tag]) for tag in before)
    tab.propagate()
    _, _, state = served.looking.send("GET", "/api/export/siaf")
    assert read_summary(state).adapted
