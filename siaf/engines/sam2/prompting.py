"""Strokes and boxes of one object as the prompts that SAM 2 was trained on: a few points, a box, a mask."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from siaf.boxes import Box
from siaf.scribbles import Scribble

Points = NDArray[np.float64]
"""N×2 (x, y) in the frame's pixels."""

_MOST = 8  # points of a kind
_STEP = 2.0  # pixels between two candidates on a stroke
_APART = 0.02
"""Of the frame's long side: points that are nearer to each other say the same."""


def points_of(strokes: Sequence[Scribble], tag: int, long_side: int) -> tuple[Points, Points]:
    """Points on the object and beside it, spread over all strokes that say so.

    Strokes of other objects and of the background lie beside it; "not object k" says nothing of others than k.
    """
    on = _along([s for s in strokes if s.tag == tag and s.polarity == "positive"])
    beside = _along([s for s in strokes if (s.tag == tag) == (s.polarity == "negative")])
    apart = _APART * long_side
    chosen = farthest(on, on.mean(0), _MOST, apart) if len(on) else on
    middle = chosen.mean(0) if len(chosen) else beside.mean(0) if len(beside) else np.zeros(2)
    return chosen, farthest(beside, middle, _MOST, apart)


def farthest(points: Points, start: Points, most: int, apart: float) -> Points:
    """Of these points the one nearest to `start`, then always the one farthest from those chosen, none within `apart`
    of another.
    """
    if not len(points):
        return points
    chosen = [int(np.linalg.norm(points - start, axis=1).argmin())]
    distance = np.linalg.norm(points - points[chosen[0]], axis=1)
    while len(chosen) < most and distance.max() > apart:
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, np.linalg.norm(points - points[chosen[-1]], axis=1))
    return points[chosen]


def as_input(
    on: Points, beside: Points, box: Box | None, size: tuple[int, int], side: int
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Points N×2 in pixels of a square input of `side`, and their labels N, of a frame of `size` (rows, columns)."""
    corners = np.zeros((0, 2)) if box is None else np.array(box).reshape(2, 2) - 0.5
    places = (np.concatenate((corners, on, beside)) + 0.5) * (side / size[1], side / size[0]) - 0.5
    labels = [2, 3][: len(corners)] + [1] * len(on) + [0] * len(beside)
    return places.astype(np.float32), np.array(labels, np.int32)


def _along(strokes: Sequence[Scribble]) -> Points:
    """Points on all these strokes, close to each other."""
    found = [np.zeros((0, 2))]
    for stroke in strokes:
        line = np.asarray(stroke.points, np.float64)
        run = np.concatenate(([0.0], np.linalg.norm(np.diff(line, axis=0), axis=1).cumsum()))
        count = max(1, round(run[-1] / _STEP) + 1)
        at = np.linspace(0, run[-1], count) if count > 1 else np.array([run[-1] / 2])
        found.append(np.stack([np.interp(at, run, line[:, axis]) for axis in (0, 1)], axis=1))
    return np.concatenate(found)
