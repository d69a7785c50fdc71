"""What a chain knows of the frame that it passed last, beside its memory: who was where at full input size."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from siaf.masks import MAX_TAG


@dataclass(frozen=True)
class Trail:
    """`labels`: tags, uint8 H×W at the network's input; `pace`: how far every object moved (siaf.model.motion), float32
    by tag; `key`: how the frame looks to the fine decoder, float16 1×C×h×w, or None where there is none.
    """

    labels: Tensor
    pace: Tensor
    key: Tensor | None

    @classmethod
    def begin(cls, labels: Tensor, key: Tensor | None) -> "Trail":
        """Of a frame that nothing came before."""
        return cls(labels, torch.zeros(MAX_TAG + 1), key)

    def named(self) -> dict[str, Tensor]:
        """Every tensor by name."""
        found = {"labels": self.labels, "pace": self.pace}
        return found if self.key is None else {**found, "key": self.key}

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> "Trail":
        """The inverse of `named`; KeyError if one is missing."""
        return cls(tensors["labels"], tensors["pace"], tensors.get("key"))
