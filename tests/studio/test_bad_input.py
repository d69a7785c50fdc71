"""Whatever is sent, the answer says what is wrong with it, and the next call is answered."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from studio_client import FIRST, Page

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
    ("POST", "propagate", {"revision": 7}),
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
