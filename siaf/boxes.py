"""Boxes as prompts: what the interaction network is trained to read as "the object is in here".

As in training (siaf.training.prompts.box_prompt), a box becomes a filled previous mask with background strokes around.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from siaf.errors import InputError
from siaf.masks import Bitmap, IndexMask, bounding_box
from siaf.scribbles import FAR_OUTSIDE, Scribble

Box = tuple[float, float, float, float]
"""Left, top, right, bottom edge in pixels: x right, y down, (0, 0) the frame's top left corner."""

_MARGIN, _THICKNESS = 2.5, 3.0
"""Distance of the stroke around a box, and its width, in the network's pixels: the middle of what training draws."""


def as_box(points: Sequence[float], *, height: int, width: int, field: str) -> Box:
    """Four numbers as the part of a box that lies in the frame. InputError naming `field` if that is not a box."""
    edges = np.asarray(points, np.float64)
    if edges.shape != (4,):
        raise InputError(f"a box has 4 numbers, this one {edges.size}", field=field)
    if not np.isfinite(edges).all():
        raise InputError("the box is not finite", field=field)
    left, top, right, bottom = (float(e) for e in edges)
    if left >= right or top >= bottom:
        raise InputError(f"the box {left:g},{top:g} to {right:g},{bottom:g} is inverted or empty", field=field)
    margin = FAR_OUTSIDE * max(height, width)
    if min(left, top) < -margin or right > width + margin or bottom > height + margin:
        raise InputError(f"the box lies far outside the {width}×{height} frame", field=field)
    inside = max(left, 0.0), max(top, 0.0), min(right, float(width)), min(bottom, float(height))
    if inside[0] >= inside[2] or inside[1] >= inside[3]:
        raise InputError(f"the box lies outside the {width}×{height} frame", field=field)
    return inside


def mask_box(mask: Bitmap) -> Box:
    """The edges around a mask's pixels, so that right − left is its width; `box_pixels` gives these pixels back.

    Raises InputError for an empty mask. (The corners inside CVAT's run lengths are pixels: `bounding_box`.)
    """
    left, top, right, bottom = bounding_box(mask)
    return float(left), float(top), float(right + 1), float(bottom + 1)


def box_pixels(box: Box, height: int, width: int) -> tuple[slice, slice]:
    """Rows and columns of the pixels whose centre is inside a box, at least one of each."""
    left, top, right, bottom = (int(np.floor(edge + 0.5)) for edge in box)
    x0, y0 = min(left, width - 1), min(top, height - 1)
    return slice(y0, min(max(bottom, y0 + 1), height)), slice(x0, min(max(right, x0 + 1), width))


def fill_boxes(mask: IndexMask, boxes: Mapping[int, Box]) -> IndexMask:
    """A copy of an index mask in which every tag of `boxes` is its filled box; smaller boxes lie on top of larger
    ones.
    """
    filled = np.where(np.isin(mask, list(boxes)), 0, mask).astype(np.uint8)
    for tag, box in sorted(boxes.items(), key=lambda item: -(item[1][2] - item[1][0]) * (item[1][3] - item[1][1])):
        filled[box_pixels(box, *mask.shape)] = tag
    return filled


def surround(boxes: Mapping[int, Box], filled: IndexMask, scale: float) -> list[Scribble]:
    """Background strokes around boxes, left out where `filled` has an object. `scale`: frame pixels per network
    pixel.
    """
    height, width = filled.shape
    strokes = []
    for left, top, right, bottom in boxes.values():
        path = _rectangle(left, top, right, bottom, _MARGIN * scale, step=scale)
        rows, columns = np.floor(path[:, 1] + 0.5).astype(int), np.floor(path[:, 0] + 0.5).astype(int)
        free = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        free[free] = filled[rows[free], columns[free]] == 0
        for run in np.split(np.arange(len(path)), np.flatnonzero(np.diff(free)) + 1):
            if free[run[0]]:
                strokes.append(Scribble(0, path[run], width=min(1000.0, _THICKNESS * scale)))
    return strokes


def _rectangle(
    left: float, top: float, right: float, bottom: float, margin: float, step: float
) -> npt.NDArray[np.float64]:
    """Points on the outline `margin` outside a box, N×2 (x, y), no further than `step` apart."""
    # Pixel centres lie half a pixel inside the box's edges.
    x0, y0, x1, y1 = left - 0.5 - margin, top - 0.5 - margin, right - 0.5 + margin, bottom - 0.5 + margin
    corners = np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)])
    sides = []
    for start, end in pairwise(corners):
        count = max(2, int(np.ceil(np.abs(end - start).max() / step)))
        sides.append(start + (end - start) * np.linspace(0, 1, count, endpoint=False)[:, None])
    return np.concatenate([*sides, corners[:1]])
