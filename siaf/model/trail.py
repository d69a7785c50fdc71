"""What a chain knows of the frame that it passed last, beside its memory: who was where at full input size."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from siaf.masks import MAX_TAG

_TYPES = {"labels": torch.uint8, "pace": torch.float32, "key": torch.float16}


@dataclass(frozen=True)
class Place:
    """Where a step of a chain is among the interacted frames that it reads, in the order of its long-term memory.

    `offsets`: how many frames lie between each of them and the step's frame, in the direction of the chain: positive
    where the chain has passed the interacted frame, or starts from it.
    """

    offsets: tuple[int, ...]


class Trace(Protocol):
    """What a chain knows of the frames that it has passed: the engine's own business, tensors by name to others."""

    def named(self) -> dict[str, Tensor]:
        """Every tensor by name."""
        ...


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

    @classmethod
    def checked(cls, tensors: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]]) -> "Trail":
        """As `of`, of tensors from anywhere; ValueError, naming the tensor, unless they are just those of `shapes`."""
        for name in sorted(shapes.keys() | tensors.keys()):
            if name not in tensors or name not in shapes:
                raise ValueError(f"{name}: this tensor is {'unknown' if name in tensors else 'missing'}")
            found, shape = tensors[name], shapes[name]
            if found.dtype != _TYPES[name] or found.shape != shape:
                raise ValueError(f"{name}: is {found.dtype} {list(found.shape)}, not {_TYPES[name]} {list(shape)}")
        return cls.of(tensors)


def paced(trail: Trace | None, before: Trace | None, scale: float = 1.0) -> Trace | None:
    """A trail that begins anew, with the paces of the one before it, `scale` times as large."""
    if isinstance(trail, Trail) and isinstance(before, Trail):
        return replace(trail, pace=before.pace * scale)
    return trail
