"""A round that was answered is not taken twice, also after a restart; one drawn on an older session is stale."""

from pathlib import Path

import numpy as np
import pytest
from studio_client import FIRST, SECOND, Json, Page, studio_on

from siaf.masks import encode_rle
from siaf.model.loaded import Model


def test_a_round_that_was_answered_is_not_taken_twice(page: Page) -> None:
    body = {"revision": 0, "scribbles": [{"frame": 2, "strokes": [FIRST]}]}
    once = page.do("POST", "rounds", **body)
    assert page.do("POST", "rounds", **body) == once
    assert page.get("session")["rounds"] == 1
    status, answer = page.ask("POST", "rounds", {**body, "scribbles": [{"frame": 2, "strokes": [SECOND]}]})
    assert (status, answer["error"]["code"], answer["error"]["field"]) == (409, "stale", "revision")


BOX = {"frame": 2, "tag": 1, "box": [6.0, 10.0, 30.0, 34.5]}
PAINTED = {"frame": 5, "masks": [{"tag": 2, "rle": encode_rle(np.eye(72, 96, dtype=bool))}]}


@pytest.mark.parametrize(
    ("given", "another"),
    [
        ({"boxes": [BOX]}, {"boxes": [{**BOX, "box": [7.0, 10.0, 30.0, 34.5]}]}),
        ({"boxes": [BOX]}, {"boxes": [{**BOX, "tag": 2}]}),
        ({"references": [PAINTED]}, {"references": [{**PAINTED, "masks": []}]}),
        ({"references": [PAINTED]}, {"references": [{**PAINTED, "frame": 6}]}),
        (
            {"scribbles": [{"frame": 5, "strokes": [FIRST]}], "boxes": [BOX], "references": [PAINTED]},
            {"boxes": [BOX], "references": [PAINTED]},
        ),
    ],
)
def test_so_is_one_of_boxes_or_painted_masks_also_after_a_restart(
    folder: Path, tiny_model: Model, given: Json, another: Json
) -> None:
    with studio_on(folder, tiny_model) as studio:
        once = studio.page("first").do("POST", "rounds", revision=0, **given)
    with studio_on(folder, tiny_model) as studio:
        page = studio.page("first")
        assert page.ask("POST", "rounds", {"revision": 0, **another})[1]["error"]["code"] == "stale"
        assert page.do("POST", "rounds", revision=0, **given) == once
        assert page.get("session")["rounds"] == 1


@pytest.mark.adapting
def test_a_painted_frame_is_known_again_though_others_were_propagated_since(page: Page) -> None:
    page.commit(8, strokes=(FIRST,))
    given = {"revision": page.revision, "references": [PAINTED]}
    once = page.do("POST", "rounds", **given)
    page.propagate()
    again = page.do("POST", "rounds", **given)
    assert (again["round"], again["frames"]) == (2, once["frames"])


def test_frames_that_are_done_make_no_stroke_stale(page: Page) -> None:
    revision = page.commit(2)["revision"]
    page.propagate()
    assert page.revision == revision + 1
    page.do("POST", "rounds", revision=revision, scribbles=[{"frame": 9, "strokes": [FIRST]}])
