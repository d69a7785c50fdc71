"""Attention that is read in parts: what queries find among some keys joins exactly with what they find among others.

So what a frame reads of the user's frames can be kept, and when one is added, only that one is read.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Read:
    """What queries found among some keys: `found` float B×heads×N×D, values weighted by softmax; `weight` float
    B×heads×N, the logarithm of the sum of exponentials that they were divided by.
    """

    found: Tensor
    weight: Tensor

    def join(self, other: "Read") -> "Read":
        """What the same queries find among both parts' keys."""
        most = torch.maximum(self.weight, other.weight)
        one, two = (self.weight - most).exp(), (other.weight - most).exp()
        total = one + two
        found = self.found * (one / total).unsqueeze(-1) + other.found * (two / total).unsqueeze(-1)
        return Read(found, most + total.log())


def read_part(query: Tensor, key: Tensor, value: Tensor) -> Read:
    """Attention of queries float B×heads×N×D to keys and values B×heads×M×D, on a CPU."""
    # The public function keeps the weight to itself; this is what it calls.
    return Read(*torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(query, key, value))
