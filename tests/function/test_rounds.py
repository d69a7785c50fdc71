"""Rounds over HTTP: what the library gives, in answers of a bounded size and time."""

import json

import numpy as np
import pytest
from function_client import Client
from http_rounds import FIRST, HEIGHT, SECOND, WIDTH, Masks, open_session, propagate, read, round_body
from numpy.typing import NDArray

from siaf import Scribble, Session
from siaf.masks import index_mask_to_rles
from siaf.model.loaded import Model
from siaf.session.state_file import dump_session

Frames = NDArray[np.uint8]


def test_two_rounds_give_what_the_library_gives(client: Client, jpegs: list[bytes], expected: list[Masks]) -> None:
    session = open_session(client, jpegs)
    for revision, (strokes, masks) in enumerate(zip((FIRST, SECOND), expected, strict=True)):
        answer = client.ok("POST", f"/v1/sessions/{session}/rounds", round_body(revision, strokes))
        found = {**read(answer["frames"]), **propagate(client, session)}
        assert set(found) >= set(range(12)) - {3, 8}
        assert all(np.array_equal(found[frame], masks[frame]) for frame in found)
        assert answer["round"] == answer["revision"] == revision + 1


def test_small_budgets_change_nothing(client: Client, jpegs: list[bytes], expected: list[Masks]) -> None:
    session = open_session(client, jpegs)
    client.ok("POST", f"/v1/sessions/{session}/rounds", round_body(0, FIRST))
    found = propagate(client, session, budget_s=1e-6)
    assert set(found) == set(range(12))
    assert all(np.array_equal(found[frame], expected[0][frame]) for frame in found)


