"""A clip of any length, made frame by frame: textured ellipses that move over a textured ground."""

from collections.abc import Sequence
from typing import overload

import cv2
import numpy as np

from siaf.frames.source import ArrayFrames, Frame
from siaf.masks import IndexMask
from siaf.scribbles import Scribble


class MovingObjects(Sequence[Frame]):
    """Frames uint8 H×W×3; the same numbers give the same frames."""

    def __init__(self, frames: int, height: int, width: int, objects: int) -> None:
        rng = np.random.default_rng(0)
        self._count, self._size, self._objects = frames, (height, width), objects
        noise = rng.integers(0, 255, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8)
        self._ground = np.asarray(cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)
        self._colours = rng.integers(0, 255, (objects, 3))
        self._phases = rng.random((objects, 2)) * 2 * np.pi

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> Frame: ...
    @overload
    def __getitem__(self, index: slice) -> list[Frame]: ...
    def __getitem__(self, index: int | slice) -> Frame | list[Frame]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(self._count))]
        if not 0 <= index < self._count:
            raise IndexError(f"there is no frame {index}, only 0 to {self._count - 1}")
        mask = self.mask(index)
        frame = self._ground.copy()
        for k in range(self._objects):
            inside = mask == k + 1
            frame[inside] = (frame[inside] // 4 + self._colours[k] * 3 // 4).astype(np.uint8)
        return frame

    def mask(self, index: int) -> IndexMask:
        """Where the objects are, tags from 1: uint8 H×W."""
        height, width = self._size
        mask = np.zeros(self._size, np.uint8)
        for k in range(self._objects):
            x, y = self._centre(index, k)
            axes = max(2, width // 16), max(2, height // 12)
            cv2.ellipse(mask, (int(x), int(y)), axes, 0, 0, 360, k + 1, -1)
        return mask

    def strokes(self, index: int) -> list[Scribble]:
        """A short line on every object."""
        result = []
        for k in range(self._objects):
            x, y = self._centre(index, k)
            reach = self._size[1] / 40
            result.append(Scribble(k + 1, np.array([[x - reach, y], [x + reach, y]])))
        return result

    def _centre(self, index: int, k: int) -> tuple[float, float]:
        height, width = self._size
        across, down = self._phases[k] + index / 40
        return width * (0.5 + 0.4 * np.sin(across)), height * (0.5 + 0.38 * np.cos(down))


def moving_clip(frames: int, height: int, width: int, objects: int) -> tuple[ArrayFrames, MovingObjects]:
    """The clip as a frame source, and itself, which knows masks and strokes."""
    clip = MovingObjects(frames, height, width, objects)
    return ArrayFrames(clip), clip
