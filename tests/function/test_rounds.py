"""Rounds over HTTP: sessions, frames, rounds, propagation, states."""

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from crafted_states import document_of
from function_client import Client, encode
from numpy.typing import NDArray
from safetensors.torch import load, save

from function.service import Service
from siaf import Scribble, Session
from siaf.masks import index_mask_to_rles, rles_to_index_mask
from siaf.model.loaded import Model
from siaf.session.state_file import dump_session
from siaf.weights import load_model

HEIGHT, WIDTH = 72, 96
Frames = NDArray[np.uint8]
Masks = dict[int, NDArray[np.uint8]]

FIRST = {3: [(1, [[20, 20], [30, 20]])], 8: [(2, [[45, 50], [55, 50]])]}
SECOND = {6: [(1, [[30, 25], [40, 25]]), (0, [[5, 60], [30, 65]])]}


def open_session(client: Client, jpegs: list[bytes], **more: Any) -> str:
    body = {"frames": len(jpegs), "width": WIDTH, "height": HEIGHT, **more}
    session = str(client.ok("POST", "/v1/sessions", body)["id"])
    for number, image in enumerate(jpegs):
        client.upload(session, number, image)
    return session


def round_body(revision: int, strokes: dict[int, list[tuple[int, Any]]], **more: Any) -> dict[str, Any]:
    scribbles = [
        {"frame": frame, "strokes": [{"tag": tag, "points": points} for tag, points in lines]}
        for frame, lines in strokes.items()
    ]
    return {"revision": revision, "scribbles": scribbles, **more}


def read(frames: list[dict[str, Any]]) -> Masks:
    return {
        f["frame"]: rles_to_index_mask(
            {m["tag"]: m["rle"] for m in f["masks"] if m["rle"] is not None}, height=HEIGHT, width=WIDTH
        )
        for f in frames
    }


def propagate(client: Client, session: str, budget_s: float = 60) -> Masks:
    masks, after = {}, 0
    while True:
        answer = client.ok("POST", f"/v1/sessions/{session}/propagate", {"budget_s": budget_s, "after": after})
        masks |= read(answer["frames"])
        after = answer["done"]
        if after == answer["total"]:
            return masks


@pytest.fixture(scope="module")
def model(weights: Path) -> Model:
    model = load_model("siaf-t", device="cpu", weights=weights)
    return replace(model, short_side=65, interaction_short_side=65)


@pytest.fixture(scope="module")
def expected(model: Model, clip: Frames) -> list[Masks]:
    """Masks of all frames after each of the two rounds, from the library itself."""
    session = Session(model, clip)
    result = []
    for strokes in (FIRST, SECOND):
        session.interact({f: [Scribble(t, np.array(p, float)) for t, p in lines] for f, lines in strokes.items()})
        for _ in session.propagate():
            pass
        result.append({f: session.mask(f) for f in range(len(clip))})
    return result


def test_two_rounds_give_what_the_library_gives(client: Client, jpegs: list[bytes], expected: list[Masks]) -> None:
    session = open_session(client, jpegs)
    for revision, (strokes, masks) in enumerate(zip((FIRST, SECOND), expected, strict=True)):
        answer = client.ok("POST", f"/v1/sessions/{session}/rounds", round_body(revision, strokes))
        found = {**read(answer["frames"]), **propagate(client, session)}
        assert all(np.array_equal(found[frame], masks[frame]) for frame in found)
        assert answer["round"] == answer["revision"] == revision + 1
    assert set(found) >= set(range(12)) - {3, 8}


def test_small_budgets_change_nothing(client: Client, jpegs: list[bytes], expected: list[Masks]) -> None:
    session = open_session(client, jpegs)
    client.ok("POST", f"/v1/sessions/{session}/rounds", round_body(0, FIRST))
    found = propagate(client, session, budget_s=1e-6)
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


def test_an_answer_that_was_lost_is_given_again(client: Client, jpegs: list[bytes]) -> None:
    session = open_session(client, jpegs)
    body = round_body(0, {0: FIRST[3]})
    first = client.ok("POST", f"/v1/sessions/{session}/rounds", body)
    assert client.ok("POST", f"/v1/sessions/{session}/rounds", body) == first
    step = {"budget_s": 1e-6, "after": 0}
    lost = client.ok("POST", f"/v1/sessions/{session}/propagate", step)
    assert client.ok("POST", f"/v1/sessions/{session}/propagate", step) == lost
    assert client.ok("POST", f"/v1/sessions/{session}/rounds", body) == first


