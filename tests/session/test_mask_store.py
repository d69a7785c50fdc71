"""Masks of many frames in little memory."""

import zlib

import numpy as np
import pytest

from siaf.session.mask_store import MaskStore, check_packed


def test_masks_come_back_and_may_be_changed_freely() -> None:
    store = MaskStore(4, 6)
    mask = np.arange(24, dtype=np.uint8).reshape(4, 6)
    store[5] = mask
    copy = store[5]
    copy[:] = 0
    assert np.array_equal(store[5], mask)
    assert 5 in store
    assert list(store) == [5]


def test_a_copy_is_independent() -> None:
    store = MaskStore(2, 2)
    store[0] = np.ones((2, 2), np.uint8)
    twin = store.copy()
    del store[0]
    assert list(twin) == [0]


def test_a_1080p_mask_takes_kilobytes() -> None:
    store = MaskStore(1080, 1920)
    mask = np.zeros((1080, 1920), np.uint8)
    mask[200:800, 300:900] = 3
    store[0] = mask
    assert len(store.packed(0)) < 20_000


@pytest.mark.parametrize(
    "data", [b"", b"junk", zlib.compress(bytes(3)), zlib.compress(bytes(5)), zlib.compress(bytes(10**7))]
)
def test_bytes_that_are_not_one_mask_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"not a mask|incorrect"):
        check_packed(data, 2, 2, "mask of frame 0")
