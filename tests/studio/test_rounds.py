"""Rounds of the page, over HTTP: those of the library, with undo, limits and adaptation."""

from typing import Any

import numpy as np
import pytest
from studio_client import FIRST, SECOND, Page, Studio, until

from siaf.masks import rles_to_index_mask
from siaf.model.loaded import Model
from siaf.scribbles import Scribble
from siaf.session.session import Session
from siaf.session.state_file import read_summary

SESSION = {
    *("page", "version", "key", "name", "frames", "width", "height", "fps", "model", "revision", "rounds", "saved"),
    *("objects", "labels", "interacted", "strokes", "references", "barriers", "within", "propagation", "suggested"),
    *("shrunk", "stats", "job", "formats", "notes", "holder"),
}


def index_mask(masks: list[dict[str, Any]]) -> Any:
    return rles_to_index_mask({m["tag"]: m["rle"] for m in masks}, height=72, width=96)


def scribble(stroke: dict[str, Any]) -> Scribble:
    return Scribble(stroke["tag"], np.array(stroke["points"]))


def test_an_empty_session(page: Page) -> None:
    session = page.get("session")
    assert session.keys() == SESSION
    assert (session["page"], session["frames"], session["width"], session["height"]) == (1, 12, 96, 72)
    assert (session["name"], session["model"], session["fps"]) == ("squares", "siaf-t", None)
    assert (session["rounds"], session["objects"], session["stats"], session["holder"]) == (0, [], {}, True)


def test_rounds_and_propagation_are_those_of_the_library(page: Page, studio: Studio, tiny_model: Model) -> None:
    same = Session(tiny_model, studio.path)  # type: ignore[arg-type]
    masks = same.interact({2: [scribble(FIRST), scribble(SECOND)], 8: [scribble(FIRST), scribble(SECOND)]})
    answer = page.commit(2, 8)
    assert (answer["round"], answer["total"]) == (1, 10)
    assert {f["frame"]: index_mask(f["masks"]).tolist() for f in answer["frames"]} == {
        frame: mask.tolist() for frame, mask in masks.items()
    }
    for _ in same.propagate():
        pass
    session = page.propagate()
    found = page.masks(*range(12))
    assert all((index_mask(found[frame]["masks"]) == same.mask(frame)).all() for frame in range(12))
    assert [found[frame]["source"] for frame in (2, 3)] == ["drawn", "propagated"]
    areas = {frame: {tag: area for tag, area, _ in session["stats"][str(frame)] if area} for frame in range(12)}
    assert areas == {
        f: {int(t): int((same.mask(f) == t).sum()) for t in np.unique(same.mask(f)) if t} for f in range(12)
    }
    assert session["stats"]["3"][0][2] == pytest.approx(same.confidence[3][1], abs=1e-4)
    assert session["stats"]["2"][0][2] is None
    assert session["propagation"] == {
        **{"running": False, "done": 10, "total": 10, "seconds_left": None, "adapting": False, "error": None}
    }
    assert session["suggested"] == same.suggest()
    assert session["interacted"] == {"2": [1], "8": [1]}
    assert [(s["frame"], s["round"]) for s in session["strokes"]] == [(2, 1), (8, 1)]
    assert session["strokes"][0]["strokes"][0] == {**FIRST, "width": 3.0, "polarity": "positive"}
    assert session["objects"][0] == {"tag": 1, "label": None, "color": "#800000"}


def test_progress_tells_every_frame_once_in_the_order_in_which_they_came(page: Page) -> None:
    page.commit(2)
    page.do("POST", "propagate", revision=page.revision)
    seen: list[int] = []

    def over() -> bool:
        progress = page.get("progress", after=len(seen))
        seen.extend(frame for frame, _ in progress["done"])
        return not progress["propagation"]["running"]

    until(over, "the propagation ends")
    assert sorted(seen) == [0, 1, *range(3, 12)]
    assert set(seen[:2]) == {1, 3}
    assert [frame for frame, _ in page.get("progress", after=99)["done"]] == seen


def test_masks_of_before_the_round_stay_to_compare(page: Page) -> None:
    page.commit(2)
    page.propagate()
    first = page.masks(*range(12))
    page.commit(9, strokes=(SECOND,))
    page.propagate()
    second = page.masks(*range(12))
    before = page.masks(*range(12), of="before")
    assert {f: each["masks"] for f, each in before.items()} == {f: each["masks"] for f, each in first.items()}
    assert second != first
    page.do("POST", "undo", revision=page.revision)
    assert {each["source"] for each in page.masks(*range(12), of="before").values()} == {"none"}


def test_undo(page: Page) -> None:
    page.commit(2)
    page.propagate()
    first = page.masks(2)[2]["masks"]
    page.commit(2, strokes=(FIRST,))
    session = page.do("POST", "undo", revision=page.revision)
    assert (session["rounds"], page.masks(2)[2]["masks"]) == (1, first)
    assert session["propagation"]["done"] == 0


def test_limits(page: Page) -> None:
    page.commit(2)
    session = page.do("PUT", "limits", revision=page.revision, within=[1, 5], barriers=[4])
    assert (session["within"], session["barriers"], session["propagation"]["total"]) == ([1, 5], [4], 2)
    page.propagate()
    assert [each["source"] for each in page.masks(0, 1, 3, 4).values()] == ["none", "propagated", "propagated", "none"]
    session = page.do("PUT", "limits", revision=page.revision, within=None, barriers=[])
    assert (session["within"], session["barriers"]) == (None, [])


def test_masks_given_as_references_are_kept(page: Page) -> None:
    rle = [0, 100, 5, 5, 14, 14]
    answer = page.do("POST", "rounds", revision=0, references=[{"frame": 4, "masks": [{"tag": 7, "rle": rle}]}])
    assert answer["frames"] == [{"frame": 4, "masks": [{"tag": 7, "rle": rle}]}]
    assert page.get("session")["references"] == [4]


@pytest.mark.adapting
def test_adapting_to_a_given_mask_comes_before_frames(page: Page) -> None:
    masks = [{"frame": 6, "masks": [{"tag": 1, "rle": [0, 400, 29, 10, 48, 29]}]}]
    page.do("POST", "rounds", revision=0, references=masks)
    page.do("POST", "propagate", revision=page.revision)
    until(lambda: page.get("progress")["propagation"]["adapting"], "the network adapts")
    assert page.do("POST", "stop")["propagation"]["running"] is False


def test_the_session_as_a_file(page: Page) -> None:
    page.commit(2)
    status, headers, content = page.send("GET", "/api/export/siaf")
    assert (status, read_summary(content).rounds) == (200, 1)
    assert headers["Content-Disposition"] == "attachment; filename*=UTF-8''squares.siaf"
