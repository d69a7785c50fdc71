"""Strokes of earlier rounds on a frame that still hold: what a labeler drew counts until they draw otherwise there.

A later round's strokes only say what is wrong with the mask. Without the earlier ones, an object that is drawn again
loses what these made sure of (measured effect: docs/training.md).
"""

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from siaf.masks import Bitmap
from siaf.scribbles import Scribble, rasterize
from siaf.session.annotations import Round

_REACH = 0.003
"""Of the frame's long side: a correction is drawn beside what it corrects, hardly ever all over it. A longer reach cuts
strokes on thin and small objects that the correction says nothing about."""


def standing_on(
    frame: int, rounds: Sequence[Round], size: tuple[int, int], tags: Collection[int], new: Sequence[Scribble] = ()
) -> list[Scribble]:
    """Strokes that still hold on a frame of `size` (rows, columns) beside `new` ones: those of background and of the
    objects `tags`, since a mask of the frame was given.
    """
    drawn: list[list[Scribble]] = []
    for past in rounds:
        drawn = [] if frame in past.references else drawn
        drawn.append([s for s in past.scribbles.get(frame, ()) if s.tag == 0 or s.tag in tags])
    return standing_strokes(drawn, new, *size)


def standing_strokes(
    rounds: Sequence[Sequence[Scribble]], new: Sequence[Scribble], height: int, width: int
) -> list[Scribble]:
    """Of a frame's earlier rounds, the oldest first, what neither a later one nor the `new` strokes contradict.

    Where a stroke is contradicted, it is cut; the rest of it stays, in pieces.
    """
    standing: list[Scribble] = []
    for later in (*rounds, new):
        standing = _uncontradicted(standing, later, height, width)
        if later is not new:
            standing += later
    return standing


def _uncontradicted(strokes: Sequence[Scribble], later: Sequence[Scribble], height: int, width: int) -> list[Scribble]:
    kept: list[Scribble] = []
    denied: dict[tuple[int, str], Bitmap | None] = {}  # alike for all strokes that say the same: a bitmap takes time
    for stroke in strokes:
        says = stroke.tag, stroke.polarity
        if says not in denied:
            against = [other for other in later if _contradicts(other, stroke)]
            denied[says] = _around(against, height, width) if against else None
        area = denied[says]
        kept += [stroke] if area is None else _outside(stroke, area)
    return kept


def _outside(stroke: Scribble, area: Bitmap) -> list[Scribble]:
    """The pieces of a stroke whose points are not in an area; the stroke itself if none is."""
    columns, rows = np.clip(np.rint(stroke.points).astype(int), 0, np.array(area.shape[::-1]) - 1).T
    holds = ~area[rows, columns]
    if holds.all():
        return [stroke]
    runs = np.split(np.arange(len(holds)), np.flatnonzero(np.diff(holds)) + 1)
    return [replace(stroke, points=stroke.points[run]) for run in runs if holds[run[0]]]


def _contradicts(later: Scribble, stroke: Scribble) -> bool:
    """Whether both cannot be true of one pixel."""
    if stroke.polarity == "negative":
        return later.polarity == "positive" and later.tag == stroke.tag
    return (later.tag == stroke.tag) == (later.polarity == "negative")


def _around(strokes: Sequence[Scribble], height: int, width: int) -> Bitmap:
    """The pixels that strokes cover, a little beside them included."""
    reach = 2 * _REACH * max(height, width)
    lines = [Scribble(1, stroke.points, min(1000.0, stroke.width + reach)) for stroke in strokes]
    covered: Bitmap = rasterize(lines, height, width) == 1
    return covered
