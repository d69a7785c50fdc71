"""How sure the network is of its masks, and where a user's next stroke is worth most."""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Confidence = dict[int, float]
"""By tag, 0 to 1."""


def mask_confidence(labels: Tensor, scores: Tensor, tags: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], Confidence]:
    """Index mask uint8 H×W of `labels`, numbers of channels, and its confidence by tag, of `scores`.

    `tags`: the tag of every channel. `scores`: probabilities float C×h×w of a coarser grid. Confidence is the mean
    probability over the cells that a tag wins; where it wins none, how sure the network is that it is absent.
    """
    best, winner = scores.max(0)
    count = torch.bincount(winner.flatten(), minlength=len(tags))
    total = torch.bincount(winner.flatten(), weights=best.flatten().double(), minlength=len(tags))
    highest = scores.flatten(1).amax(1)
    confidence = {
        int(tag): float(total[i] / count[i]) if count[i] else float(1 - highest[i]) for i, tag in enumerate(tags) if tag
    }
    return tags[labels.cpu().numpy()], confidence


def suggest_frames(confidence: Mapping[int, Confidence], n_frames: int, count: int) -> list[int]:
    """Least confident frames first (by their least confident object), none within a twelfth of the video of another."""
    apart = max(1, n_frames // 12)
    chosen: list[int] = []
    for frame in sorted(confidence, key=lambda f: (min(confidence[f].values(), default=1.0), f)):
        if all(abs(frame - other) >= apart for other in chosen):
            chosen.append(frame)
    return chosen[:count]