def test_another_round_on_an_old_revision_is_refused(client: Client, jpegs: list[bytes]) -> None:
    session = open_session(client, jpegs)
    client.ok("POST", f"/v1/sessions/{session}/rounds", round_body(0, FIRST))
    status, answer = client.call("POST", f"/v1/sessions/{session}/rounds", round_body(0, SECOND))
    assert (status, answer["error"]["code"], answer["error"]["field"]) == (409, "stale", "revision")
    status, answer = client.call("POST", f"/v1/sessions/{session}/propagate", {"revision": 0})
    assert (status, answer["error"]["field"]) == (409, "revision")
    status, answer = client.call("POST", f"/v1/sessions/{session}/propagate", {"after": 5})
    assert (status, answer["error"]["field"]) == (409, "after")


def test_nothing_is_uploaded_twice(client: Client, clip: Frames) -> None:
    images = [encode(255 - frame) for frame in clip]
    first = client.ok("POST", "/v1/sessions", {"frames": 12, "width": WIDTH, "height": HEIGHT})["id"]
    digests = [client.upload(first, n, image)["digest"] for n, image in enumerate(images[:9])]
    assert client.ok("POST", f"/v1/sessions/{first}/frames/missing", {})["missing"] == [9, 10, 11]
    second = client.ok("POST", "/v1/sessions", {"frames": 5, "width": WIDTH, "height": HEIGHT})["id"]
    known = [{"frame": n, "digest": digest} for n, digest in enumerate(digests[6:9])]
    unknown = [{"frame": 3, "digest": "0" * 32}]
    body = {"digests": known + unknown}
    assert client.ok("POST", f"/v1/sessions/{second}/frames/missing", body)["missing"] == [3, 4]
    assert client.ok("GET", f"/v1/sessions/{second}")["missing"] == 2


def test_a_round_needs_its_own_frames_and_propagation_all(client: Client, jpegs: list[bytes]) -> None:
    session = client.ok("POST", "/v1/sessions", {"frames": 12, "width": WIDTH, "height": HEIGHT})["id"]
    body = round_body(0, {0: FIRST[3]})
    status, answer = client.call("POST", f"/v1/sessions/{session}/rounds", body)
    assert (status, answer["error"]["code"]) == (409, "frames_missing")
    client.upload(session, 0, jpegs[0])
    client.ok("POST", f"/v1/sessions/{session}/rounds", body)
    status, answer = client.call("POST", f"/v1/sessions/{session}/propagate", {})
    assert (status, answer["error"]["code"]) == (409, "frames_missing")
    for number, image in enumerate(jpegs[1:], 1):
        client.upload(session, number, image)
    assert sorted(propagate(client, session)) == list(range(1, 12))


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


def test_a_state_moves_to_another_machine(
    client: Client, start: Callable[..., Client], jpegs: list[bytes], expected: list[Masks]
) -> None:
    here = open_session(client, jpegs)
    client.ok("POST", f"/v1/sessions/{here}/rounds", round_body(0, FIRST))
    propagate(client, here)
    state = client.raw("GET", f"/v1/sessions/{here}/state")
    assert (state.status_code, state.content_type) == (200, "application/octet-stream")

    other = start()
    there = open_session(other, jpegs)
    put = other.raw("PUT", f"/v1/sessions/{there}/state", state.body, "application/octet-stream")
    assert put.status_code == 200, put.body
    assert b'"restored"' in put.body.encode()
    other.ok("POST", f"/v1/sessions/{there}/rounds", round_body(1, SECOND))
    found = propagate(other, there)
    assert all(np.array_equal(found[frame], expected[1][frame]) for frame in found)


def test_a_state_of_another_clip_is_inherited(client: Client, jpegs: list[bytes], clip: Frames) -> None:
    here = open_session(client, jpegs)
    client.ok("POST", f"/v1/sessions/{here}/rounds", round_body(0, FIRST))
    propagate(client, here)
    state = client.raw("GET", f"/v1/sessions/{here}/state").body
    there = open_session(client, [encode(np.ascontiguousarray(frame[:, ::-1])) for frame in clip[:6]])
    put = client.raw("PUT", f"/v1/sessions/{there}/state", state, "application/octet-stream")
    assert '"inherited"' in put.body
    assert [o["tag"] for o in client.ok("GET", f"/v1/sessions/{there}")["objects"]] == [1, 2]
    assert sorted(propagate(client, there)) == list(range(6))


