"""On a frame that somebody draws on, the objects that nobody drew stay as they were.

The interaction network redraws every object of the frame. What it makes of the others is a guess, which would become
a permanent reference.
"""

from collections.abc import Collection, Sequence

import cv2
import numpy as np

from siaf.masks import Bitmap, IndexMask
from siaf.scribbles import UNSCRIBBLED, Scribble, rasterize


def keep_untouched(
    mask: IndexMask, before: IndexMask, touched: Collection[int], strokes: Sequence[Scribble]
) -> IndexMask:
    """The new mask of a frame, in which every object of `before` that is not in `touched` keeps its pixels.

    A part of such an object that a stroke of another object or of the background was drawn on is not kept: there the
    new mask says what it is. Masks are uint8 H×W; `strokes` are those of this frame.
    """
    result = mask.copy()
    drawn = rasterize([s for s in strokes if s.polarity == "positive"], *mask.shape)
    for tag in np.unique(before):
        if tag == 0 or int(tag) in touched:
            continue
        own = before == tag
        kept = own & ~_parts_under(own, (drawn != UNSCRIBBLED) & (drawn != tag))
        given_up = own & ~kept
        result[(result == tag) & ~own] = 0
        result[kept] = tag
        result[given_up & (mask == tag)] = tag
    return result


def _parts_under(own: Bitmap, drawn: Bitmap) -> Bitmap:
    """The connected parts of an object that these pixels touch."""
    hit = own & drawn
    if not hit.any():
        return np.zeros_like(own)
    _, parts = cv2.connectedComponents(own.view(np.uint8), connectivity=8)
    found: Bitmap = np.isin(parts, np.unique(parts[hit]))
    return found
