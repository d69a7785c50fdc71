"""Attention that is read in parts: what queries find among some keys joins exactly with what they find among others.

So what a frame reads of the user's frames can be kept, and when one is added, only that one is read.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class PartialAttention:
    """Attention of queries to some of the keys: `values` float B×heads×N×D, weighted by softmax over these keys;
    `logsumexp` float B×heads×N, the logarithm of the sum of exponentials that they were divided by.
    """

    values: Tensor
    logsumexp: Tensor

    def join(self, other: "PartialAttention") -> "PartialAttention":
        """Attention of the same queries to both parts' keys."""
        most = torch.maximum(self.logsumexp, other.logsumexp)
        one, two = (self.logsumexp - most).exp(), (other.logsumexp - most).exp()
        total = one + two
        values = self.values * (one / total).unsqueeze(-1) + other.values * (two / total).unsqueeze(-1)
        return PartialAttention(values, most + total.log())

    def favoured(self, bias: float) -> "PartialAttention":
        """The same keys, with `bias` added to the logits of all."""
        return PartialAttention(self.values, self.logsumexp + bias)


def read_part(query: Tensor, key: Tensor, value: Tensor) -> PartialAttention:
    """Attention of queries float B×heads×N×D to keys and values B×heads×M×D, on a CPU."""
    # The public function keeps the logsumexp to itself; this is what it calls.
    return PartialAttention(*torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(query, key, value))
