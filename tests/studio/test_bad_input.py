"""Whatever is sent, the answer says what is wrong with it, and the next call is answered."""

import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from studio_client import FIRST, Page

CALLS = [
    ("POST", "hold", {"tab": "x", "take": False}),
    ("POST", "shown", {"frame": 1}),
    ("POST", "preview", {"frame": 1, "strokes": [FIRST], "boxes": [{"frame": 1, "tag": 1, "box": [1, 1, 9, 9]}]}),
    (
        "POST",
        "rounds",
        {
            "revision": 7,
            "scribbles": [{"frame": 1, "strokes": [FIRST]}],
            "boxes": [{"frame": 1, "tag": 1, "box": [1, 1, 9, 9]}],
            "references": [{"frame": 2, "masks": [{"tag": 1, "rle": [0, 4, 1, 1, 2, 2]}], "about": [1]}],
            "objects": [{"tag": 1, "label": "x", "origin": {"color": "#ff0000"}}],
        },
    ),
    ("POST", "propagate", {"revision": 7, "adapt": False}),
    ("POST", "undo", {"revision": 7}),
    ("PUT", "limits", {"revision": 7, "within": [1, 5], "barriers": [3]}),
    (
        "POST",
        "objects",
        {"revision": 7, "do": "swap", "tags": [1, 2], "from_frame": 3, "label": "x", "color": "#ff0000"},
    ),
]
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.lists(st.integers(-2, 300), max_size=7),
    st.lists(st.lists(st.floats(), max_size=3), max_size=3),
    st.dictionaries(st.text(max_size=4), st.integers(), max_size=2),
    st.sampled_from([10**400, -1, 255, 256, [[]], {}, "\ud800", "__proto__", 1e308, [[1e308, -1e308]]]),
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where in a body something else may stand."""
    found = [path]
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        found += places(inner, (*path, key))
    return found


def changed(body: Any, path: tuple[Any, ...], odd: Any) -> Any:
    """A copy of a body with something else at one place."""
    if not path:
        return odd
    twin = dict(body) if isinstance(body, dict) else list(body)
    twin[path[0]] = changed(twin[path[0]], path[1:], odd)
    return twin


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_odd_bodies_are_refused_in_words(page: Page, data: st.DataObject) -> None:
    method, call, body = data.draw(st.sampled_from(CALLS))
    odd = changed(body, data.draw(st.sampled_from(places(body))), data.draw(ODD))
    status, _, content = page.send(method, f"/api/{call}", json.dumps(odd).encode(), Content_Type="application/json")
    assert status < 500, content
    if status >= 400:
        error = json.loads(content)["error"]
        assert error["code"] and error["message"]
    page.do("POST", "hold", tab="first", take=True)
    assert page.get("session")["holder"]


@pytest.mark.parametrize(
    "path",
    [
        *("frames/", "frames/1/2", "frames/٣", "frames/1e3", "frames/%00", "frames/-1", "frames/99999999999999999999"),
        *("frames/1?width=", "frames/1?width=1.5", "frames/1?width=٣٣", "masks?frames=", "masks?frames=1,,2"),
        *("masks?first=1", "masks?frames=1&of=", "progress?after=x", "export/", "export/..%2f..", "%ff", ""),
    ],
)
def test_odd_paths_are_refused_in_words(page: Page, path: str) -> None:
    status, _, content = page.send("GET", "/api/" + quote(path, safe="/?=&%,"))
    assert status in (400, 404), content
    assert json.loads(content)["error"]["field"]


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"revision": 1e999}', b"\xff", b'{"revision": NaN}', b"null", b'"'])
def test_bodies_that_are_hardly_json(page: Page, body: bytes) -> None:
    status, _, content = page.send("POST", "/api/undo", body, Content_Type="application/json")
    assert status == 400
    assert json.loads(content)["error"]["field"] in ("body", "revision")
