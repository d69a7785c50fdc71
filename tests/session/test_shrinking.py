"""What a round took away is named: which object, on which frames."""

import numpy as np
import pytest

from siaf.session.shrinking import areas, losses, ranges, summarise


def test_areas_count_pixels_by_tag_without_the_background() -> None:
    assert areas(np.array([[0, 2, 2], [7, 0, 2]], np.uint8)) == {2: 3, 7: 1}


def test_a_loss_is_more_than_half_and_says_whether_the_object_is_gone() -> None:
    before = {1: 100, 2: 100, 3: 100, 4: 100}
    assert losses(before, {1: 50, 2: 49, 4: 300}, pixels=10_000) == {2: False, 3: True}


def test_what_is_too_small_to_be_missed_is_not_named() -> None:
    assert losses({1: 4, 2: 5}, {}, pixels=10_000) == {2: True}


def test_frames_are_told_as_ranges_by_object_and_kind() -> None:
    by_frame = {f: {2: True} for f in range(39, 50)} | {52: {2: True}, 37: {2: False}, 38: {2: False, 1: True}}
    assert [str(one) for one in summarise(by_frame)] == [
        "object 1 is gone on 38",
        "object 2 is less than half of what it was on 37–38",
        "object 2 is gone on 39–49, 52",
    ]


def test_no_frames_are_no_range() -> None:
    assert ranges([]) == ""


@pytest.mark.parametrize("shape", [(1, 1), (7, 5), (40, 30)])
def test_areas_count_every_pixel(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    for mask in (np.zeros(shape, np.uint8), np.full(shape, 255, np.uint8), rng.integers(0, 4, shape, dtype=np.uint8)):
        assert areas(mask) == {int(t): int((mask == t).sum()) for t in np.unique(mask) if t}
        assert areas(np.asfortranarray(mask)) == areas(mask)
