"""Masks of objects that were found one by one compete for pixels: AOT's soft aggregation (`siaf.model.identity`)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from siaf.model.identity import merge_groups


def aggregate(logits: Sequence[Tensor]) -> Tensor:
    """Logits h×w of n objects → probabilities (1 + n)×h×w, background first; n may not be 0."""
    return merge_groups([torch.stack((torch.zeros_like(x), x)) for x in logits])


def likeliest(logits: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
    """The strongest channel of `aggregate` at every pixel after logits are resized to `size`: integer H×W.

    One object at a time: channels of all of them at full size would take gigabytes.
    """
    winner = torch.zeros(size, dtype=torch.long, device=logits[0].device)
    best, background = torch.full(size, -torch.inf, device=winner.device), torch.zeros(size, device=winner.device)
    for number, own in enumerate(logits, 1):
        found = F.interpolate(own[None, None], size=size, mode="bilinear", align_corners=False)[0, 0]
        stronger = found > best
        winner[stronger], best = number, torch.where(stronger, found, best)
        background -= F.softplus(found)
    winner[background >= F.logsigmoid(best)] = 0
    return winner