def test_an_answer_holds_no_more_than_fits(
    client: Client, jpegs: list[bytes], expected: list[Masks], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("function.calls.sessions_api._PAGE_NUMBERS", 0)
    session = open_session(client, jpegs)
    client.ok("POST", f"/v1/sessions/{session}/rounds", round_body(0, FIRST))
    found, answers = {}, 0
    while True:  # even for a client that never says what it has
        answer = client.ok("POST", f"/v1/sessions/{session}/propagate", {"budget_s": 60})
        found |= read(answer["frames"])
        answers += 1
        if answer["done"] == answer["total"]:
            break
    assert answers > 3
    assert all(np.array_equal(found[frame], expected[0][frame]) for frame in found)
    assert len(found) >= 10


def test_a_call_works_no_longer_than_its_budget(client: Client, jpegs: list[bytes]) -> None:
    session = open_session(client, jpegs)
    client.ok("POST", f"/v1/sessions/{session}/rounds", round_body(0, {0: FIRST[3]}))
    answer = client.ok("POST", f"/v1/sessions/{session}/propagate", {"budget_s": 1e-6})
    assert (answer["done"], answer["total"], len(answer["frames"])) == (1, 11, 1)
    assert answer["suggest"] == []
    assert answer["shrunk"] == []


def test_a_finished_round_says_which_objects_vanished_or_shrank(
    client: Client, jpegs: list[bytes], model: Model, clip: Frames
) -> None:
    """As the library says it, for a session whose state has masks that fill the frame on three frames."""
    two = np.zeros((HEIGHT, WIDTH), np.uint8)
    two[10:40, 17:50], two[40:70, 50:90] = 1, 2
    local = Session(model, clip)
    local.interact(references={3: two})
    for _ in local.propagate():
        pass
    for frame in (5, 6, 10):
        local.set_propagated_mask(frame, np.full((HEIGHT, WIDTH), 1 + frame % 2))
    session = open_session(client, jpegs)
    put = client.raw("PUT", f"/v1/sessions/{session}/state", dump_session(local), "application/octet-stream")
    assert put.status_code == 200
    masks = [{"tag": tag, "rle": rle} for tag, rle in index_mask_to_rles(two).items()]
    round_ = {"revision": json.loads(put.body)["revision"], "references": [{"frame": 8, "masks": masks}]}
    client.ok("POST", f"/v1/sessions/{session}/rounds", round_)
    answer = client.ok("POST", f"/v1/sessions/{session}/propagate", {"budget_s": 60})
    local.interact(references={8: two})
    for _ in local.propagate():
        pass
    assert local.shrunk, "no object covers all of a frame any more"
    assert answer["shrunk"] == [{"tag": s.tag, "gone": s.gone, "frames": list(s.frames)} for s in local.shrunk]


def test_human_masks_labels_and_progress_are_kept(client: Client, jpegs: list[bytes]) -> None:
    session = open_session(client, jpegs, name="clip")
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[10:30, 5:25] = 9
    references = [{"frame": 0, "masks": [{"tag": 9, "rle": index_mask_to_rles(mask)[9]}]}]
    objects = [{"tag": 9, "label": "car", "origin": {"label_id": "4"}}]
    answer = client.ok(
        "POST", f"/v1/sessions/{session}/rounds", {"revision": 0, "references": references, "objects": objects}
    )
    assert np.array_equal(read(answer["frames"])[0], mask)
    client.ok("POST", f"/v1/sessions/{session}/propagate", {"budget_s": 1e-6})
    shown = client.ok("GET", f"/v1/sessions/{session}")
    assert shown["objects"] == objects
    assert (shown["name"], shown["interacted"], shown["done"], shown["total"]) == ("clip", [0], 1, 11)


@pytest.mark.parametrize("about", [None, [1], [1, 2], []])
def test_what_a_human_s_masks_speak_for(
    client: Client, model: Model, jpegs: list[bytes], clip: Frames, about: list[int] | None
) -> None:
    """`about` over HTTP is `about` of the library; a frame without masks says that these objects are absent."""
    shown = np.zeros((HEIGHT, WIDTH), np.uint8)
    shown[10:30, 5:25] = 1
    nothing = np.zeros_like(shown)
    spoken = {} if about is None else {6: about, 9: about}
    session = Session(model, clip)
    session.interact({3: [Scribble(2, np.array([[45.0, 50], [55, 50]]))]}, {6: shown, 9: nothing}, about=spoken)
    for _ in session.propagate():
        pass

    there = open_session(client, jpegs)
    more = {} if about is None else {"about": about}
    references = [
        {"frame": 6, "masks": [{"tag": 1, "rle": index_mask_to_rles(shown)[1]}], **more},
        {"frame": 9, "masks": [], **more},
    ]
    body = round_body(0, {3: [(2, [[45, 50], [55, 50]])]}, references=references)
    answer = client.ok("POST", f"/v1/sessions/{there}/rounds", body)
    found = {**read(answer["frames"]), **propagate(client, there)}
    assert set(found) == set(range(12))
    assert all(np.array_equal(found[frame], session.mask(frame)) for frame in found)


def test_undo_and_removing_an_object(client: Client, jpegs: list[bytes]) -> None:
    session = open_session(client, jpegs)
    client.ok("POST", f"/v1/sessions/{session}/rounds", round_body(0, FIRST))
    client.ok("POST", f"/v1/sessions/{session}/rounds", round_body(1, {6: [(5, [[30, 25]])]}))
    shown = client.ok("DELETE", f"/v1/sessions/{session}/objects/2")
    assert [o["tag"] for o in shown["objects"]] == [1, 5]
    # Its answer may have been lost on the way.
    assert client.ok("DELETE", f"/v1/sessions/{session}/objects/2") == shown
    assert client.call("DELETE", f"/v1/sessions/{session}/objects/7")[0] == 404
    shown = client.ok("POST", f"/v1/sessions/{session}/undo", {"revision": shown["revision"]})
    assert (shown["interacted"], [o["tag"] for o in shown["objects"]]) == ([3, 8], [1])


def test_limits_are_those_of_a_session(client: Client, jpegs: list[bytes]) -> None:
    session = open_session(client, jpegs)
    path = f"/v1/sessions/{session}"
    revision = client.ok("GET", path)["revision"]
    limits = {"revision": revision, "within": [2, 6], "barriers": [5]}
    revision = client.ok("PUT", path + "/limits", limits)["revision"]
    assert client.ok("PUT", path + "/limits", {**limits, "revision": revision})["revision"] == revision
    client.ok("POST", path + "/rounds", round_body(revision, FIRST))
    found = propagate(client, session)
    assert sorted(found) == [2, 4, 5]
    for wrong, field in (
        ({"within": [6, 2]}, "within"),
        ({"within": [2, 99]}, "within"),
        ({"barriers": [0]}, "barriers"),
        ({"barriers": [99]}, "barriers"),
    ):
        revision = client.ok("GET", path)["revision"]
        status, answer = client.call("PUT", path + "/limits", {**limits, "revision": revision, **wrong})
        assert (status, answer["error"]["field"]) == (422, field)
