"""On a frame that somebody draws on, a round changes what its strokes touch: all else stays as it was.

The interaction network redraws every object of the frame. What it makes of those that nobody drew is a guess, which
would become a permanent reference. And of an object that is corrected it hears little but what was wrong: where nobody
complained, what was there is mostly better. Measured effect: docs/training.md.
"""

from collections.abc import Collection, Sequence

import cv2
import numpy as np

from siaf.masks import Bitmap, IndexMask
from siaf.scribbles import Scribble, stroke_pixels

_SAME = 0.25
"""IoU of an object's masks from which the new one is a correction of the old one. Below, it is somewhere else."""


def keep_elsewhere(
    mask: IndexMask,
    before: IndexMask,
    drawn: Collection[int],
    strokes: Sequence[Scribble],
    anew: Collection[int] = (),
) -> IndexMask:
    """The new mask of a frame without changes of objects of `before` that no stroke asks for.

    A connected part of what an object gains counts if one of its positive strokes touches that part. A part of what it
    loses counts if a negative stroke of its own touches it, or one of the background; and a part that another object
    takes, if a positive stroke of that one does. An object that is not in `drawn` loses nothing to what others gain.
    All changes count of objects in `anew`, and of drawn ones that are somewhere else now, or on which strokes say what
    was known: they ask for another try. Masks are uint8 H×W, parts touch by side; `strokes` are those of this round on
    this frame.
    """
    known = set(np.unique(before).tolist()) - {0, *anew}
    untouched, kept = known - {*drawn}, set()
    may_yield = ~np.isin(before, [*untouched])
    asked = np.zeros(mask.shape, bool)
    run_over = set(np.unique(before[stroke_pixels(strokes, *mask.shape)]).tolist())
    for tag in known:
        if tag in untouched - run_over:
            kept.add(tag)
            continue
        if tag in untouched or corrects(tag, mask, before, strokes):
            kept.add(tag)
            gained = (mask == tag) & (before != tag)
            asked |= touched_parts(gained, meant_pixels(tag, strokes, mask)) & may_yield
            asked |= _denied_parts(tag, mask, before, strokes)
    fresh = {*drawn, *anew} - kept - {0}
    free = np.isin(mask, [*fresh]) & may_yield | ~np.isin(mask, [*kept]) & ~np.isin(before, [*kept])
    return np.where(asked | free, mask, before).astype(np.uint8)


def corrects(tag: int, mask: IndexMask, before: IndexMask, strokes: Sequence[Scribble]) -> bool:
    """Whether a new mask of an object corrects the old one: it is near that, and strokes do not just repeat it."""
    new, old = mask == tag, before == tag
    meant, denied = meant_pixels(tag, strokes, mask), denied_pixels(tag, strokes, mask)
    again = meant.any() and not (meant & ~old).any() and not (denied & old).any()
    return not again and _is_near(new, old)


def meant_pixels(tag: int, strokes: Sequence[Scribble], mask: IndexMask) -> Bitmap:
    """Where strokes on a frame of this mask say that an object is."""
    return stroke_pixels((s for s in strokes if s.tag == tag and s.polarity == "positive"), *mask.shape)


def denied_pixels(tag: int, strokes: Sequence[Scribble], mask: IndexMask) -> Bitmap:
    """Where strokes on a frame of this mask say that an object is not: its own negative ones, and others' positive."""
    return stroke_pixels((s for s in strokes if (s.tag != tag) == (s.polarity == "positive")), *mask.shape)


def _is_near(new: Bitmap, old: Bitmap) -> bool:
    """Whether an object is still in much the same place."""
    both = np.count_nonzero(new & old)
    return bool(both > 0 and both >= _SAME * np.count_nonzero(new | old))


def _denied_parts(tag: int, mask: IndexMask, before: IndexMask, strokes: Sequence[Scribble]) -> Bitmap:
    """The connected parts of what an object loses that strokes ask for.

    Who draws another object says what that one is, and nothing about the rest that this one has.
    """
    old = before == tag
    found = np.zeros(mask.shape, bool)
    for other in {s.tag for s in strokes if s.polarity == "positive"} - {0, tag}:
        found |= touched_parts(old & (mask == other), meant_pixels(other, strokes, mask))
    denied = (s for s in strokes if (s.tag, s.polarity) in ((0, "positive"), (tag, "negative")))
    return found | touched_parts(old & (mask != tag), stroke_pixels(denied, *mask.shape))


def touched_parts(changed: Bitmap, drawn: Bitmap) -> Bitmap:
    """The connected parts of `changed` that have one of these pixels."""
    hit = changed & drawn
    if not hit.any():
        return np.zeros_like(changed)
    _, parts = cv2.connectedComponents(changed.view(np.uint8), connectivity=4)
    found: Bitmap = np.isin(parts, np.unique(parts[hit]))
    return found
