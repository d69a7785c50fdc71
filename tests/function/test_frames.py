"""A session's frames come from the store, and the newest of them are not decoded again."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from function.state.frames import FramesMissing, StoredFrames, session_frame_key
from function.store.memory import MemoryStore


class CountingStore(MemoryStore):
    """Counts what is read."""

    reads = 0

    def get(self, key: str) -> bytes | None:
        self.reads += 1
        return super().get(key)


@pytest.fixture
def stored(clip: NDArray[np.uint8]) -> tuple[StoredFrames, CountingStore]:
    store = CountingStore(2**30)
    for i, frame in enumerate(clip):
        store.put(session_frame_key(str(i), *frame.shape[:2]), cv2.imencode(".png", frame[..., ::-1])[1].tobytes(), 60)
    height, width = clip.shape[1:3]
    return StoredFrames(store, {i: str(i) for i in range(len(clip))}, len(clip) + 1, height, width, 10**6), store


def test_a_frame_that_is_looked_at_again_is_read_once(
    stored: tuple[StoredFrames, CountingStore], clip: NDArray[np.uint8]
) -> None:
    source, store = stored
    for number in (3, 1, 3, 1):
        assert np.array_equal(source[number], clip[number])
    assert store.reads == 2


def test_every_access_gives_an_array_of_its_own(
    stored: tuple[StoredFrames, CountingStore], clip: NDArray[np.uint8]
) -> None:
    source, _ = stored
    for _ in range(3):
        source[3][:] = 0
    assert np.array_equal(source[3], clip[3])


def test_few_decoded_frames_are_kept(stored: tuple[StoredFrames, CountingStore], clip: NDArray[np.uint8]) -> None:
    source, store = stored
    source._decoded.room = 2 * clip[0].nbytes
    for number in (0, 1, 2, 1, 2, 0):
        source[number]
    assert store.reads == 4
    source._decoded.room = 0  # a frame larger than all room
    assert np.array_equal(source[5], clip[5])


def test_a_frame_that_nobody_uploaded_is_named(
    stored: tuple[StoredFrames, CountingStore], clip: NDArray[np.uint8]
) -> None:
    with pytest.raises(FramesMissing, match=f"1 must be uploaded first: {len(clip)}"):
        stored[0][len(clip)]
