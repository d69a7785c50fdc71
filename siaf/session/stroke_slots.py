"""A mask made to honour the strokes of a round."""

from collections.abc import Mapping, Sequence

import numpy as np

from siaf.masks import IndexMask
from siaf.scribbles import UNSCRIBBLED, Scribble, erase_denied, rasterize


def honour_strokes(mask: IndexMask, strokes: Sequence[Scribble]) -> IndexMask:
    """The mask with every stroke's own pixels as the user said: what was drawn is never contradicted."""
    mask = erase_denied(mask, strokes)
    drawn = rasterize([s for s in strokes if s.polarity == "positive"], *mask.shape)
    return np.where(drawn == UNSCRIBBLED, mask, drawn).astype(np.uint8)


def object_tags(scribbles: Mapping[int, Sequence[Scribble]]) -> set[int]:
    """All object tags that a round's strokes name."""
    return {stroke.tag for strokes in scribbles.values() for stroke in strokes if stroke.tag}
