"""Where the segmenter is in doubt, a correction leaves an object as it was.

What was there before is evidence, too, and the finer one at edges and on thin parts: a propagated mask follows the
picture at its boundaries, the segmenter draws on cells of four of its pixels. Measured effect: docs/training.md.
"""

from collections.abc import Callable, Collection, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from siaf.masks import Bitmap, IndexMask, distance_to_outside
from siaf.scribbles import Scribble
from siaf.session.corrections import denied_pixels, meant_pixels, touched_parts

_PRIOR = 1.0
"""Logits that speak for what an object was, beside those that the segmenter finds."""
_SURE = 1 / (1 + np.exp(-_PRIOR))
_THIN = 0.007
"""Of the frame's long side: of what an object loses, parts narrower than twice this stay."""
_LEFT = 0.1
"""A separate part of which the segmenter finds a smaller share is gone, in doubt or not."""
_CORNER = 1.5
"""A square's corner is so many times as far from its middle as its sides are, and a little more."""


def keep_doubtful(
    mask: IndexMask,
    before: IndexMask,
    chance: Callable[[int], NDArray[np.float32]],
    tags: Collection[int],
    strokes: Sequence[Scribble],
) -> IndexMask:
    """The corrected mask of a frame without the changes of `tags` that are too unsure, or too thin to be seen.

    A pixel that an object gains from the background or loses to it counts if its `chance` (of a tag: float32 H×W, how
    likely every pixel is that object) outweighs what was there, or if it is in a thick part that a stroke asks for.
    Thin parts that it loses count only if a stroke denies them; but of a separate thicker part that as good as goes
    nothing stays. Pixels under `strokes` are as drawn, and so is what objects take from each other. Masks are uint8
    H×W.
    """
    mask = mask.copy()
    for tag in sorted(tags):
        old, new = before == tag, mask == tag
        gained, lost = new & ~old & (before == 0), old & (mask == 0)
        if not (gained.any() or lost.any()):
            continue
        likely = chance(tag)
        meant, denied = meant_pixels(tag, strokes, mask), denied_pixels(tag, strokes, mask)
        mask[gained & (likely < _SURE) & ~_asked(gained, meant)] = 0
        back = lost & (likely > 1 - _SURE) & ~_asked(lost, denied)
        thin = _thin(lost & ~back)
        stays = back | thin & ~touched_parts(thin, denied)
        mask[stays & ~_mostly_lost(old, new)] = tag
    return mask


def _asked(changed: Bitmap, drawn: Bitmap) -> Bitmap:
    """Where strokes ask for a change: on their own pixels, and in thick parts of it that they touch."""
    return touched_parts(changed & ~_thin(changed), drawn) | drawn


def _mostly_lost(old: Bitmap, new: Bitmap) -> Bitmap:
    """The connected parts of `old`, but for thin ones, of which next to nothing is in `new`."""
    _, parts = cv2.connectedComponents(old.view(np.uint8), connectivity=8)
    was, left = (np.bincount(parts.ravel(), shown.ravel()) for shown in (old, old & new))
    gone: Bitmap = (left < _LEFT * was)[parts] & old
    return touched_parts(gone, gone & ~_thin(gone))


def _thin(mask: Bitmap) -> Bitmap:
    """The pixels of a bitmap that are far from the middle of any disc within it whose radius is `_THIN` of its long
    side; those in corners of what is thick are near one.
    """
    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    part = np.s_[y : y + height, x : x + width]
    radius = _THIN * max(mask.shape)
    # Around it one pixel is outside: nothing goes on beyond what it is all of.
    core = np.pad(distance_to_outside(np.pad(mask[part], 1))[1:-1, 1:-1] > radius, 1)
    found = np.zeros_like(mask)
    found[part] = mask[part] & (distance_to_outside(~core)[1:-1, 1:-1] > _CORNER * radius)
    return found
