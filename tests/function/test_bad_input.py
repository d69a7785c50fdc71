"""Whatever comes in: the right status, an error that names the field, and the next request is served."""

import io
import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from function_client import Client, base64_of
from numpy.typing import NDArray
from PIL import Image

from siaf.masks import decode_rle

HEIGHT, WIDTH = 72, 96
Frames = NDArray[np.uint8]
RNG = np.random.default_rng(5)
PICTURE = Image.fromarray(RNG.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8))
BOX = {"type": "rectangle", "points": [5, 10, 25, 30]}
NAN, INFINITE = float("nan"), float("inf")


def file(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


@pytest.fixture(autouse=True)
def _alive(client: Client, jpegs: list[bytes]) -> Iterator[None]:
    """After every request the function still answers."""
    yield
    assert client.cvat(jpegs[0], pos_points=[[20, 20]], neg_points=[])["mask"]


def error_of(client: Client, body: Any, method: str = "POST", path: str = "/") -> tuple[int, str | None]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return raw_error(client, data, method, path)


def raw_error(client: Client, data: bytes, method: str = "POST", path: str = "/") -> tuple[int, str | None]:
    response = client.raw(method, path, data, "application/json")
    assert response.content_type == "application/json"
    answer = json.loads(response.body)
    assert answer.keys() == {"error"}
    assert answer["error"].keys() == {"code", "message", "field"}
    assert "Traceback" not in response.body
    assert answer["error"]["message"]
    return response.status_code, answer["error"]["field"]


class TestBody:
    """What is not the JSON object that a call takes."""

    @pytest.mark.parametrize(
        "data",
        [b"", b"   ", b"{", b'{"image": ', b"\xff\xfe", b"[1, 2]", b"5", b'"text"', b"null", b"true", b"[" * 100_000],
    )
    def test_no_json_object(self, client: Client, data: bytes) -> None:
        assert raw_error(client, data) == (400, "body")

    @pytest.mark.parametrize("path", ["/v1/sessions", f"/v1/sessions/{'0' * 32}/rounds"])
    def test_no_json_object_for_other_calls(self, client: Client, path: str) -> None:
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
    def test_missing_and_wrong_fields(self, client: Client, body: Any, field: str) -> None:
        status, name = error_of(client, body)
        assert status == 400
        assert str(name).startswith(field)

    def test_a_body_over_the_limit(self, start: Callable[..., Client]) -> None:
        small = start(max_body_bytes=2048)
        assert error_of(small, {"image": "A" * 3000, "pos_points": [[1, 1]]}) == (413, "body")

    def test_unknown_calls_and_methods(self, client: Client) -> None:
        assert raw_error(client, b"", "GET", "/v2") == (404, "path")
        response = client.raw("GET", "/")
        assert (response.status_code, response.headers["Allow"]) == (405, "POST")
        assert raw_error(client, b"", "PATCH", "/v1/sessions") == (405, "method")


class TestImage:
    """Files that are none, that are damaged, or that are out of the ordinary."""

    def status(self, client: Client, data: bytes) -> tuple[int, str | None]:
        return error_of(client, {"image": base64_of(data), "pos_points": [[5, 5]], "neg_points": []})

    @pytest.mark.parametrize("text", ["%%%", "äöü", "QQ", "data:image/png;base64,QQ==", "Q\nQ=="])
    def test_not_base64(self, client: Client, text: str) -> None:
        assert error_of(client, {"image": text, "pos_points": [[5, 5]]}) == (415, "image")

    @pytest.mark.parametrize(
        "data",
        [b"", b"no image", b"%PDF-1.4", b"<svg xmlns='http://www.w3.org/2000/svg'/>", file(PICTURE)[:500]],
    )
    def test_not_an_image(self, client: Client, data: bytes) -> None:
        assert self.status(client, data) == (415, "image")

    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
    def test_a_truncated_image(self, client: Client, kind: str) -> None:
        data = file(PICTURE, kind)
        assert self.status(client, data[: len(data) // 2]) == (415, "image")

    def test_a_decompression_bomb(self, client: Client) -> None:
        bomb = file(Image.new("1", (20_000, 20_000)))
        assert len(bomb) < 100_000
        assert self.status(client, bomb) == (413, "image")

    @pytest.mark.parametrize(
        ("data", "size"),
        [
            (file(Image.new("RGB", (1, 1))), (1, 1)),
            (file(PICTURE.convert("CMYK"), "JPEG"), (HEIGHT, WIDTH)),
            (file(Image.fromarray(RNG.integers(0, 65535, (40, 50)).astype(np.uint16))), (40, 50)),
            (file(PICTURE.convert("LA")), (HEIGHT, WIDTH)),
            (file(PICTURE.convert("P")), (HEIGHT, WIDTH)),
            (file(PICTURE, "GIF", save_all=True, append_images=[PICTURE.rotate(180)]), (HEIGHT, WIDTH)),
            (file(Image.new("RGB", (3, 2000))), (2000, 3)),
        ],
        ids=["1x1", "CMYK", "16 bit", "grey with alpha", "palette", "animated GIF", "very narrow"],
    )
    def test_unusual_images_are_taken(self, client: Client, data: bytes, size: tuple[int, int]) -> None:
        mask = client.cvat(data, pos_points=[[0, 0]], neg_points=[])["mask"]
        assert np.shape(mask) == size

    def test_a_rotated_image_counts_as_shown(self, client: Client) -> None:
        exif = Image.Exif()
        exif[0x0112] = 6
        mask = client.cvat(file(PICTURE, "JPEG", exif=exif), pos_points=[[70, 90]], neg_points=[])["mask"]
        assert np.shape(mask) == (WIDTH, HEIGHT)

    def test_a_rotated_frame_counts_as_shown_in_every_call(self, client: Client) -> None:
        """Upright size for an uploaded frame and for the tracker too."""
        exif = Image.Exif()
        exif[0x0112] = 6
        turned = file(PICTURE, "JPEG", exif=exif)
        session = client.ok("POST", "/v1/sessions", {"frames": 1, "width": HEIGHT, "height": WIDTH})["id"]
        assert client.upload(session, 0, turned)["frame"] == 0
        strokes = [{"tag": 1, "points": [[60, 90]]}]
        round_ = {"revision": 0, "scribbles": [{"frame": 0, "strokes": strokes}]}
        (frame,) = client.ok("POST", f"/v1/sessions/{session}/rounds", round_)["frames"]
        assert decode_rle(frame["masks"][0]["rle"], height=WIDTH, width=HEIGHT)[90, 60]
        box = {"type": "rectangle", "points": [10, 80, 40, 95]}
        states = client.cvat(turned, shapes=[box], states=[])["states"]
        assert client.cvat(turned, shapes=[None], states=states)["shapes"][0]["type"] == "rectangle"


class TestPoints:
    """Clicks and boxes that cannot be."""

    @pytest.mark.parametrize(
        ("fields", "status", "field"),
        [
            ({"pos_points": [[NAN, 5]]}, 400, "pos_points[0][0]"),
            ({"pos_points": [[5, INFINITE]]}, 400, "pos_points[0][1]"),
            ({"pos_points": [["5", 5]]}, 400, "pos_points[0][0]"),
            ({"pos_points": [[10**400, 5]]}, 400, "pos_points[0][0]"),
            ({"pos_points": [[5]]}, 400, "pos_points[0]"),
            ({"pos_points": [[5, 5, 5]]}, 400, "pos_points[0]"),
            ({"pos_points": [5, 5]}, 400, "pos_points[0]"),
            ({"pos_points": "5,5"}, 400, "pos_points"),
            ({"pos_points": [[1e308, 5]]}, 422, "pos_points[0].points"),
            ({"pos_points": [[5, 5], [-500, 5]]}, 422, "pos_points[0].points"),
            ({"pos_points": [[5, 5]], "neg_points": [[5000, 5]]}, 422, "neg_points[0].points"),
            ({"pos_points": [[5, 5]] * 100_000}, 413, "pos_points"),
            ({"pos_points": [], "neg_points": []}, 422, "pos_points"),
            ({"pos_points": None, "neg_points": None, "obj_bbox": None}, 422, "pos_points"),
            ({"pos_points": [], "neg_points": [[5, 5]]}, 422, "pos_points"),
            ({"pos_points": [], "obj_bbox": [[5, 5]]}, 400, "obj_bbox"),
            ({"pos_points": [], "obj_bbox": [[20, 20], [10, 30]]}, 422, "obj_bbox"),
            ({"pos_points": [], "obj_bbox": [[10, 10], [10, 30]]}, 422, "obj_bbox"),
            ({"pos_points": [], "obj_bbox": [[100, 80], [110, 90]]}, 422, "obj_bbox"),
            ({"pos_points": [], "obj_bbox": [5, 5, 20, 20]}, 400, "obj_bbox[0]"),
            ({"pos_points": [[5, 5]], "threshold": 7}, 400, "threshold"),
        ],
    )
    def test_refused_by_name(self, client: Client, fields: dict[str, Any], status: int, field: str) -> None:
        assert error_of(client, {"image": base64_of(file(PICTURE)), **fields}) == (status, field)


class TestShapes:
    """Tracker calls that cannot be."""

    @pytest.mark.parametrize(
        ("shape", "status", "field"),
        [
            ({"type": "cuboid", "points": [1] * 16}, 422, "shapes[0].type"),
            ({"points": [1, 2, 3, 4]}, 422, "shapes[0].type"),
            ({"type": "rectangle"}, 400, "shapes[0].points"),
            ({"type": "rectangle", "points": [1, 2, 3]}, 400, "shapes[0].points"),
            ({"type": "rectangle", "points": ["1", 2, 3, 4]}, 400, "shapes[0].points"),
            ({"type": "rectangle", "points": [1, NAN, 3, 4]}, 400, "shapes[0].points"),
            ({"type": "rectangle", "points": [1, 10**400, 3, 4]}, 400, "shapes[0].points"),
            ({"type": "mask", "points": [10**400] * 6}, 400, "shapes[0].points"),
            ({"type": "rectangle", "points": [30, 10, 20, 20]}, 422, "shapes[0].points"),
            ({"type": "rectangle", "points": [10, 10, 10, 20]}, 422, "shapes[0].points"),
            ({"type": "rectangle", "points": [1e9, 1e9, 2e9, 2e9]}, 422, "shapes[0].points"),
            ({"type": "rectangle", "points": [1, 2] * 3}, 422, "shapes[0].points"),
            ({"type": "polygon", "points": [1, 2, 3, 4]}, 422, "shapes[0].points"),
            ({"type": "polygon", "points": [200, 200, 220, 200, 220, 220]}, 422, "shapes[0].points"),
            ({"type": "polyline", "points": []}, 400, "shapes[0].points"),
            ({"type": "points", "points": [9000, 9000]}, 422, "shapes[0].points"),
            ({"type": "polyline", "points": [5, 5] * 100_000}, 413, "shapes[0].points"),
            ({"type": "mask", "points": [2, 3, 1, 5, 10, 20, 14, 21]}, 422, "shapes[0].points"),
            ({"type": "mask", "points": [2, -3, 6, 5, 10, 20, 14, 21]}, 422, "shapes[0].points"),
            ({"type": "mask", "points": [2.5, 2.5, 1, 4, 10, 20, 14, 21]}, 422, "shapes[0].points"),
            ({"type": "mask", "points": [10, 10, 20, 14, 21]}, 422, "shapes[0].points"),
            ({"type": "mask", "points": [1, 2]}, 422, "shapes[0].points"),
            ({"type": "mask", "points": []}, 422, "shapes[0].points"),
            ({"type": "\ud800", "points": [1, 2, 3, 4]}, 422, "shapes[0].type"),
            ({"type": "polyline", "points": [5, 5, 9, 9], "tag": 256}, 400, "shapes[0].tag"),
            ({"type": "polyline", "points": [5, 5, 9, 9], "tag": 1, "width": 10**400}, 400, "shapes[0].width"),
            ({"type": "polyline", "points": [5, 5, 9, 9], "tag": 1, "width": NAN}, 400, "shapes[0].width"),
            (
                {"type": "polyline", "points": [5, 5, 9, 9], "tag": 1, "frame": 0, "frames": 2, "width": 0},
                422,
                "shapes[0].width",
            ),
            ({"type": "polyline", "points": [5, 5, 9, 9], "tag": 1, "polarity": "no"}, 400, "shapes[0].polarity"),
            (
                {"type": "polyline", "points": [5, 5, 9, 9], "tag": 0, "frame": 0, "frames": 2, "polarity": "negative"},
                422,
                "shapes[0].polarity",
            ),
            ({**BOX, "tag": 1, "polarity": "negative"}, 400, "shapes[0].polarity"),
            ([1, 2, 3], 400, "shapes[0]"),
            ([5, 5, 9, 9] * 50_000, 413, "shapes[0]"),
            (None, 422, "shapes[0]"),
        ],
    )
    def test_refused_by_name(self, client: Client, shape: Any, status: int, field: str) -> None:
        body = {"image": base64_of(file(PICTURE)), "shapes": [shape], "states": []}
        assert error_of(client, body) == (status, field)

    @pytest.mark.parametrize("count", [1, 3])
    def test_shapes_and_states_of_different_length(self, client: Client, count: int) -> None:
        states = client.cvat(file(PICTURE), shapes=[BOX, BOX], states=[])["states"]
        body = {"image": base64_of(file(PICTURE)), "shapes": [None] * count, "states": states}
        assert error_of(client, body) == (422, "states")

    def test_a_picture_of_another_size_than_the_track_is_named_as_the_request_has_it(self, client: Client) -> None:
        states = client.cvat(file(PICTURE), shapes=[BOX], states=[])["states"]
        body = {"image": base64_of(file(PICTURE.resize((50, 50)))), "shapes": [None], "states": states}
        assert error_of(client, body) == (422, "image")

    def test_too_many_shapes(self, client: Client) -> None:
        body = {"image": base64_of(file(PICTURE)), "shapes": [BOX] * 256, "states": []}
        assert error_of(client, body) == (400, "shapes")


class TestRounds:
    """Calls of `/v1` that cannot be."""

    @pytest.fixture
    def session(self, client: Client, jpegs: list[bytes]) -> str:
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
    def test_opening(self, client: Client, body: Any, status: int, field: str) -> None:
        assert error_of(client, body, path="/v1/sessions") == (status, field)

    @pytest.mark.parametrize("session", ["0" * 32, "x", "../../etc/passwd", "%00", "0" * 31 + "G"])
    def test_sessions_that_are_none(self, client: Client, session: str) -> None:
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
    def test_rounds(self, client: Client, session: str, round_: Any, status: int, field: str) -> None:
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
    def test_propagating(self, client: Client, session: str, body: Any, status: int, field: str) -> None:
        assert error_of(client, body, path=f"/v1/sessions/{session}/propagate") == (status, field)

    def test_uploading(self, client: Client, session: str, jpegs: list[bytes]) -> None:
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
    def test_states_that_are_none(self, client: Client, session: str, data: bytes) -> None:
        response = client.raw("PUT", f"/v1/sessions/{session}/state", data, "application/octet-stream")
        assert (response.status_code, json.loads(response.body)["error"]["field"]) == (422, "body")

    def test_a_frame_that_was_forgotten_is_asked_for_again(
        self, client: Client, session: str, jpegs: list[bytes]
    ) -> None:
        path = f"/v1/sessions/{session}"
        round_ = {"revision": 0, "scribbles": [{"frame": 0, "strokes": [{"tag": 1, "points": [[20, 20]]}]}]}
        client.ok("POST", f"{path}/rounds", round_)
        digest = client.upload(session, 2, jpegs[2])["digest"]
        client.service._store.delete(f"frame/{digest}-{WIDTH}x{HEIGHT}")
        assert error_of(client, {}, path=f"{path}/propagate") == (409, "frames")
        assert client.ok("POST", f"{path}/frames/missing", {})["missing"] == [2]
        client.upload(session, 2, jpegs[2])
        assert client.ok("POST", f"{path}/propagate", {"budget_s": 20, "after": 0})["done"] == 2

    def test_an_expired_session(self, start: Callable[..., Client]) -> None:
        client = start(session_ttl=1)
        session = client.ok("POST", "/v1/sessions", {"frames": 3, "width": WIDTH, "height": HEIGHT})["id"]
        client.service._store.touch([f"session/{session}/record"], 0.0)
        assert client.call("GET", f"/v1/sessions/{session}")[0] == 404


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
