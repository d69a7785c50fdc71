"""CVAT's run lengths as cvat_sdk reads and writes them, polygons that give the same pixels back, boxes."""

import cvat_sdk.masks
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from siaf.errors import InputError
from siaf.masks import (
    as_index_mask,
    bounding_box,
    decode_rle,
    distance_to_outside,
    encode_rle,
    from_polygon,
    index_mask_to_rles,
    outline,
    rles_to_index_mask,
    to_polygons,
)


def random_bitmap(rng: np.random.Generator) -> np.ndarray:
    """Noise, blocks and nearly empty or full pictures of any size, never empty."""
    height, width = rng.integers(1, 40, 2)
    mask = rng.random((height, width)) < rng.choice([0.02, 0.3, 0.7, 0.98])
    if rng.random() < 0.4:
        y, x = rng.integers(0, height), rng.integers(0, width)
        mask[:] = False
        mask[y : y + rng.integers(1, 20), x : x + rng.integers(1, 20)] = True
    mask[rng.integers(0, height), rng.integers(0, width)] = True
    return mask


class TestRunLengths:
    def test_equal_cvat_sdk_both_ways_on_thousands_of_masks(self) -> None:
        rng = np.random.default_rng(7)
        for _ in range(4000):
            mask = random_bitmap(rng)
            height, width = mask.shape
            points = encode_rle(mask)
            assert points == cvat_sdk.masks.encode_mask(mask)
            ours = decode_rle(points, height=height, width=width)
            theirs = cvat_sdk.masks.decode_mask(points, image_width=width, image_height=height)
            assert np.array_equal(ours, mask)
            assert np.array_equal(theirs, mask)

    @pytest.mark.parametrize(
        ("rows", "points"),
        [
            (["......", "......", "...###", "...#.#", "......", "......"], [0, 4, 1, 1, 3, 2, 5, 3]),
            (["....", "..#.", "...."], [0, 1, 2, 1, 2, 1]),
            (["###.", "###.", "...."], [0, 6, 0, 0, 2, 1]),
            ([".#", "#."], [1, 2, 1, 0, 0, 1, 1]),
        ],
    )
    def test_contract_examples(self, rows: list[str], points: list[int]) -> None:
        mask = np.array([[c == "#" for c in row] for row in rows])
        assert encode_rle(mask) == points
        assert all(type(number) is int for number in encode_rle(mask))

    def test_a_transposed_view_encodes_like_its_copy(self) -> None:
        mask = random_bitmap(np.random.default_rng(1))
        assert encode_rle(mask.T) == encode_rle(np.ascontiguousarray(mask.T))

    def test_empty_mask_is_refused(self) -> None:
        with pytest.raises(InputError, match="empty"):
            encode_rle(np.zeros((4, 5), bool))

    def test_cvats_own_empty_mask_decodes_to_nothing(self) -> None:
        assert not decode_rle([1, 0, 0, 0, 0], height=3, width=3).any()

    def test_whole_floats_are_accepted_as_the_server_sends_them(self) -> None:
        assert decode_rle([0.0, 1.0, 2.0, 1.0, 2.0, 1.0], height=3, width=4).sum() == 1

    @pytest.mark.parametrize(
        ("points", "complaint"),
        [
            ([1, 2, 3, 4], "at least 5"),
            ([0, 1.5, 2, 1, 2, 1], "1.5"),
            ([0, float("nan"), 2, 1, 2, 1], "nan"),
            ([0, float("inf"), 2, 1, 2, 1], "inf"),
            ([0, 10**12, 2, 1, 2, 1], "whole pixel counts"),
            ([0, 10**30, 2, 1, 2, 1], "numbers"),
            ([0, "1", 2, 1, 2, 1], "numbers"),
            ([0, None, 2, 1, 2, 1], "numbers"),
            ([[0], 1, 2, 1, 2, 1], "numbers"),
            ([2, -1, 2, 1, 2, 1], "negative"),
            ([0, 2, 2, 1, 2, 1], "sum to 2"),
            ([0, 1, 2, 1, 1, 1], "no pixels"),
            ([0, 1, 9, 1, 9, 1], "leaves"),
            ([0, 1, -1, 1, -1, 1], "leaves"),
        ],
    )
    def test_bad_points_are_refused_and_the_field_is_named(self, points: list[float], complaint: str) -> None:
        with pytest.raises(InputError, match=complaint) as caught:
            decode_rle(points, height=3, width=4, field="shapes[2].points")
        assert caught.value.field == "shapes[2].points"

    @given(hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12)), st.data())
    def test_clipping_cuts_off_what_sticks_out(self, mask: np.ndarray, data: st.DataObject) -> None:
        mask[0, 0] = True
        height, width = mask.shape
        top, left = data.draw(st.integers(0, height)), data.draw(st.integers(0, width))
        rows, columns = data.draw(st.integers(1, 8)), data.draw(st.integers(1, 8))
        *runs, x0, y0, x1, y1 = encode_rle(mask)
        moved = [*runs, x0 - left, y0 - top, x1 - left, y1 - top]
        expected = np.zeros((rows, columns), bool)
        window = mask[top : top + rows, left : left + columns]
        expected[: window.shape[0], : window.shape[1]] = window
        assert np.array_equal(decode_rle(moved, height=rows, width=columns, clip=True), expected)

    def test_clipping_a_giant_box_needs_no_memory_for_it(self) -> None:
        side = 30_000
        points = [0, side * side, -5, -5, side - 6, side - 6]
        assert decode_rle(points, height=4, width=6, clip=True).all()


