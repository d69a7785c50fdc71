"""The page by keyboard, for eyes and for screen readers: `make test-browser`."""

from typing import Any

import pytest
from page_bench import FRAMES, Served, Tab, line, middle

pytestmark = pytest.mark.browser


def test_all_but_the_strokes_by_keyboard(tab: Tab, served: Served) -> None:
    page = tab.page
    for keys, frame in (
        (["f"], 1),
        (["f", "f", "d"], 2),
        (["v"], FRAMES - 1),
        (["c"], 1),
        (["Home"], 0),
        (["End"], FRAMES - 1),
        (["Home", "d"], 0),
    ):
        tab.press(*keys)
        assert tab.frame == frame
    tab.shows(0)

    for key, tool in (("k", "click"), ("r", "box"), ("p", "brush"), ("e", "eraser"), ("n", "scribble")):
        tab.press(key)
        tab.wait(tool=tool)
        assert page.get_attribute(f"#tools [data-command='tool-{tool}']", "aria-pressed") == "true"
    width = int(page.inner_text("#tools output"))
    tab.press("]", "]", "[")
    assert int(page.inner_text("#tools output")) == width + 1

    tab.press("2")
    assert "Drawing object 2" in tab.said
    tab.press("Shift+N")
    assert "Drawing object 1" in tab.said
    tab.draw(line(1, 0))
    tab.press("f", "2")
    tab.draw(line(2, 1))
    assert tab.drafts == [0, 1]
    tab.press("Control+z")
    assert tab.drafts == [0]
    tab.press("Control+Shift+Z")
    assert tab.drafts == [0, 1]
    tab.press("Delete")
    assert tab.drafts == [0]
    tab.press("Control+z")
    assert tab.drafts == [0, 1]

    tab.commit(1)
    tab.propagate()
    tab.press("Shift+D")
    assert tab.frame == 0
    tab.press("Shift+F")
    assert tab.frame == 1
    tab.press("g")
    assert tab.frame == served.session()["suggested"][0]
    tab.press("g")
    assert tab.frame == 1

    tab.press("h")
    tab.page.wait_for_selector("#objects [data-tag='2'].out")
    tab.press("h", "s")
    tab.page.wait_for_selector("#objects [data-tag='1'].out")
    tab.press("s")
    tab.page.wait_for_selector("#objects [data-tag='1']:not(.out)")

    tab.press("?")
    assert page.is_visible("#help")
    tab.press("Enter")  # closes it, commits nothing
    assert page.is_hidden("#help")
    assert served.session()["rounds"] == 1


def test_play_goes_to_the_end_and_stops_there(tab: Tab) -> None:
    tab.press("Space")
    tab.page.wait_for_selector("#transport [aria-label='Pause']:visible")
    tab.page.wait_for_selector(f"#stage[data-shown='{FRAMES - 1}']")
    tab.page.wait_for_selector("#transport [aria-label='Play']:visible")


def test_keys_of_a_button_are_its_own(tab: Tab, served: Served) -> None:
    """Enter and Space press a button that Tab led to; after a click with the mouse they mean the round again."""
    page = tab.page
    page.focus("#tools [data-command='tool-box']")
    tab.press("Enter")
    tab.wait(tool="box")
    page.click("#tools [data-command='tool-scribble']")
    tab.draw(line(1, 0))
    tab.commit(1)
    assert served.session()["rounds"] == 1


def test_letters_in_a_field_are_letters(tab: Tab, served: Served) -> None:
    page = tab.page
    tab.scribble(1, 0)
    tab.commit(1)
    tab.choose(1, "Rename")
    page.keyboard.type("fred")
    tab.press("Enter")
    page.locator("#objects .label", has_text="fred").wait_for()
    assert tab.frame == 0
    assert served.session()["objects"][0]["label"] == "fred"
    assert served.session()["rounds"] == 1


def test_the_masks_of_before_are_shown_while_b_is_held(tab: Tab, served: Served) -> None:
    page = tab.page
    tab.scribble(1, 0)
    tab.commit(1)
    first = served.bitmaps(0)
    tab.press("2")
    tab.draw(line(2, 0))
    tab.commit(2)
    assert {tag: mask.tobytes() for tag, mask in served.bitmaps(0, "before").items()} == {
        tag: mask.tobytes() for tag, mask in first.items()
    }
    page.keyboard.down("b")
    tab.masked("before")
    page.keyboard.up("b")
    tab.masked("drawn")


