"""Clicks on single frames as CVAT's interactor gets them, simulated by RITM's protocol.

The next click goes to the centre of the largest error: positive where the object was missed, negative where something
else was taken for it, whichever reaches deeper (Sofiiuk et al., "Reviving Iterative Training with Mask Guidance for
Interactive Segmentation", section 4). An object is clicked on by itself, whatever else the frame shows.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from siaf.boxes import mask_box
from siaf.engines.base import Engine
from siaf.evaluation.metrics import jaccard
from siaf.interactive.clicks import Clicks, segment_clicks
from siaf.masks import Bitmap, distance_to_outside
from siaf.model.loaded import Frame
from siaf.session.session import Session

Segmenter = Callable[[Clicks], Bitmap]
"""All clicks made so far, or a box, on one frame → the object's mask, bool H×W. It may remember its last answer."""

_NONE = np.zeros((0, 2))


def siaf_segmenter(model: Engine, frame: Frame) -> Segmenter:
    """The way of `function.calls.interactor`: every answer starts from what fewer of the clicks gave."""
    session = Session(model, [frame])
    earlier: dict[int, list[int]] = {}

    def segment(clicks: Clicks) -> Bitmap:
        nonlocal earlier
        segments = segment_clicks(session, 0, clicks, earlier=earlier)
        earlier = {s.tag: s.rle for s in segments if s.rle}
        union: Bitmap = np.logical_or.reduce([s.mask for s in segments])
        return union

    return segment


def next_click(pred: Bitmap, gt: Bitmap, clicked: Bitmap) -> tuple[int, int, bool] | None:
    """(x, y, positive) of the next click; None if nothing is wrong. `clicked` marks pixels that were clicked on.

    The frame's border counts as the error's; of equally deep places the topmost, then leftmost is taken.
    """
    missed, extra = (_depth(error) * ~clicked for error in (gt & ~pred, pred & ~gt))
    positive = bool(missed.max() > extra.max())
    depth = missed if positive else extra
    if not depth.any():
        return None
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    return int(x), int(y), positive


def click_rounds(segment: Segmenter, truth: Bitmap, count: int) -> list[float]:
    """IoU with `truth` after 1, 2, …, `count` clicks. A perfect mask is not clicked on any more."""
    mask, clicked = np.zeros_like(truth), np.zeros_like(truth)
    points: dict[bool, list[tuple[int, int]]] = {True: [], False: []}
    scores: list[float] = []
    for _ in range(count):
        click = next_click(mask, truth, clicked)
        if click is not None:
            x, y, positive = click
            clicked[y, x] = True
            points[positive].append((x, y))
            positives, negatives = (np.array(points[kind], np.float64).reshape(-1, 2) for kind in (True, False))
            mask = segment(Clicks(positives, negatives))
        scores.append(jaccard(mask, truth))
    return scores


def box_score(segment: Segmenter, truth: Bitmap) -> float:
    """IoU with `truth` of the mask that its own box gives."""
    return jaccard(segment(Clicks(_NONE, _NONE, (mask_box(truth),))), truth)


def _depth(error: Bitmap) -> NDArray[np.float32]:
    """Distance to the error's border, the frame's included, in pixels."""
    return distance_to_outside(np.pad(error, 1))[1:-1, 1:-1]
