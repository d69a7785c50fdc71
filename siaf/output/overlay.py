"""Masks drawn on frames, as pictures and as a video."""

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from siaf.frames.source import Frame
from siaf.masks import IndexMask
from siaf.output.palette import BRIGHT, PALETTE, brighter, palette_with

Colours = tuple[NDArray[np.uint8], NDArray[np.uint8]]
"""By tag, uint8 256×3 RGB each: of areas and of outlines."""

_STRENGTH = 0.5
_LONGEST_SIDE = 4096
"""What the H.264 decoders of browsers and graphics cards take; libx264 itself ends at 16384."""


def draw_masks(frame: Frame, mask: IndexMask, colours: Colours = (PALETTE, BRIGHT)) -> Frame:
    """A copy of a frame, uint8 H×W×3 RGB, with every object of its index mask tinted and outlined."""
    tints, lines = colours
    picture = frame.copy()
    x, y, width, height = cv2.boundingRect(mask)
    if not width:
        return picture
    # One pixel more on every side: an outline is where the neighbour differs.
    rows, columns = slice(max(y - 1, 0), y + height + 1), slice(max(x - 1, 0), x + width + 1)
    part, tags = picture[rows, columns], mask[rows, columns]
    tinted = cv2.addWeighted(part, 1 - _STRENGTH, tints[tags], _STRENGTH, 0)
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    border = cv2.erode(tags, cross) != cv2.dilate(tags, cross)
    tinted[border] = lines[tags[border]]
    np.copyto(part, tinted.astype(np.uint8), where=tags[..., None] > 0)
    return picture


class OverlayVideo:
    """An H.264 MP4 that browsers play, of frames height × width. Use as a context manager, `add` in order.

    `chosen`: colours of objects, "#rrggbb" by tag, instead of the palette's. Frames with a longer side than 4096 pixels
    are shrunk. FFmpeg's errors pass, as FFmpegError or OSError.
    """

    def __init__(
        self, path: Path, *, height: int, width: int, fps: float, chosen: Mapping[int, str] | None = None
    ) -> None:
        palette = palette_with(chosen or {})
        self._colours = (palette, brighter(palette))
        scale = min(1.0, _LONGEST_SIDE / max(height, width))
        self._size = (max(1, round(width * scale)), max(1, round(height * scale)))
        # yuv420p halves the colour planes: an odd side gets one more row or column.
        self._padding = (self._size[1] % 2, self._size[0] % 2)
        # Without "file:", a path with a colon would be an address.
        self._container = av.open(f"file:{path}", "w", format="mp4", options={"movflags": "+faststart"})
        rate = Fraction(fps).limit_denominator(1001)
        self._stream = self._container.add_stream("libx264", rate=rate, options={"crf": "20", "preset": "veryfast"})
        self._stream.width, self._stream.height = self._size[0] + self._padding[1], self._size[1] + self._padding[0]
        self._stream.pix_fmt = "yuv420p"

    def add(self, frame: Frame, mask: IndexMask) -> None:
        """Append a frame with its masks drawn on it."""
        if self._size != (frame.shape[1], frame.shape[0]):
            frame = cv2.resize(frame, self._size, interpolation=cv2.INTER_AREA).astype(np.uint8)
            mask = cv2.resize(mask, self._size, interpolation=cv2.INTER_NEAREST_EXACT).astype(np.uint8)
        picture = draw_masks(frame, mask, self._colours)
        bottom, right = self._padding
        picture = cv2.copyMakeBorder(picture, 0, bottom, 0, right, cv2.BORDER_REPLICATE).astype(np.uint8)
        self._container.mux(self._stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._container.mux(self._stream.encode(None))
        finally:
            self._container.close()
