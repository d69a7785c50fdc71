"""Where small objects are, and the windows around them."""

import numpy as np
import pytest
from numpy.typing import NDArray

from siaf.session.windows import MOST, Site, boxes_of, clusters, sites, widest


def drawn(*boxes: tuple[int, int, int, int], height: int = 1080, width: int = 1920) -> NDArray[np.uint8]:
    """Rectangles (left, top, right, bottom), tagged from 1."""
    mask = np.zeros((height, width), np.uint8)
    for tag, (left, top, right, bottom) in enumerate(boxes, 1):
        mask[top:bottom, left:right] = tag
    return mask


def found(mask: NDArray[np.uint8], most: int = 600) -> list[tuple[set[int], int]]:
    return [(set(site.tags), site.side) for site in sites(mask, range(1, 256), most)]


def test_a_window_is_three_times_as_wide_as_its_object_or_a_little_more() -> None:
    assert found(drawn((100, 100, 150, 180))) == [({1}, 256)]  # 3 × 80 = 240, in steps of √2 from 1


def test_no_window_is_narrower_than_160_pixels() -> None:
    assert found(drawn((100, 100, 104, 106))) == [({1}, 181)]


def test_objects_that_fit_into_one_window_share_it() -> None:
    assert found(drawn((100, 100, 140, 140), (150, 100, 190, 140))) == [({1, 2}, 181)]


def test_objects_far_from_each_other_have_windows_of_their_own_the_smallest_first() -> None:
    assert found(drawn((100, 100, 200, 200), (900, 700, 940, 740))) == [({2}, 181), ({1}, 362)]


def test_a_large_object_has_none() -> None:
    assert found(drawn((100, 100, 400, 400), (900, 700, 940, 740))) == [({2}, 181)]


def test_only_the_objects_that_are_asked_for_count() -> None:
    mask = drawn((100, 100, 140, 140), (900, 700, 940, 740))
    assert [site.tags for site in sites(mask, {2}, 600)] == [{2}]


def test_a_frame_has_at_most_eight() -> None:
    mask = drawn(*((200 * i, 100, 200 * i + 20 + i, 120) for i in range(9)))
    chosen = sites(mask, range(1, 256), 600)
    assert len(chosen) == MOST == 8
    assert 9 not in set().union(*(site.tags for site in chosen))


def test_the_widest_window_is_seen_1_5_times_as_fine_as_the_frame() -> None:
    assert widest(433, 433 / 1080) == 720


@pytest.mark.parametrize(
    ("box", "window"),
    [
        ((900, 500, 940, 540), (830, 430, 1010, 610)),
        ((0, 0, 40, 40), (0, 0, 180, 180)),
        ((1900, 1060, 1920, 1080), (1740, 900, 1920, 1080)),
    ],
)
def test_a_window_is_around_its_objects_and_inside_the_frame(
    box: tuple[int, int, int, int], window: tuple[int, int, int, int]
) -> None:
    assert Site(frozenset({1}), box, 180).window(1080, 1920) == window


@pytest.mark.parametrize(
    ("left", "side", "stays"),
    [(80, 180, True), (105, 180, True), (106, 180, False), (80, 90, True), (80, 80, False), (80, 200, False)],
)
def test_a_window_stays_until_its_objects_near_its_border_or_change_their_size(
    left: int, side: int, stays: bool
) -> None:
    site = Site(frozenset({1}), (left, 70, left + 40, 110), side)
    assert site.within((0, 0, 180, 180)) is stays


def test_boxes_of_what_a_mask_shows() -> None:
    mask = drawn((10, 20, 30, 40), (50, 20, 51, 21))
    assert boxes_of(mask, range(1, 256)) == {1: (10, 20, 30, 40), 2: (50, 20, 51, 21)}
    assert boxes_of(mask, {2, 3}) == {2: (50, 20, 51, 21)}


def test_boxes_that_fit_into_one_window_are_taken_together() -> None:
    boxes = [(0, 0, 10, 10), (500, 0, 510, 10), (100, 0, 110, 10)]
    assert clusters(boxes, 180) == [(0, 0, 110, 10), (500, 0, 510, 10)]