class TestIndexMask:
    @given(hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=16), elements=st.integers(0, 255)))
    def test_run_lengths_by_tag_give_the_mask_back(self, mask: np.ndarray) -> None:
        rles = index_mask_to_rles(mask)
        assert list(rles) == [tag for tag in np.unique(mask) if tag]
        assert all(rle == encode_rle(mask == tag) for tag, rle in rles.items())
        assert {type(number) for rle in rles.values() for number in rle} <= {int}  # JSON and XML show the difference
        back = rles_to_index_mask(rles, height=mask.shape[0], width=mask.shape[1])
        assert back.dtype == np.uint8
        assert np.array_equal(back, mask)

    def test_the_later_of_two_overlapping_objects_lies_on_top(self) -> None:
        below, above = [0, 4, 0, 0, 1, 1], [0, 1, 1, 1, 1, 1]
        assert rles_to_index_mask({9: below, 2: above}, height=2, width=2).tolist() == [[9, 9], [9, 2]]

    @pytest.mark.parametrize("tag", [0, 256, -1])
    def test_tags_outside_1_to_255_are_refused(self, tag: int) -> None:
        with pytest.raises(InputError, match="1 to 255"):
            rles_to_index_mask({tag: [0, 1, 0, 0, 0, 0]}, height=2, width=2)

    @pytest.mark.parametrize("dtype", [bool, np.uint8, np.uint16, np.int64])
    def test_any_whole_number_type_becomes_uint8(self, dtype: type) -> None:
        mask = as_index_mask(np.eye(3, dtype=dtype), height=3, width=3)
        assert mask.dtype == np.uint8
        assert mask.tolist() == np.eye(3).tolist()

    @pytest.mark.parametrize(
        ("array", "complaint"),
        [
            (np.zeros((2, 3), np.uint8), "3×2 pixels, the frame is 3×3"),
            (np.zeros((3, 3, 3), np.uint8), "3"),
            (np.zeros((3, 3)), "float64"),
            (np.full((3, 3), 256, np.uint16), "256"),
            (np.full((3, 3), -2, np.int32), "-2"),
        ],
    )
    def test_arrays_that_are_no_index_mask_are_refused(self, array: np.ndarray, complaint: str) -> None:
        with pytest.raises(InputError, match=complaint) as caught:
            as_index_mask(array, height=3, width=3, field="references[12]")
        assert caught.value.field == "references[12]"


