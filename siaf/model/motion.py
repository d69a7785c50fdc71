"""A motion prior: an object is not far from where it was on the frame before, unless it has been moving fast.

It keeps look-alikes apart: of two places that match an object's memory alike, the nearer one wins.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from siaf.masks import distance_to_outside

STRIDE = 4  # pixels of the network's input per cell of its answer
_REACH = 3.0  # cells that an object at rest may move for nothing
_PER_STEP = 2.0  # and how many more for every cell of its last step
_HELD = 0.7  # of a step that is left after the next one: what turns round is still fast
_SLOPE = 0.3  # logits lost per cell beyond reach


def cells(labels: Tensor) -> NDArray[np.uint8]:
    """Integer labels H×W of the network's input, as uint8 on the grid of its answer."""
    return labels[::STRIDE, ::STRIDE].to(torch.uint8).cpu().numpy()


def penalty(before: NDArray[np.uint8], pace: NDArray[np.float32], tag: int) -> NDArray[np.float32] | None:
    """What the logits of `tag` lose in every cell, float32 h×w; None where the object was absent on the frame before.

    `before`: tags by cell there; `pace`: by tag as of `step`.
    """
    shown = before == tag
    if not shown.any():
        return None
    reach = _REACH + _PER_STEP * float(pace[tag])
    lost: NDArray[np.float32] = (_SLOPE * np.maximum(distance_to_outside(~shown) - reach, 0)).astype(np.float32)
    return lost


def step(before: NDArray[np.uint8], now: NDArray[np.uint8], pace: NDArray[np.float32]) -> NDArray[np.float32]:
    """How far every object's centre moved, in cells, float32 by tag: its last step, or what is left of a larger one.

    `before`, `now`: tags by cell, uint8 h×w; `pace`: this for the step before.
    """
    after = _HELD * pace
    for tag in np.intersect1d(before, now):
        if tag:
            moved = np.subtract(*(np.argwhere(mask == tag).mean(0) for mask in (before, now)))
            after[tag] = max(after[tag], np.float32(np.hypot(*moved)))
    return after.astype(np.float32)
