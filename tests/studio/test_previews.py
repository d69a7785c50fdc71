"""Previews and sketches of a round, which change nothing."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image
from studio_client import FIRST, Page, studio_on

from siaf.model.loaded import Model
from siaf.weights.loading import load_segmenter


def test_a_preview_is_what_the_round_gives_and_changes_nothing(page: Page) -> None:
    page.commit(2)
    page.propagate()
    before = page.get("session")
    shown = page.do("POST", "preview", frame=7, strokes=[FIRST])
    assert page.get("session") == before
    taken = page.commit(7, strokes=(FIRST,))
    assert shown.pop("sketch") is False
    assert taken["frames"] == [shown]
    boxed = page.do("POST", "preview", frame=1, boxes=[{"frame": 1, "tag": 3, "box": [10, 10, 30, 30]}])
    assert 3 in [mask["tag"] for mask in boxed["masks"]]
    beside = page.do("POST", "preview", frame=1, strokes=[FIRST], elsewhere=[2, 9])
    assert {mask["tag"] for mask in beside["masks"]} == {1, 2}  # 2 is an object already
    assert page.ask("POST", "preview", {"frame": 1, "strokes": [FIRST], "elsewhere": [0]})[0] == 400


def test_a_sketch_is_the_preview_where_nothing_is_looked_at_closer(page: Page) -> None:
    asked = {"frame": 7, "strokes": [FIRST]}
    assert page.do("POST", "preview", **asked, sketch=True) == page.do("POST", "preview", **asked)


def test_a_sketch_comes_without_close_ups_and_says_so(tmp_path: Path, tiny_model: Model) -> None:
    """A square of a sixth of the frame's width: a close-up shows it finer."""
    folder = tmp_path / "large"
    folder.mkdir()
    frame = np.full((480, 854, 3), 110, np.uint8)
    frame[200:280, 400:540] = (200, 60, 40)
    Image.fromarray(frame).save(folder / "0.png")
    asked = {"frame": 0, "strokes": [{"tag": 1, "points": [[420.0, 240.0], [520.0, 240.0]]}]}
    model = replace(tiny_model, segmenter=load_segmenter(tiny_model.device))
    with studio_on(folder, model) as studio:
        page = studio.page("first")
        sketch, whole = page.do("POST", "preview", **asked, sketch=True), page.do("POST", "preview", **asked)
        assert (sketch.pop("sketch"), whole.pop("sketch")) == (True, False)
        assert sketch != whole
        assert page.do("POST", "rounds", revision=0, scribbles=[asked], boxes=[])["frames"] == [whole]


def test_a_frame_that_is_looked_at_changes_nothing(page: Page) -> None:
    before = page.get("session")
    assert page.do("POST", "shown", frame=3) == {}
    assert page.get("session") == before
    assert page.ask("POST", "shown", {"frame": 12})[1]["error"]["field"] == "frame"
