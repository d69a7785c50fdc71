"""Bodies that no call takes, calls that are none, a token that is missing, a store that fails: an error in words."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from bad_requests import HEIGHT, WIDTH, error_of, raw_error
from function_client import Client, base64_of


@pytest.mark.parametrize(
    "data",
    [b"", b"   ", b"{", b'{"image": ', b"\xff\xfe", b"[1, 2]", b"5", b'"text"', b"null", b"true", b"[" * 100_000],
)
def test_no_json_object(client: Client, data: bytes) -> None:
    assert raw_error(client, data) == (400, "body")


@pytest.mark.parametrize("path", ["/v1/sessions", f"/v1/sessions/{'0' * 32}/rounds"])
def test_no_json_object_for_other_calls(client: Client, path: str) -> None:
    assert raw_error(client, b"[]", path=path) == (400, "body")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "pos_points"),
        ({"image": None, "pos_points": [[1, 1]]}, "image"),
        ({"pos_points": [[1, 1]]}, "image"),
        ({"image": 5, "pos_points": [[1, 1]]}, "image"),
        ({"image": "", "shapes": "x"}, "shapes"),
        ({"image": "", "shapes": [5]}, "shapes[0]"),
        ({"image": "", "states": {}}, "states"),
    ],
)
def test_missing_and_wrong_fields(client: Client, body: Any, field: str) -> None:
    status, name = error_of(client, body)
    assert status == 400
    assert str(name).startswith(field)


def test_a_body_over_the_limit(start: Callable[..., Client]) -> None:
    small = start(max_body_bytes=2048)
    assert error_of(small, {"image": "A" * 3000, "pos_points": [[1, 1]]}) == (413, "body")


def test_unknown_calls_and_methods(client: Client) -> None:
    assert raw_error(client, b"", "GET", "/v2") == (404, "path")
    response = client.raw("GET", "/")
    assert (response.status_code, response.headers["Allow"]) == (405, "POST")
    assert raw_error(client, b"", "PATCH", "/v1/sessions") == (405, "method")


def test_the_token_is_asked_for(start: Callable[..., Client], jpegs: list[bytes]) -> None:
    client = start(token="swordfish")
    body = {"frames": 3, "width": WIDTH, "height": HEIGHT}
    for header in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "swordfish"}):
        status, answer = client.call("POST", "/v1/sessions", body, **header)
        assert (status, answer["error"]["code"]) == (401, "unauthorized")
    assert client.call("POST", "/v1/sessions", body, Authorization="Bearer swordfish")[0] == 201
    assert client.call("GET", "/v1/info")[0] == 200
    assert client.cvat(jpegs[0], pos_points=[[20, 20]], neg_points=[])["shapes"]


def test_a_failing_store_is_503_and_a_bug_is_500_without_a_traceback(
    start: Callable[..., Client], jpegs: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = start()
    from function.store import MemoryStore, Unavailable

    def fail(error: Exception) -> Callable[..., None]:
        def get(*args: object) -> None:
            raise error

        return get

    body = {"image": base64_of(jpegs[0]), "pos_points": [[20, 20]]}
    for error, status in ((Unavailable("away"), 503), (MemoryError(), 503), (KeyError("details of a bug"), 500)):
        with monkeypatch.context() as patch:
            patch.setattr(MemoryStore, "get", fail(error))
            response = client.raw("POST", "/", json.dumps(body).encode(), "application/json")
        assert response.status_code == status
        assert "details of a bug" not in response.body
    assert client.call("POST", "/", body)[0] == 200
