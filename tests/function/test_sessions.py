"""Sessions over HTTP: frames that are uploaded once, states that move elsewhere, an end."""

from collections.abc import Callable

import numpy as np
from function_client import Client, encode
from http_rounds import FIRST, HEIGHT, SECOND, WIDTH, Masks, open_session, propagate, round_body
from numpy.typing import NDArray

Frames = NDArray[np.uint8]


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
    assert set(found) == set(range(12)) - {6}
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
