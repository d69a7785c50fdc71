"""What a cheap request must not cost: many scans, many objects, large pictures."""

import gc
import io
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from function_client import Client, base64_of, encode
from PIL import Image

HEIGHT, WIDTH = 72, 96


def error_of(client: Client, body: Any) -> tuple[int, str]:
    status, answer = client.call("POST", "/", body)
    return status, answer.get("error", {}).get("field")


class TestScans:
    """A progressive JPEG whose scans are repeated."""

    @staticmethod
    def jpeg(repeats: int) -> bytes:
        out = io.BytesIO()
        Image.effect_noise((WIDTH, HEIGHT), 60).convert("RGB").save(out, "JPEG", progressive=True)
        data = out.getvalue()
        last = data.rindex(b"\xff\xda")
        return data[:last] + data[last:-2] * repeats + data[-2:]

    @pytest.mark.parametrize(("repeats", "status"), [(1, 200), (60, 200), (200, 413)])
    def test_a_hundred_are_enough(self, client: Client, repeats: int, status: int) -> None:
        body = {"image": base64_of(self.jpeg(repeats)), "pos_points": [[5, 5]]}
        assert error_of(client, body) == (status, None if status == 200 else "image")


class TestObjects:
    """Objects × pixels."""

    def test_many_boxes_on_a_large_picture_are_refused(self, start: Callable[..., Client], jpegs: list[bytes]) -> None:
        client = start(max_object_pixels=3 * HEIGHT * WIDTH)
        boxes = [corner for i in range(4) for corner in ([5 + i, 5], [30 + i, 30])]
        body = {"image": base64_of(jpegs[0]), "pos_points": [], "obj_bbox": boxes}
        assert error_of(client, body) == (413, "obj_bbox")
        assert error_of(client, {**body, "obj_bbox": boxes[:6]})[0] == 200

    @pytest.mark.parametrize("extra", [{}, {"tag": 1, "frame": 0, "frames": 2}])
    def test_and_many_polygons(self, start: Callable[..., Client], jpegs: list[bytes], extra: dict[str, int]) -> None:
        client = start(max_object_pixels=3 * HEIGHT * WIDTH)
        shape = {"type": "polygon", "points": [5, 5, 30, 5, 30, 30], **extra}
        assert error_of(client, {"image": base64_of(jpegs[0]), "shapes": [shape] * 4}) == (413, "shapes")
        assert error_of(client, {"image": base64_of(jpegs[0]), "shapes": [shape] * 3})[0] == 200

    def test_forty_polygons_at_4k_take_next_to_nothing(self, start: Callable[..., Client]) -> None:
        client = start(max_object_pixels=40 * 3840 * 2160)
        picture = encode(np.zeros((2160, 3840, 3), np.uint8))
        shapes = [{"type": "polygon", "points": [5 + i, 5, 1500, 5 + i, 1500, 1500]} for i in range(40)]
        tracemalloc.start()
        try:
            first = client.cvat(picture, shapes=shapes)
            gc.collect()
            assert tracemalloc.get_traced_memory()[0] < 8 * 2**20  # as much as one bitmap
        finally:
            tracemalloc.stop()
        assert list(client.service._tracker._tracks._live) == [first["states"][0]["revision"]]

    def test_masks_of_large_pictures_are_not_kept_for_long(self, start: Callable[..., Client]) -> None:
        client = start()
        tracks = client.service._tracker._tracks
        pictures = [encode(np.full((3000, 4000, 3), value, np.uint8)) for value in range(8)]
        states = client.cvat(pictures[0], shapes=[{"type": "rectangle", "points": [5, 5, 300, 300]}])["states"]
        for picture in pictures:
            states = client.cvat(picture, shapes=[None], states=states)["states"]
        masks = [kept.track.mask for kept in tracks._live.values() if kept.track.mask is not None]
        assert len(masks) > 1
        assert sum(mask.nbytes for mask in masks) <= 64 * 2**20
        assert client.cvat(pictures[0], shapes=[None], states=states)["states"]

    @pytest.mark.parametrize("box", [[], [[0, 0], [400, 400]]])
    def test_a_mask_is_no_larger_than_a_request_may_be(
        self, start: Callable[..., Client], box: list[list[float]]
    ) -> None:
        """A picture that is too large in any case, and one of which the object is."""
        picture = base64_of(encode(np.zeros((400, 400, 3), np.uint8)))
        body = {"image": picture, "pos_points": [] if box else [[200, 200]], "obj_bbox": box}
        most = 3 * 400 * 400 if box else 2 * 400 * 400 - 1
        status, answer = start(max_body_bytes=most, interactor_reply="mask").call("POST", "/", body)
        assert status == 413
        assert answer["error"]["field"] == "image"
        assert "SIAF_MAX_BODY_BYTES" in answer["error"]["message"]
        assert start(max_body_bytes=most, interactor_reply="shapes").call("POST", "/", body)[0] == 200
        assert start(max_body_bytes=4 * 400 * 400, interactor_reply="mask").call("POST", "/", body)[0] == 200
