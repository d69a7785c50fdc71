"""Which connected parts of an object's mask may stay: what nobody asked for goes, and so does what a labeler denied."""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from siaf.boxes import Box, box_pixels
from siaf.masks import Bitmap, IndexMask
from siaf.scribbles import Scribble, stroke_pixels
from siaf.session.corrections import meant_pixels


def asked_parts(
    mask: IndexMask,
    strokes: Sequence[Scribble],
    boxes: Mapping[int, Box],
    before: IndexMask | None,
) -> IndexMask:
    """A frame's index mask without the parts that its strokes and boxes do not ask for. Parts touch by side or corner.

    Of an object with a positive stroke or a box, a part stays that one of them touches, or that overlaps the object's
    mask `before` the round; a box bounds its mask. A negative or background stroke takes away the whole part that it
    hits, unless a positive one holds that part, or it is the largest that the object had before, or the largest at all
    where nothing says which part is meant: of that only what was drawn on is wrong. Other objects stay as they are.
    """
    named = {stroke.tag for stroke in strokes if stroke.tag} | boxes.keys()
    result = mask.copy()
    for tag in sorted(named | _hit_tags(mask, strokes)):
        own = mask == tag
        if not own.any():
            continue
        held = meant_pixels(tag, strokes, mask)
        denied = stroke_pixels((s for s in strokes if _denies(s, tag)), *mask.shape)
        had = np.zeros_like(own) if before is None else before == tag
        result[own & ~_kept(own, held, denied, had, boxes.get(tag))] = 0
    return result


def _kept(own: Bitmap, held: Bitmap, denied: Bitmap, had: Bitmap, box: Box | None) -> Bitmap:
    if box is not None:
        inside = np.zeros_like(own)
        inside[box_pixels(box, *own.shape)] = True
        own = own & inside
    # A stroke joins what it runs through: it says that this is one thing.
    count, labels, stats, _ = cv2.connectedComponentsWithStats((own | held).astype(np.uint8), connectivity=8)
    parts = np.asarray(labels, np.int32)
    holds, denies, knew = (_touched(parts, count, pixels) for pixels in (held, denied, had & own))
    area = np.where(np.arange(count) > 0, stats[:, cv2.CC_STAT_AREA], 0)
    if knew.any() or not held.any():
        denies[(area * knew if knew.any() else area).argmax()] = False
    asked = holds | knew if held.any() and box is None else np.ones(count, bool)
    stays = asked & ~denies | holds
    stays[0] = False
    kept: Bitmap = own & stays[parts]
    return kept


def _touched(parts: NDArray[np.integer], count: int, pixels: Bitmap) -> Bitmap:
    """By number of a part, whether it has one of these pixels; never the background."""
    found = np.zeros(count, bool)
    found[parts[pixels]] = True
    found[0] = False
    return found


def _denies(stroke: Scribble, tag: int) -> bool:
    """Whether a stroke says "not this object"."""
    return stroke.polarity == "negative" if stroke.tag == tag else stroke.polarity == "positive" and stroke.tag == 0


def _hit_tags(mask: IndexMask, strokes: Sequence[Scribble]) -> set[int]:
    """Objects that a background stroke runs over."""
    background = stroke_pixels((s for s in strokes if s.tag == 0), *mask.shape)
    return set(np.unique(mask[background]).tolist()) - {0}
