"""What an engine encoded of frames that it was asked about, kept because people ask about the same ones again."""

from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from siaf.lru import LruCache


class Encodings:
    """The newest encoding of each frame, of at most `room` frames, some 12 MB for each ten objects."""

    def __init__(self, room: int) -> None:
        self._kept: LruCache[int, tuple[bytes, Any]] = LruCache(room)

    def find(self, frame: int, marks: bytes) -> Any | None:
        """A frame's encoding, if it was made with the same `marks`."""
        made_with, encoding = self._kept.get(frame) or (b"", None)
        return encoding if made_with == marks else None

    def keep(self, frame: int, marks: bytes, encoding: Any) -> None:
        """Keep a frame's encoding instead of an older one."""
        self._kept.put(frame, (marks, encoding))

    def clear(self) -> None:
        """Forget all."""
        self._kept.clear()


def marks_of(strokes: NDArray[np.int16], previous: NDArray[np.int16]) -> bytes:
    """What an encoding depends on beside the picture: strokes and mask of a frame, int16 G×h×w, in slots."""
    return blake2b(strokes.tobytes() + previous.tobytes(), digest_size=16).digest()
