"""A tracked object as a CVAT shape that follows its mask."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from siaf.boxes import mask_box
from siaf.masks import Bitmap, encode_rle, outline

Kind = Literal["rectangle", "polygon", "mask", "polyline", "points"]


@dataclass
class TrackedShape:
    """A tracked object as CVAT shows it: the points that it was begun with, those last shown, `last` being never empty.

    `home`: the box of the object's mask when a line or points were drawn for it, from which those are moved.
    """

    kind: Kind
    points: list[float]
    bare: bool
    home: list[float] | None = None
    shown: list[float] | None = None
    last: list[float] | None = None

    def show(self, mask: Bitmap) -> None:
        """The object is where `mask` is; nowhere if that is empty."""
        self.shown = self._of_mask(mask) if mask.any() else None
        if self.shown is not None:
            self.last = self.shown

    def is_at(self, points: list[float]) -> bool:
        """Whether these are the points last shown: CVAT may round coordinates on their way."""
        last = self.points if self.last is None else self.last
        return len(points) == len(last) and bool(np.all(np.abs(np.array(points) - np.array(last)) <= 1.0))

    def _of_mask(self, mask: Bitmap) -> list[float]:
        if self.kind == "mask":
            return [float(n) for n in encode_rle(mask)]
        box = list(mask_box(mask))
        if self.kind == "rectangle":
            return box
        if self.kind == "polygon":
            return [float(x) for x in outline(mask).ravel()]
        if self.home is None:
            self.home = box
        moved = _move(np.array(self.points).reshape(-1, 2), self.home, box)
        if self.kind == "points":
            moved = _onto(moved, mask)
        return [round(float(x), 2) for x in moved.ravel()]


def _move(points: NDArray[np.float64], home: list[float], box: list[float]) -> NDArray[np.float64]:
    """Points that keep their place in the object's box."""
    low, high = np.array(home[:2]), np.array(home[2:])
    new_low, new_high = np.array(box[:2]), np.array(box[2:])
    moved: NDArray[np.float64] = new_low + (points - low) * (new_high - new_low) / np.maximum(high - low, 1)
    return moved


def _onto(points: NDArray[np.float64], mask: Bitmap) -> NDArray[np.float64]:
    """Points beside the object, each moved to its nearest pixel."""
    rows, columns = np.nonzero(mask)
    inside = np.stack([columns, rows], axis=1).astype(np.float64)
    placed = points.copy()
    for i, (x, y) in enumerate(points):
        row, column = int(np.floor(y)), int(np.floor(x))
        if 0 <= row < mask.shape[0] and 0 <= column < mask.shape[1] and mask[row, column]:
            continue
        placed[i] = inside[int(np.argmin(((inside - (x, y)) ** 2).sum(axis=1)))]
    return placed