class TestBoundingBox:
    def test_is_left_top_right_bottom_inclusive(self) -> None:
        mask = np.zeros((6, 8), bool)
        mask[2, 3] = mask[4, 6] = True
        assert bounding_box(mask) == (3, 2, 6, 4)

    def test_empty_mask_is_refused(self) -> None:
        with pytest.raises(InputError, match="empty"):
            bounding_box(np.zeros((6, 8), bool))


class TestPolygons:
    def test_polygons_with_their_holes_give_the_mask_back(self) -> None:
        rng = np.random.default_rng(3)
        for _ in range(500):
            mask = random_bitmap(rng)
            height, width = mask.shape
            drawn = np.zeros_like(mask)
            for part in to_polygons(mask):
                assert len(part.points) >= 3
                drawn |= from_polygon(part.points, height=height, width=width, holes=part.holes)
            assert np.array_equal(drawn, mask)

    def test_holes_are_reported_and_parts_come_largest_first(self) -> None:
        mask = np.zeros((20, 30), bool)
        mask[1:3, 1:3] = True
        mask[5:15, 10:20] = True
        mask[8:11, 13:16] = False
        large, small = to_polygons(mask)
        assert [len(large.holes), len(small.holes)] == [1, 0]
        assert large.points.min(axis=0).tolist() == [10, 5]
        assert small.points.max(axis=0).tolist() == [2, 2]

    def test_an_empty_mask_has_none(self) -> None:
        assert to_polygons(np.zeros((4, 4), bool)) == []

    def test_an_outline_has_few_corners_and_follows_the_largest_part(self) -> None:
        rows, columns = np.mgrid[:60, :80]
        disc = (rows - 30) ** 2 + (columns - 40) ** 2 <= 20**2
        mask = disc.copy()
        mask[2:4, 2:4] = True
        corners = outline(mask)
        assert 8 <= len(corners) <= 32 < len(to_polygons(mask)[0].points)
        drawn = from_polygon(corners, height=60, width=80)
        assert (drawn ^ disc).sum() <= 0.05 * disc.sum()

    def test_an_outline_of_a_single_pixel_has_three_corners(self) -> None:
        mask = np.zeros((4, 5), bool)
        mask[2, 3] = True
        assert outline(mask).tolist() == [[3, 2]] * 3

    def test_an_empty_mask_has_no_outline(self) -> None:
        with pytest.raises(InputError, match="mask: the mask is empty"):
            outline(np.zeros((4, 4), bool))

    def test_what_lies_outside_the_frame_is_cut_off(self) -> None:
        assert from_polygon([(-5, -5), (50, -5), (50, 50), (-5, 50)], height=4, width=3).all()

    @pytest.mark.parametrize(
        "points", [[(0, 0), (1, 1)], [0, 0, 1, 1, 2, 2], [(0, 0), (1, 1), (float("nan"), 2)], [("a", 1)] * 3]
    )
    def test_bad_points_are_refused(self, points: list) -> None:
        with pytest.raises(InputError) as caught:
            from_polygon(points, height=4, width=4)
        assert caught.value.field == "points"


def test_distances_are_roots_of_whole_numbers_wherever_the_array_lies() -> None:
    """OpenCV's own differ in the last bit from call to call, and a stroke's edge with them."""
    mask = np.random.default_rng(0).random((40, 57)) > 0.05
    held = [np.empty(size, np.uint8) for size in (1, 7, 100, 1000)]  # so that copies come to lie elsewhere
    found = [distance_to_outside(mask.copy()) for _ in held]
    assert all(np.array_equal(found[0], other) for other in found)
    y, x = np.nonzero(~mask)
    rows, cols = np.mgrid[:40, :57]
    squares = ((rows[..., None] - y) ** 2 + (cols[..., None] - x) ** 2).min(-1)
    assert np.array_equal(found[0], np.sqrt(squares.astype(np.float32)))
