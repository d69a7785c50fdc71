"""Index masks of many frames, kept small."""

import zlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.uint8]


class MaskStore:
    """Frame → uint8 H×W index mask; deflated, because a thousand raw 1080p masks are 2 GB and compressed ones 10 MB."""

    def __init__(self, height: int, width: int) -> None:
        self._shape = (height, width)
        self._packed: dict[int, bytes] = {}

    def __setitem__(self, frame: int, mask: Mask) -> None:
        self._packed[frame] = zlib.compress(np.ascontiguousarray(mask).tobytes(), 1)

    def __getitem__(self, frame: int) -> Mask:
        return np.frombuffer(zlib.decompress(self._packed[frame]), np.uint8).reshape(self._shape).copy()

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

    def put_packed(self, frame: int, data: bytes) -> None:
        """Take bytes that `packed` gave; ValueError unless they hold exactly one mask of this size."""
        unpacker = zlib.decompressobj()
        try:
            raw = unpacker.decompress(data, self._shape[0] * self._shape[1] + 1)
        except zlib.error as error:
            raise ValueError(str(error)) from None
        if len(raw) != self._shape[0] * self._shape[1] or not unpacker.eof:
            raise ValueError(f"not a mask of {self._shape[0]}x{self._shape[1]} pixels")
        self._packed[frame] = data

    def copy(self) -> "MaskStore":
        """An independent store; the packed masks are shared, as they never change."""
        twin = MaskStore(*self._shape)
        twin._packed = dict(self._packed)
        return twin
