"""Close-ups: the part of a frame that a small object is drawn again on, where the segmenter sees it larger."""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from siaf.boxes import Box, box_pixels, mask_box
from siaf.masks import Bitmap
from siaf.model.probabilities import Window
from siaf.model.segmenter import enlargement

_GROWN = 1.6  # times the object's sides; what is around it tells what it is
_FLAT = 0.6  # no side is shorter than this share of the other
_LEAST = 96  # pixels
_WORTH = 2.5
"""How much finer a close-up must be seen of an object that the frame had before. One that is hardly finer loses sight
of what is around the object, and of what was right about it."""
_LITTLE = 1.5
"""What is enough for an object that is drawn on the frame for the first time (docs/training.md has both figures)."""
_MOST = 8
"""Objects of a frame that are looked at closer, in one go: each takes the segmenter another encoding."""
_STEPS = 6  # of a window's side between two places where it may begin, so that the next click mostly meets it again


def shows_more(height: int, width: int) -> bool:
    """Whether any part of a frame of this size would be seen enough finer in a close-up."""
    return enlargement(_LEAST, _LEAST) / enlargement(height, width) >= _LITTLE


def window_of(
    mask: Bitmap, points: NDArray[np.float64], box: Box | None, size: tuple[int, int], *, little: bool = False
) -> Window | None:
    """The part of a frame of `size` (rows, columns) to look at closer: around an object's mask, bool h×w of any
    resolution, and points N×2 (x, y) in the frame's pixels, or around its box.

    None for an object that is nowhere, or that a close-up would show little finer, or hardly finer if `little` will do.
    """
    height, width = size
    if box is not None:
        rows, cols = box_pixels(box, height, width)
        left, top, right, bottom = cols.start, rows.start, cols.stop, rows.stop
    else:
        if not mask.any():
            return None
        scale = width / mask.shape[1], height / mask.shape[0]
        corners = np.array(mask_box(mask)).reshape(2, 2) * scale
        around = np.concatenate((corners, np.clip(points, 0, (width - 1, height - 1))))
        (left, top), (right, bottom) = around.min(0).tolist(), around.max(0).tolist()
    longer = max(right - left, bottom - top)
    step = max(16, 2 ** round(math.log2(longer * _GROWN / _STEPS)))
    (left, right), (top, bottom) = (
        _around(low, high, max((high - low) * _GROWN, longer * _GROWN * _FLAT, _LEAST), step, length)
        for low, high, length in ((left, right, width), (top, bottom, height))
    )
    finer = enlargement(bottom - top, right - left) / enlargement(height, width)
    return (left, top, right, bottom) if finer >= (_LITTLE if little else _WORTH) else None


def smallest(windows: Mapping[int, Window]) -> dict[int, Window]:
    """As many of these windows, by tag, as a frame may have: the smallest."""
    chosen = sorted(windows, key=lambda tag: (_area(windows[tag]), tag))[:_MOST]
    return {tag: windows[tag] for tag in sorted(chosen)}


def _area(window: Window) -> int:
    left, top, right, bottom = window
    return (right - left) * (bottom - top)


def _around(low: int, high: int, side: float, step: int, length: int) -> tuple[int, int]:
    """A stretch of `side` or more around low…high, from one multiple of `step`, or edge of the frame, to another."""
    middle = (low + high) / 2
    first = math.floor((middle - side / 2) / step) * step
    last = math.ceil((middle + side / 2) / step) * step
    return max(0, first), min(length, last)
