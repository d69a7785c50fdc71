"""How much interacted and predicted frames count in a long-term read: together, both kinds weigh alike.

One interacted frame would drown among ten predicted ones, and one predicted frame among eight interacted ones.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from siaf.model.partial_attention import PartialAttention


def balance(
    tokens: int, known: PartialAttention | None, given: Sequence[int], device: torch.device
) -> tuple[PartialAttention | None, Tensor | None]:
    """`known`, weighed, and what is added to the logits of `tokens` tokens, float32 B×1×1×`tokens`; None for nothing.

    `known`: what was read of all interacted frames of one chain; the tokens are then of predicted frames only. Without
    it, every entry of the batch begins with `given` tokens of interacted frames. `given`: how many tokens of each entry
    are of interacted frames; empty or all 0: nobody knows, and nothing is weighed.
    """
    if not any(given):
        return known, None
    if known is not None:  # of one chain, whose groups have as many tokens
        return known.favoured(math.log(tokens / given[0])), None
    shares = [math.log((tokens - count) / count) if 0 < count < tokens else 0.0 for count in given]
    if not any(shares):
        return None, None
    share, first = (torch.tensor(x, device=device)[:, None] for x in (shares, list(given)))
    return None, ((torch.arange(tokens, device=device) < first) * share)[:, None, None]
