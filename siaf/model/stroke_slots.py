"""From a round's strokes and masks to the interaction network's input."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from siaf.masks import MAX_TAG, IndexMask
from siaf.model.interaction import UNMARKED
from siaf.model.request import Places
from siaf.scribbles import Scribble, erase_denied, rasterize


def stroke_slots(
    strokes: Sequence[Scribble], objects: Places, size: tuple[int, int], frame_size: tuple[int, int]
) -> NDArray[np.int16]:
    """Strokes of one frame of `frame_size` as int16 G×h×w at `size`, in every group's slots: −1 unmarked, 0 background.

    A stroke of another group's object is background. So is "not object k": no identity says "anything but k".
    """
    return _to_slots(rasterize(strokes, *frame_size, size=size), objects)


def previous_slots(
    mask: IndexMask | None, strokes: Sequence[Scribble], objects: Places, size: tuple[int, int]
) -> NDArray[np.int16]:
    """The mask of the round before as int16 G×h×w in slots; −1 everywhere if there is none.

    Under a "not object k" stroke k is taken out first.
    """
    if mask is None:
        return np.full((objects.groups(), *size), UNMARKED, np.int16)
    small = cv2.resize(erase_denied(mask, strokes), size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
    return _to_slots(small.astype(np.int16), objects)


def _to_slots(tags: NDArray[np.int16], objects: Places) -> NDArray[np.int16]:
    tables = np.zeros((objects.groups(), MAX_TAG + 2), np.int16)
    tables[:, 0] = UNMARKED
    for group in range(objects.groups()):
        for slot, tag in objects.slots(group).items():
            tables[group, tag + 1] = slot
    return tables[:, tags + 1]
