"""Calls of `/v1` that cannot be."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from bad_requests import HEIGHT, NAN, PICTURE, WIDTH, error_of, file
from function_client import Client


@pytest.fixture
def session(client: Client, jpegs: list[bytes]) -> str:
    session = client.ok("POST", "/v1/sessions", {"frames": 3, "width": WIDTH, "height": HEIGHT})["id"]
    for number in range(3):
        client.upload(session, number, jpegs[number])
    return str(session)


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"frames": 0, "width": 5, "height": 5}, 400, "frames"),
        ({"frames": 1.5, "width": 5, "height": 5}, 400, "frames"),
        ({"frames": "1", "width": 5, "height": 5}, 400, "frames"),
        ({"frames": 1, "width": 5}, 400, "height"),
        ({"frames": 1, "width": 5, "height": 5, "hight": 5}, 400, "hight"),
        ({"frames": 10**9, "width": 5, "height": 5}, 413, "frames"),
        ({"frames": 1, "width": 10**6, "height": 10**6}, 413, "width"),
    ],
)
def test_opening(client: Client, body: Any, status: int, field: str) -> None:
    assert error_of(client, body, path="/v1/sessions") == (status, field)


@pytest.mark.parametrize("session", ["0" * 32, "x", "../../etc/passwd", "%00", "0" * 31 + "G"])
def test_sessions_that_are_none(client: Client, session: str) -> None:
    for method, tail in (("GET", ""), ("DELETE", ""), ("GET", "/state")):
        assert client.raw(method, f"/v1/sessions/{session}{tail}").status_code == 404
    assert error_of(client, {}, path=f"/v1/sessions/{session}/propagate")[0] == 404


@pytest.mark.parametrize(
    ("round_", "status", "field"),
    [
        ({}, 422, "scribbles"),
        ({"scribbles": [{"frame": 3, "strokes": [{"tag": 1, "points": [[5, 5]]}]}]}, 422, "frame"),
        ({"scribbles": [{"frame": -1, "strokes": [{"tag": 1, "points": [[5, 5]]}]}]}, 400, "scribbles[0].frame"),
        ({"scribbles": [{"frame": 0, "strokes": []}]}, 400, "scribbles[0].strokes"),
        (
            {"scribbles": [{"frame": 0, "strokes": [{"tag": 256, "points": [[5, 5]]}]}]},
            400,
            "scribbles[0].strokes[0].tag",
        ),
        (
            {"scribbles": [{"frame": 0, "strokes": [{"tag": 1, "points": [[NAN, 5]]}]}]},
            400,
            "scribbles[0].strokes[0].points[0][0]",
        ),
        (
            {"scribbles": [{"frame": 0, "strokes": [{"tag": 1, "points": [[900, 5]]}]}]},
            422,
            "scribbles[0][0].points",
        ),
        (
            {"scribbles": [{"frame": 0, "strokes": [{"tag": 0, "points": [[5, 5]], "polarity": "negative"}]}]},
            422,
            "scribbles[0].strokes[0].polarity",
        ),
        ({"scribbles": [{"frame": 0, "strokes": [{"tag": 1, "points": [[5, 5]] * 60_000}]}]}, 413, "scribbles"),
        (
            {"references": [{"frame": 0, "masks": [{"tag": 1, "rle": [5, 5, 0, 0, 2, 2]}]}]},
            422,
            "references[0].masks[1]",
        ),
        (
            {"references": [{"frame": 0, "masks": [{"tag": 1, "rle": [1, 8, 95, 0, 97, 2]}]}]},
            422,
            "references[0].masks[1]",
        ),
        ({"references": [{"frame": 0, "masks": [], "about": [0]}]}, 400, "references[0].about[0]"),
        (
            {
                "scribbles": [{"frame": 0, "strokes": [{"tag": 1, "points": [[5, 5]]}]}],
                "objects": [{"tag": 9, "label": "x"}],
            },
            422,
            "objects[0].tag",
        ),
    ],
)
def test_rounds(client: Client, session: str, round_: Any, status: int, field: str) -> None:
    body = {"revision": 0, **round_}
    assert error_of(client, body, path=f"/v1/sessions/{session}/rounds") == (status, field)
    assert client.ok("GET", f"/v1/sessions/{session}")["revision"] == 0
    assert client.ok("GET", f"/v1/sessions/{session}")["objects"] == []


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"budget_s": 0}, 400, "budget_s"),
        ({"budget_s": "5"}, 400, "budget_s"),
        ({"budget_s": NAN}, 400, "budget_s"),
        ({"after": -1}, 400, "after"),
        ({"revision": 7}, 409, "revision"),
    ],
)
def test_propagating(client: Client, session: str, body: Any, status: int, field: str) -> None:
    assert error_of(client, body, path=f"/v1/sessions/{session}/propagate") == (status, field)


def test_uploading(client: Client, session: str, jpegs: list[bytes]) -> None:
    path = f"/v1/sessions/{session}/frames"

    def status(number: str, data: bytes, content_type: str = "image/png") -> tuple[int, str]:
        response = client.raw("PUT", f"{path}/{number}", data, content_type)
        return response.status_code, json.loads(response.body)["error"]["field"]

    assert status("3", jpegs[0]) == (422, "frame")
    assert status("x", jpegs[0]) == (404, "frame")
    assert status("-1", jpegs[0]) == (404, "frame")
    assert status("0", b"") == (400, "body")
    assert status("0", b"no image") == (415, "body")
    assert status("0", b'{"a": 1}', "application/json") == (415, "body")
    assert status("0", file(PICTURE.resize((50, 40)))) == (422, "body")
    assert status("0", jpegs[1]) == (409, "frame")


@pytest.mark.parametrize("data", [b"x", bytes(100), b"\xff" * 8, json.dumps({}).encode().ljust(64)])
def test_states_that_are_none(client: Client, session: str, data: bytes) -> None:
    response = client.raw("PUT", f"/v1/sessions/{session}/state", data, "application/octet-stream")
    assert (response.status_code, json.loads(response.body)["error"]["field"]) == (422, "body")


def test_a_frame_that_was_forgotten_is_asked_for_again(client: Client, session: str, jpegs: list[bytes]) -> None:
    path = f"/v1/sessions/{session}"
    round_ = {"revision": 0, "scribbles": [{"frame": 0, "strokes": [{"tag": 1, "points": [[20, 20]]}]}]}
    client.ok("POST", f"{path}/rounds", round_)
    digest = client.upload(session, 2, jpegs[2])["digest"]
    client.service._store.delete(f"frame/{digest}-{WIDTH}x{HEIGHT}")
    assert error_of(client, {}, path=f"{path}/propagate") == (409, "frames")
    assert client.ok("POST", f"{path}/frames/missing", {})["missing"] == [2]
    client.upload(session, 2, jpegs[2])
    assert client.ok("POST", f"{path}/propagate", {"budget_s": 20, "after": 0})["done"] == 2


def test_an_expired_session(start: Callable[..., Client]) -> None:
    client = start(session_ttl=1)
    session = client.ok("POST", "/v1/sessions", {"frames": 3, "width": WIDTH, "height": HEIGHT})["id"]
    client.service._store.touch([f"session/{session}/record"], 0.0)
    assert client.call("GET", f"/v1/sessions/{session}")[0] == 404
