"""Clicks, boxes and shapes that cannot be."""

from typing import Any

import pytest
from bad_requests import BOX, INFINITE, NAN, PICTURE, error_of, file
from function_client import Client, base64_of


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
