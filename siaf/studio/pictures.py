"""Frames as JPEG for the page, made apart from the session's own reading."""

import threading

import cv2
import numpy as np

from siaf.errors import SiafError
from siaf.frames.source import FrameSource
from siaf.lru import LruCache

_KEPT_BYTES = 96 * 2**20
_WHOLE, _SMALL = 92, 80
"""JPEG qualities of a whole frame and of a smaller one."""
SMALLEST = 16


class Pictures:
    """JPEGs of a clip's frames; those that were asked for lately are kept. For threads that ask at once."""

    def __init__(self, frames: FrameSource) -> None:
        self._frames = frames
        self._reading, self._keeping = threading.Lock(), threading.Lock()
        self._kept: LruCache[tuple[int, int], bytes] = LruCache(_KEPT_BYTES, size=len)

    def jpeg(self, frame: int, width: int | None = None) -> bytes:
        """A frame as JPEG, at most `width` pixels wide. Raises InputError for one that cannot be read."""
        wide = self._frames.width if width is None else min(width, self._frames.width)
        with self._keeping:
            kept = self._kept.get((frame, wide))
        if kept is not None:
            return kept
        with self._reading:  # a video is one reader's
            pixels = self._frames[frame]
        if wide < self._frames.width:
            high = max(1, round(self._frames.height * wide / self._frames.width))
            pixels = cv2.resize(pixels, (wide, high), interpolation=cv2.INTER_AREA).astype(np.uint8)
        quality = _WHOLE if wide == self._frames.width else _SMALL
        done, found = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
        if not done:
            raise SiafError(f"frame {frame} cannot be encoded")
        with self._keeping:
            self._kept.put((frame, wide), found.tobytes())
        return found.tobytes()
