"""Index masks of many frames, kept small."""

import zlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.uint8]


class MaskStore:
    """Frame → uint8 H×W index mask; deflated, because a thousand raw 1080p masks are 2 GB and compressed ones 10 MB."""

    def __init__(self, height: int, width: int) -> None:
        self.height, self.width = height, width
        self._packed: dict[int, bytes] = {}

    def __setitem__(self, frame: int, mask: Mask) -> None:
        self._packed[frame] = zlib.compress(np.ascontiguousarray(mask).tobytes(), 1)

    def __getitem__(self, frame: int) -> Mask:
        return unpacked(self._packed[frame], self.height, self.width)

    def __delitem__(self, frame: int) -> None:
        del self._packed[frame]

    def __contains__(self, frame: int) -> bool:
        return frame in self._packed

    def __iter__(self) -> Iterator[int]:
        return iter(sorted(self._packed))

    def __len__(self) -> int:
        return len(self._packed)

    def packed(self, frame: int) -> bytes:
        """The stored bytes: equal for equal masks."""
        return self._packed[frame]

    @classmethod
    def of_packed(cls, packed: dict[int, bytes], height: int, width: int) -> "MaskStore":
        """A store of bytes that `check_packed` has seen: often one mask is that of many frames."""
        store = cls(height, width)
        store._packed = packed
        return store

    def copy(self) -> "MaskStore":
        """An independent store; the packed masks are shared, as they never change."""
        twin = MaskStore(self.height, self.width)
        twin._packed = dict(self._packed)
        return twin


def unpacked(packed: bytes, height: int, width: int) -> Mask:
    """The mask uint8 H×W of stored bytes."""
    return np.frombuffer(zlib.decompress(packed), np.uint8).reshape(height, width).copy()


def check_packed(data: bytes, height: int, width: int, name: str) -> None:
    """ValueError naming `name` unless `data` holds exactly one mask of this size; no more than that is unpacked."""
    unpacker = zlib.decompressobj()
    try:
        raw = unpacker.decompress(data, height * width + 1)
    except zlib.error as error:
        raise ValueError(f"{name}: {error}") from None
    if len(raw) != height * width or not unpacker.eof or unpacker.unused_data:
        raise ValueError(f"{name}: not a mask of {height}x{width} pixels")