def test_a_deleted_session_is_gone(client: Client, jpegs: list[bytes]) -> None:
    session = open_session(client, jpegs)
    client.ok("DELETE", f"/v1/sessions/{session}")
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/propagate"), ("GET", "/state")):
        assert client.call(method, f"/v1/sessions/{session}{path}", {} if method == "POST" else None)[0] == 404


def test_a_labeler_who_clicks_gets_turns_in_between(client: Client, jpegs: list[bytes]) -> None:
    session = open_session(client, jpegs)
    client.ok("POST", f"/v1/sessions/{session}/rounds", round_body(0, {0: FIRST[3]}))
    client.cvat(jpegs[1], pos_points=[[20, 20]], neg_points=[])
    import function.calls.sessions_api as module

    turn, module._TURN_S = module._TURN_S, 1e-6
    try:
        answer = client.ok("POST", f"/v1/sessions/{session}/propagate", {"budget_s": 60})
    finally:
        module._TURN_S = turn
    assert answer["done"] == 1


class TestTwoWorkers:
    """Two replicas on one store."""

    @pytest.fixture
    def workers(self, start: Callable[..., Client], tmp_path: Path) -> list[Client]:
        return [start(store=f"file:{tmp_path}", lock_wait_s=0.05) for _ in range(2)]

    def test_one_of_two_rounds_at_once_wins(self, workers: list[Client], jpegs: list[bytes]) -> None:
        session = open_session(workers[0], jpegs)
        bodies = [round_body(0, {0: FIRST[3]}), round_body(0, {5: FIRST[8]})]
        answers: dict[int, int] = {}

        def send(number: int) -> None:
            answers[number] = workers[number].call("POST", f"/v1/sessions/{session}/rounds", bodies[number])[0]

        threads = [threading.Thread(target=send, args=(number,)) for number in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(answers.values()) in ([200, 409], [200, 503])
        winner = min(answers, key=lambda number: answers[number])
        shown = workers[0].ok("GET", f"/v1/sessions/{session}")
        assert (shown["revision"], shown["interacted"]) == (1, [[0], [5]][winner])

    def test_a_session_that_is_being_worked_on_is_503(self, workers: list[Client], jpegs: list[bytes]) -> None:
        session = open_session(workers[0], jpegs)
        with workers[0].service._store.lock(f"session-{session}", 1):
            status, answer = workers[1].call("POST", f"/v1/sessions/{session}/propagate", {})
        assert (status, answer["error"]["code"]) == (503, "busy")

    def test_they_take_turns(self, workers: list[Client], jpegs: list[bytes], expected: list[Masks]) -> None:
        session = open_session(workers[0], jpegs)
        workers[1].ok("POST", f"/v1/sessions/{session}/rounds", round_body(0, FIRST))
        found: Masks = {}
        while True:
            workers.reverse()
            body = {"budget_s": 1e-6, "after": len(found)}
            answer = workers[0].ok("POST", f"/v1/sessions/{session}/propagate", body)
            before = len(found)
            found |= {before + i: mask for i, mask in enumerate(read(answer["frames"]).values())}
            if answer["done"] == answer["total"]:
                break
        state = [worker.raw("GET", f"/v1/sessions/{session}/state").body for worker in workers]
        assert state[0] == state[1]
        final = propagate(workers[0], session)
        assert all(np.array_equal(final[frame], expected[0][frame]) for frame in final)


class TestAdaptation:
    """SIAF_ADAPT, and `adapt` of a propagate call: as `Session.adapt`, within the call's time."""

    @pytest.fixture(autouse=True)
    def _few_steps(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("siaf.session.adaptation._STEPS", 6)

    @staticmethod
    def masks(frames: tuple[int, ...] = (1, 10)) -> Masks:
        masks = {f: np.zeros((HEIGHT, WIDTH), np.uint8) for f in frames}
        for frame, mask in masks.items():
            mask[10:30, 5 + 4 * frame : 25 + 4 * frame] = 1
        return masks

    def begin(self, client: Client, jpegs: list[bytes], frames: tuple[int, ...] = (1, 10)) -> str:
        session = open_session(client, jpegs)
        references = [
            {"frame": f, "masks": [{"tag": tag, "rle": rle} for tag, rle in index_mask_to_rles(mask).items()]}
            for f, mask in self.masks(frames).items()
        ]
        client.ok("POST", f"/v1/sessions/{session}/rounds", {"revision": 0, "scribbles": [], "references": references})
        return session

    def of_library(self, model: Model, clip: Frames, adapt: bool) -> Masks:
        session = Session(model, clip)
        session.interact(references=self.masks())
        for _ in session.adapt() if adapt else ():
            pass
        for _ in session.propagate():
            pass
        return {f: session.mask(f) for f in range(len(clip)) if f not in (1, 10)}

    @pytest.mark.parametrize("adapt", [False, True])
    def test_it_is_a_setting(
        self, start: Callable[..., Client], jpegs: list[bytes], model: Model, clip: Frames, adapt: bool
    ) -> None:
        client = start(adapt=adapt)
        found = propagate(client, self.begin(client, jpegs))
        expected = self.of_library(model, clip, adapt)
        assert found.keys() == expected.keys()
        assert all((found[f] == expected[f]).all() for f in expected)
        assert any((expected[f] != self.of_library(model, clip, not adapt)[f]).any() for f in expected)

    def test_a_call_may_ask_for_it_and_takes_as_long_as_it_says(
        self, client: Client, jpegs: list[bytes], model: Model, clip: Frames
    ) -> None:
        """With next to no time every call does one step, or one frame."""
        session = self.begin(client, jpegs)
        found: Masks = {}
        calls, after = 0, 0
        while True:
            body = {"budget_s": 1e-6, "after": after, "adapt": True}
            answer = client.ok("POST", f"/v1/sessions/{session}/propagate", body)
            found |= read(answer["frames"])
            calls, after = calls + 1, answer["done"]
            if after == answer["total"]:
                break
        assert calls == 6 + 10
        expected = self.of_library(model, clip, adapt=True)
        assert all((found[f] == expected[f]).all() for f in expected)

    def test_another_worker_begins_it_anew(
        self, settings: Callable[..., Any], jpegs: list[bytes], model: Model, clip: Frames, tmp_path: Path
    ) -> None:
        workers = [Client(Service.start(settings(store=f"file:{tmp_path}", adapt=True))) for _ in range(2)]
        session = self.begin(workers[0], jpegs)
        for _ in range(3):
            answer = workers[0].ok("POST", f"/v1/sessions/{session}/propagate", {"budget_s": 1e-6})
            assert (answer["done"], answer["frames"]) == (0, [])
        found = propagate(workers[1], session)
        expected = self.of_library(model, clip, adapt=True)
        assert all((found[f] == expected[f]).all() for f in expected)

    def test_one_mask_is_too_few_and_no_error(self, client: Client, jpegs: list[bytes]) -> None:
        session = self.begin(client, jpegs, frames=(4,))
        answer = client.ok("POST", f"/v1/sessions/{session}/propagate", {"budget_s": 60, "adapt": True})
        assert answer["done"] == answer["total"] == 11

    def test_sessions_that_take_turns_do_not_hear_of_each_other(
        self, client: Client, jpegs: list[bytes], model: Model, clip: Frames
    ) -> None:
        adapting, plain = self.begin(client, jpegs), self.begin(client, jpegs)
        found: dict[str, Masks] = {adapting: {}, plain: {}}
        after = dict.fromkeys(found, 0)
        for _ in range(16):
            for session, masks in found.items():
                body = {"budget_s": 1e-6, "after": after[session], "adapt": session == adapting}
                answer = client.ok("POST", f"/v1/sessions/{session}/propagate", body)
                masks |= read(answer["frames"])
                after[session] = answer["done"]
        for session, adapt in ((adapting, True), (plain, False)):
            expected = self.of_library(model, clip, adapt)
            assert all((found[session][f] == expected[f]).all() for f in expected)

    def test_a_state_with_a_crafted_decoder_is_refused(self, client: Client, jpegs: list[bytes]) -> None:
        session = self.begin(client, jpegs)
        client.ok("POST", f"/v1/sessions/{session}/propagate", {"budget_s": 60, "adapt": True})
        good = client.raw("GET", f"/v1/sessions/{session}/state").body
        tensors, document = load(good), document_of(good)
        name = "decoder.0.decoder.conv_4x.gn.weight"
        tensors[name][0] = float("nan")
        crafted = bytes(save(tensors, {"siaf": json.dumps(document)}))
        refused = client.raw("PUT", f"/v1/sessions/{session}/state", crafted)
        assert refused.status_code == 422
        assert name in json.loads(refused.body)["error"]["message"]


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
