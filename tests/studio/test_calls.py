"""The calls of the page, over HTTP."""

import http.client
import io
import json
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from studio_client import FIRST, SECOND, Json, Page, Studio, studio_on, until

from siaf.masks import encode_rle, rles_to_index_mask
from siaf.model.loaded import Model
from siaf.scribbles import Scribble
from siaf.session.session import Session
from siaf.session.state_file import read_summary
from siaf.studio.pictures import Pictures
from siaf.weights.loading import load_segmenter

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
    assert {mask["tag"] for mask in beside["masks"]} <= {1, 2}  # 2 is an object already
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


def test_objects_get_names_and_colours_that_an_undo_leaves(page: Page) -> None:
    page.commit(2)
    page.commit(5, strokes=(FIRST,))
    page.do("POST", "objects", revision=page.revision, do="name", tags=[2], label="blue", color="#1e90ff")
    session = page.do("POST", "undo", revision=page.revision)
    assert session["objects"][1] == {"tag": 2, "label": "blue", "color": "#1e90ff"}


def test_a_name_does_not_stop_a_propagation(page: Page) -> None:
    page.commit(2)
    page.do("POST", "propagate", revision=page.revision)
    session = page.do("POST", "objects", revision=page.revision, do="name", tags=[1], label="red")
    assert session["objects"][0]["label"] == "red"
    until(lambda: page.get("session")["propagation"]["done"] == 11, "all frames are done")


def test_a_round_names_its_objects(page: Page) -> None:
    objects = [{"tag": 1, "label": "red square", "origin": {"color": "#ff0000"}}]
    drawn = [{"frame": 1, "strokes": [FIRST]}]
    page.do("POST", "rounds", revision=0, scribbles=drawn, objects=objects)
    assert page.get("session")["objects"] == [{"tag": 1, "label": "red square", "color": "#ff0000"}]


def test_objects_change_from_a_frame_on(page: Page) -> None:
    page.commit(2)
    page.propagate()
    was = page.masks(3, 6)
    page.do("POST", "objects", revision=page.revision, do="swap", tags=[1, 2], from_frame=5)
    now = page.masks(3, 6)
    swapped = {1: 2, 2: 1}
    assert now[3]["masks"] == was[3]["masks"]
    assert {m["tag"]: m["rle"] for m in now[6]["masks"]} == {swapped[m["tag"]]: m["rle"] for m in was[6]["masks"]}
    session = page.do("POST", "undo", revision=page.revision)
    assert page.masks(6)[6]["masks"] == was[6]["masks"] or session["propagation"]["total"]
    page.propagate()
    session = page.do(
        "POST", "objects", revision=page.revision, do="split", tags=[1], from_frame=6, label="late", color="#00ff00"
    )
    assert session["objects"][2] == {"tag": 3, "label": "late", "color": "#00ff00"}
    session = page.do("POST", "objects", revision=page.revision, do="merge", tags=[1, 3], from_frame=0)
    assert [each["tag"] for each in session["objects"]] == [1, 2]
    session = page.do("POST", "objects", revision=page.revision, do="remove", tags=[2])
    assert [each["tag"] for each in session["objects"]] == [1]


def test_masks_given_as_references_are_kept(page: Page) -> None:
    rle = [0, 100, 5, 5, 14, 14]
    answer = page.do("POST", "rounds", revision=0, references=[{"frame": 4, "masks": [{"tag": 7, "rle": rle}]}])
    assert answer["frames"] == [{"frame": 4, "masks": [{"tag": 7, "rle": rle}]}]
    assert page.get("session")["references"] == [4]


def test_adapting_needs_two_masks(page: Page) -> None:
    page.commit(2)
    status, answer = page.ask("POST", "propagate", {"revision": page.revision, "adapt": True})
    assert (status, answer["error"]["field"]) == (422, "adapt")
    assert page.get("session")["propagation"]["running"] is False


def test_adapting_comes_before_frames(page: Page) -> None:
    masks = [{"frame": f, "masks": [{"tag": 1, "rle": [0, 400, 5 + 4 * f, 10, 24 + 4 * f, 29]}]} for f in (0, 6)]
    page.do("POST", "rounds", revision=0, references=masks)
    page.do("POST", "propagate", revision=page.revision, adapt=True)
    until(lambda: page.get("progress")["propagation"]["adapting"], "the network adapts")
    assert page.do("POST", "stop")["propagation"]["running"] is False


def test_frames_are_pictures_that_browsers_keep(page: Page) -> None:
    status, headers, content = page.send("GET", "/api/frames/3")
    assert (status, headers["Content-Type"]) == (200, "image/jpeg")
    assert "immutable" in headers["Cache-Control"]
    shown = np.asarray(Image.open(io.BytesIO(content)))
    assert np.abs(shown[14:26, 21:33].mean(axis=(0, 1)) - (200, 40, 40)).max() < 6
    status, _, content = page.send("GET", "/api/frames/3", If_None_Match=headers["ETag"])
    assert (status, content) == (304, b"")
    _, small, content = page.send("GET", "/api/frames/3?width=48")
    assert Image.open(io.BytesIO(content)).size == (48, 36)
    assert small["ETag"] != headers["ETag"]


