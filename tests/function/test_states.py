"""State files from anyone: what does not fit is refused by name, before anything of it is used."""

import json
import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from crafted_states import crafted, document_of
from function_client import Client, base64_of
from numpy.typing import NDArray

from siaf import Scribble, Session
from siaf.model.loaded import Model
from siaf.session.state_file import dump_session

HEIGHT, WIDTH, FRAMES = 72, 96, 12
Frames = NDArray[np.uint8]
FLIPS = int(os.environ.get("FUZZ_EXAMPLES", "30"))


@pytest.fixture(scope="module")
def good(client: Client, clip: Frames) -> bytes:
    """A session in its third round, in the middle of a chain."""
    session = Session(client.service.model, clip)
    for frame, tag, x, y in ((3, 1, 20, 20), (8, 2, 45, 50), (11, 1, 60, 20)):
        session.interact({frame: [Scribble(tag, np.array([[x, y], [x + 10.0, y]]))]})
        for _ in session.propagate():
            if frame == 11 and session.pending <= 3 and session._propagator.lanes:
                break
    assert session.pending
    return dump_session(session)


@pytest.fixture
def path(client: Client, jpegs: list[bytes]) -> str:
    return new_session(client, jpegs)


def new_session(client: Client, jpegs: list[bytes]) -> str:
    session = client.ok("POST", "/v1/sessions", {"frames": FRAMES, "width": WIDTH, "height": HEIGHT})["id"]
    for number, image in enumerate(jpegs):
        client.upload(session, number, image)
    return f"/v1/sessions/{session}"


def put(client: Client, path: str, data: bytes) -> tuple[int, Any]:
    response = client.raw("PUT", f"{path}/state", data, "application/octet-stream")
    return response.status_code, json.loads(response.body)


def use(client: Client, path: str, jpegs: list[bytes]) -> None:
    """Everything that a session is for: no answer but a good one, or an error in words."""
    revision = client.ok("GET", path)["revision"]
    stroke = {"frame": 5, "strokes": [{"tag": 1, "points": [[30, 20]]}]}
    calls = [
        ("POST", "/propagate", {"budget_s": 20, "after": 0}),
        ("DELETE", "/objects/2", None),
        ("POST", "/propagate", {"budget_s": 20}),
        ("POST", "/rounds", {"revision": revision, "scribbles": [stroke]}),
        ("POST", "/undo", {"revision": revision}),
        ("POST", "/propagate", {"budget_s": 20}),
    ]
    for method, call, body in calls:
        if body and "revision" in body:
            body["revision"] = client.ok("GET", path)["revision"]
        status, answer = client.call(method, path + call, body)
        assert status in (200, 404, 409, 422), (call, answer, client.log.lines[-2:])
    client.cvat(jpegs[4], pos_points=[[50, 5]], neg_points=[])


def test_a_good_one_is_taken_and_goes_on(client: Client, path: str, good: bytes, jpegs: list[bytes]) -> None:
    assert put(client, path, good) == (200, {"revision": 1, "mode": "restored"})
    assert client.ok("POST", f"{path}/propagate", {"budget_s": 20, "after": 0})["done"] > 0
    use(client, path, jpegs)


def test_a_crafted_one_is_refused_by_name(client: Client, path: str, good: bytes, jpegs: list[bytes]) -> None:
    files = dict(crafted(good))
    assert len(files) >= 200
    for name, data in files.items():
        status, answer = put(client, path, data)
        assert (status, answer.get("error", {}).get("field")) == (422, "body"), (name, answer, client.log.lines[-2:])
    assert client.ok("GET", path)["revision"] == 0
    use(client, path, jpegs)


def test_nor_can_another_video_inherit_from_a_crafted_one(client: Client, good: bytes) -> None:
    path = f"/v1/sessions/{client.ok('POST', '/v1/sessions', {'frames': 3, 'width': 64, 'height': 48})['id']}"
    assert put(client, path, good)[1]["mode"] == "inherited"
    for name, data in crafted(good):
        fresh = f"/v1/sessions/{client.ok('POST', '/v1/sessions', {'frames': 3, 'width': 64, 'height': 48})['id']}"
        status, answer = put(client, fresh, data)
        stays_behind = name.startswith("rounds.0.scribbles.3.0.")  # where a stroke lies, that is
        assert status == 422 or (stays_behind and status == 200), (name, answer, client.log.lines[-2:])


def test_what_is_taken_of_random_changes_breaks_no_later_call(client: Client, good: bytes, jpegs: list[bytes]) -> None:
    rng, taken, path = random.Random(0), 0, new_session(client, jpegs)
    for _ in range(FLIPS):
        data = bytearray(good)
        for _ in range(rng.choice((1, 1, 3, 30))):
            data[rng.randrange(len(data) if rng.random() < 0.3 else 16_000)] = rng.choice(b'0123456789[]{},:"x \0\xff')
        status, answer = put(client, path, bytes(data))
        assert status in (200, 409, 422), (answer, client.log.lines[-2:])
        if status == 200:
            taken += 1
            use(client, path, jpegs)
            path = new_session(client, jpegs)
    assert taken >= FLIPS // 100


class TestInputSize:
    """A memory made at one input size is none at another."""

    @pytest.mark.parametrize(
        ("change", "named"), [({"short_side": 97}, "short_side"), ({"autocast": True}, "autocast")]
    )
    def test_a_session_of_another_one_is_refused_by_name(
        self, start: Any, jpegs: list[bytes], tmp_path: Path, change: dict[str, Any], named: str
    ) -> None:
        store = f"file:{tmp_path}"
        before = start(store=store)
        path = new_session(before, jpegs)
        round_ = {"revision": 0, "scribbles": [{"frame": 0, "strokes": [{"tag": 1, "points": [[15, 20]]}]}]}
        before.ok("POST", f"{path}/rounds", round_)
        before.ok("POST", f"{path}/propagate", {"budget_s": 20})
        box = {"type": "rectangle", "points": [5, 10, 25, 30]}
        states = before.cvat(jpegs[0], shapes=[box], states=[])["states"]
        states = before.cvat(jpegs[1], shapes=[None], states=states)["states"]
        state = before.raw("GET", f"{path}/state").body
        after = start(store=store, **change)
        status, answer = after.call("POST", f"{path}/propagate", {"budget_s": 20})
        assert (status, answer["error"]["field"]) == (422, "state")
        assert answer["error"]["message"].startswith(f"{named}: the state has ")
        status, answer = after.call(
            "POST",
            "/",
            {"image": base64_of(jpegs[2]), "shapes": [None], "states": states},
        )
        assert (status, answer["error"]["field"]) == (422, "states[0]")
        assert named in answer["error"]["message"]
        status, answer = put(after, new_session(after, jpegs), state)
        assert (status, named in answer["error"]["message"]) == (422, True)
        assert after.cvat(jpegs[0], pos_points=[[15, 20]], neg_points=[])["shapes"]  # a click stands alone

    def test_a_file_of_before_it_was_noted_is_judged_by_its_shapes(
        self, client: Client, start: Any, jpegs: list[bytes], good: bytes, tiny_model: Model
    ) -> None:
        from safetensors.torch import load, save

        older = {k: v for k, v in document_of(good).items() if k not in ("short_side", "autocast")}
        data = save(load(good), {"siaf": json.dumps(older)})
        assert put(client, new_session(client, jpegs), data)[0] == 200
        other = start(short_side=97)
        status, answer = put(other, new_session(other, jpegs), data)
        assert (status, "grid" in answer["error"]["message"]) == (422, True)
