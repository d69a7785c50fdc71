"""From a round's strokes and masks to the interaction network's input, and its output made to honour the strokes."""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from siaf.masks import MAX_TAG, IndexMask
from siaf.model.interaction import UNMARKED
from siaf.scribbles import UNSCRIBBLED, Scribble, erase_denied, rasterize
from siaf.session.objects import ObjectTable


def stroke_slots(
    strokes: Sequence[Scribble], objects: ObjectTable, size: tuple[int, int], frame_size: tuple[int, int]
) -> NDArray[np.int16]:
    """Strokes of one frame of `frame_size` as int16 G×h×w at `size`, in every group's slots: −1 unmarked, 0 background.

    A stroke of another group's object is background. So is "not object k": no identity says "anything but k".
    """
    return _to_slots(rasterize(strokes, *frame_size, size=size), objects)


def previous_slots(
    mask: IndexMask | None, strokes: Sequence[Scribble], objects: ObjectTable, size: tuple[int, int]
) -> NDArray[np.int16]:
    """The mask of the round before as int16 G×h×w in slots; −1 everywhere if there is none.

    Under a "not object k" stroke k is taken out first.
    """
    if mask is None:
        return np.full((objects.groups(), *size), UNMARKED, np.int16)
    small = cv2.resize(erase_denied(mask, strokes), size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
    return _to_slots(small.astype(np.int16), objects)


def honour_strokes(mask: IndexMask, strokes: Sequence[Scribble]) -> IndexMask:
    """The mask with every stroke's own pixels as the user said: what was drawn is never contradicted."""
    mask = erase_denied(mask, strokes)
    drawn = rasterize([s for s in strokes if s.polarity == "positive"], *mask.shape)
    return np.where(drawn == UNSCRIBBLED, mask, drawn).astype(np.uint8)


def object_tags(scribbles: Mapping[int, Sequence[Scribble]]) -> set[int]:
    """All object tags that a round's strokes name."""
    return {stroke.tag for strokes in scribbles.values() for stroke in strokes if stroke.tag}


def _to_slots(tags: NDArray[np.int16], objects: ObjectTable) -> NDArray[np.int16]:
    tables = np.zeros((objects.groups(), MAX_TAG + 2), np.int16)
    tables[:, 0] = UNMARKED
    for group in range(objects.groups()):
        for slot, tag in objects.slots(group).items():
            tables[group, tag + 1] = slot
    return tables[:, tags + 1]