def test_a_frame_that_nobody_waits_for_is_not_read(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that is scrubbed over hundreds of frames breaks off what it asked for."""
    begun, go_on, jpeg = [], threading.Event(), Pictures.jpeg

    def slowly(self: Pictures, frame: int, width: int | None = None) -> bytes:
        begun.append(frame)
        assert go_on.wait(60)
        return jpeg(self, frame, width)

    monkeypatch.setattr(Pictures, "jpeg", slowly)
    connections = [http.client.HTTPConnection("127.0.0.1", page.port, timeout=60) for _ in range(10)]
    for frame, connection in enumerate(connections):
        connection.request("GET", f"/api/frames/{frame}", headers=page.headers)
    until(lambda: len(begun) == 3, "all threads read")
    left = [connection for frame, connection in enumerate(connections) if frame not in begun][:-1]
    for connection in left:
        connection.close()
    time.sleep(0.3)  # the server hears of it
    go_on.set()
    waiting = [connection for connection in connections if connection not in left]
    assert [connection.getresponse().status for connection in waiting] == [200] * 4
    assert len(begun) == 4


def test_the_session_as_a_file(page: Page) -> None:
    page.commit(2)
    status, headers, content = page.send("GET", "/api/export/siaf")
    assert (status, read_summary(content).rounds) == (200, 1)
    assert headers["Content-Disposition"] == "attachment; filename*=UTF-8''squares.siaf"


WRONG: list[tuple[str, str, Any, int, str]] = [
    ("GET", "frames/12", None, 404, "frame"),
    ("GET", "frames/x", None, 400, "frame"),
    ("GET", "frames/1?width=3", None, 400, "width"),
    ("GET", "frames/1?width=-3", None, 400, "width"),
    ("GET", "masks", None, 400, "frames"),
    ("GET", "masks?frames=1,x", None, 400, "frames"),
    ("GET", "masks?frames=99", None, 404, "frames"),
    ("GET", "masks?first=5&last=3", None, 400, "last"),
    ("GET", "masks?frames=1&of=then", None, 400, "of"),
    ("GET", "progress?after=-1", None, 400, "after"),
    ("GET", "export/doc", None, 404, "format"),
    ("GET", "nothing", None, 404, "path"),
    ("GET", "rounds", None, 405, "method"),
    ("POST", "preview", {"frame": 12, "strokes": [FIRST]}, 404, "frame"),
    ("POST", "preview", {"frame": 1}, 422, "strokes"),
    ("POST", "preview", {"frame": 1, "strokes": [{**FIRST, "tag": 999}]}, 400, "strokes[0].tag"),
    ("POST", "preview", {"frame": 1, "boxes": [{"frame": 2, "tag": 1, "box": [0, 0, 9, 9]}]}, 422, "boxes[0].frame"),
    ("POST", "rounds", {"revision": 0}, 422, "scribbles"),
    ("POST", "rounds", {"scribbles": []}, 400, "revision"),
    ("POST", "rounds", {"revision": 0, "scribbles": [{"frame": 40, "strokes": [FIRST]}]}, 422, "frame"),
    (
        "POST",
        "rounds",
        {"revision": 0, "scribbles": [{"frame": 1, "strokes": [FIRST]}], "objects": [{"tag": 4, "label": "x"}]},
        422,
        "objects[0].tag",
    ),
    (
        "POST",
        "rounds",
        {"revision": 0, "scribbles": [{"frame": 1, "strokes": [FIRST]}], "objects": [{"tag": 1, "origin": {"a": "b"}}]},
        422,
        "objects[0].origin",
    ),
    ("POST", "propagate", {"revision": 7}, 409, "revision"),
    ("POST", "undo", {"revision": 0}, 422, "round"),
    ("PUT", "limits", {"revision": 0, "within": [5, 2], "barriers": []}, 422, "within"),
    ("PUT", "limits", {"revision": 0, "within": None, "barriers": [0]}, 422, "barriers"),
    ("POST", "objects", {"revision": 0, "do": "jump", "tags": [1]}, 400, "do"),
    ("POST", "objects", {"revision": 0, "do": "name", "tags": [1]}, 400, "label"),
    ("POST", "objects", {"revision": 0, "do": "name", "tags": [1], "color": "red"}, 400, "color"),
    ("POST", "objects", {"revision": 0, "do": "name", "tags": [1], "label": "x"}, 422, "tags[0]"),
    ("POST", "objects", {"revision": 0, "do": "swap", "tags": [1], "from_frame": 2}, 400, "tags"),
    ("POST", "objects", {"revision": 0, "do": "swap", "tags": [1, 2]}, 400, "from_frame"),
    ("POST", "objects", {"revision": 0, "do": "remove", "tags": [1], "label": "x"}, 400, "label"),
    ("POST", "objects", {"revision": 0, "do": "remove", "tags": [1], "from_frame": 2}, 400, "from_frame"),
    ("POST", "hold", {"tab": ""}, 400, "tab"),
    ("POST", "write", {}, 422, "job"),
]


@pytest.mark.parametrize(("method", "call", "body", "status", "field"), WRONG, ids=lambda value: str(value)[:40])
def test_what_is_refused_names_the_field(
    page: Page, method: str, call: str, body: Any, status: int, field: str
) -> None:
    before = page.get("session")
    got, answer = page.ask(method, call, body)
    assert (got, answer["error"]["field"]) == (status, field), answer
    assert page.get("session") == before


def test_too_many_masks_at_once(page: Page) -> None:
    status, answer = page.ask("GET", "masks?frames=" + ",".join(["1"] * 201))
    assert (status, answer["error"]["field"]) == (422, "frames")


def test_a_body_that_is_no_json(page: Page) -> None:
    for body, field in ((b"{", "body"), (b"[]", "body"), (b"", "body")):
        status, _, content = page.send("POST", "/api/undo", body, Content_Type="application/json")
        assert (status, json.loads(content)["error"]["field"]) == (400, field)


def test_a_video_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from siaf.cli import main

    (tmp_path / "clip.mp4").write_bytes(b"not a video")
    assert main(["studio", str(tmp_path / "clip.mp4"), "--no-browser", "--port", "0"]) == 2
    assert capsys.readouterr().err.startswith("siaf: video: not a video")