def test_objects_are_merged_split_off_colored_and_removed(tab: Tab, served: Served) -> None:
    page = tab.page
    tab.scribble(1, 0)
    tab.press("2")
    tab.draw(line(2, 0))
    tab.commit(1)
    tab.propagate()
    both = served.bitmaps(3)
    tab.go(3)
    tab.choose(1, "Merge another")
    page.click("dialog.ask button.primary")
    tab.wait(rounds=2, busy="")
    assert (served.bitmaps(3)[1] == (both[1] | both[2])).all()
    assert set(served.bitmaps(2)) == {1, 2}
    page.click("#undo-round")
    tab.wait(rounds=1, busy="")
    tab.choose(2, "Split off")
    tab.hears("propagate first")
    tab.propagate()
    tab.choose(2, "Split off")
    tab.wait(rounds=2, busy="")
    assert set(served.bitmaps(3)) == {1, 3}
    tab.choose(3, "Colour")
    page.fill("dialog input[type=color]", "#12ab34")
    page.click("dialog.ask button.primary")
    tab.hears("Changed the colour")
    assert served.session()["objects"][2]["color"] == "#12ab34"
    tab.choose(1, "Remove")
    page.click("dialog.ask button.primary")
    tab.hears("Removed")
    assert [each["tag"] for each in served.session()["objects"]] == [2, 3]
    page.wait_for_selector("#objects [data-tag='1']", state="detached")


def test_ranges_and_barriers(tab: Tab, served: Served) -> None:
    tab.scribble(1, 0)
    tab.commit(1)
    tab.go(2)
    tab.press("i")
    tab.wait(busy="")
    tab.go(5)
    tab.press("o")
    tab.hears("Frames 2 to 5 are propagated to")
    assert served.session()["within"] == [2, 6]
    tab.go(4)
    tab.page.click("summary")
    tab.page.click("#barrier")
    tab.hears("Nothing crosses from frame 3 to 4")
    assert served.session()["barriers"] == [4]
    tab.propagate()
    assert served.masked() == {0, 2, 3}
    tab.page.click("#all-frames")
    tab.hears("All frames are propagated to")
    tab.page.click("#barrier")
    tab.hears("barrier at frame 4 is gone")
    assert (served.session()["within"], served.session()["barriers"]) == (None, [])


def test_a_screen_reader_finds_its_way(tab: Tab) -> None:
    """Every control that one can reach has a name; the status line is read out; Tab goes from tools to timeline."""
    page = tab.page
    nameless = page.evaluate("""() => [...document.querySelectorAll('button, input, select, canvas, a[href]')]
        .filter(e => e.checkVisibility())
        .filter(e => !(e.getAttribute('aria-label') || e.textContent.trim() || e.labels?.length))
        .map(e => e.outerHTML)""")
    assert nameless == []
    assert page.get_attribute("#status", "aria-live") == "polite"
    assert page.get_attribute("#timeline", "aria-valuenow") == "0"
    page.focus("#timeline")
    tab.press("ArrowRight")
    page.wait_for_selector("#timeline[aria-valuenow='1'][aria-valuetext='frame 1 of 11']")
    seen: list[Any] = []
    page.focus("#export") if page.is_enabled("#export") else page.focus("#top button:last-child")
    for _ in range(40):
        tab.press("Tab")
        found = page.evaluate("() => document.activeElement.closest('[id]')?.id ?? ''")
        if found not in seen:
            seen.append(found)
    order = [name for name in seen if name in ("tools", "stage", "add-object", "objects", "transport", "timeline")]
    assert order == ["tools", "stage", "add-object", "objects", "transport", "timeline"]


def test_nothing_is_asked_of_others_and_no_script_is_refused(chromium: Any, served: Served) -> None:
    context = chromium.new_context()
    page = context.new_page()
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.goto(served.url)
    page.wait_for_selector("#stage[data-shown]")
    page.wait_for_timeout(500)
    assert asked
    assert all(url.startswith(served.url) for url in asked)
    assert said == []
    context.close()


def test_an_object_that_is_hidden_stays_under_the_brush(tab: Tab, served: Served) -> None:
    tab.scribble(1, 0)
    tab.press("2")
    tab.draw(line(2, 0))
    tab.commit(1)
    tab.page.click("#objects [data-tag='1'] [data-role=eye]")
    before = served.bitmaps(0)
    tab.press("p")
    tab.draw([middle(3, 0)])
    tab.commit(2)
    assert (served.bitmaps(0)[1] == before[1]).all()
    assert served.bitmaps(0)[2][int(middle(3, 0)[1]), int(middle(3, 0)[0])]
