"""Frames, groups of objects and chains as one batch, and apart again."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from siaf.model.layers import to_map, to_tokens
from siaf.model.propagation import FrameFeatures, FrameMemory


def joined(parts: list[Tensor]) -> Tensor:
    """One batch; a single part is not copied."""
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def side_by_side(features: Sequence[FrameFeatures], groups: int) -> FrameFeatures:
    """Frames as one batch, each for every group of objects: entry i·groups + g. One frame is not copied."""
    if len(features) == 1:
        return features[0].map(lambda x: x.expand(groups, *x.shape[1:]))
    parts = [each.named() for each in features]
    return FrameFeatures.of(
        {name: torch.cat([part[name] for part in parts]).repeat_interleave(groups, 0) for name in parts[0]}
    )


def stack(memories: Sequence[FrameMemory]) -> FrameMemory:
    """Memories of several chains as one batch."""
    if len(memories) == 1:
        return memories[0]
    return [
        (torch.cat([key for key, _ in layer]), torch.cat([value for _, value in layer]))
        for layer in zip(*memories, strict=True)
    ]


def apart(memory: FrameMemory, groups: int, count: int) -> list[FrameMemory]:
    """The inverse of `stack`; copies, so that what is kept of one chain does not hold the others."""
    if count == 1:
        return [memory]
    parts = [slice(i * groups, (i + 1) * groups) for i in range(count)]
    return [[(key[part].clone(), value[part].clone()) for key, value in memory] for part in parts]


def fit_to(memory: FrameMemory, groups: int, grid: tuple[int, int], own: tuple[int, int]) -> FrameMemory:
    """A memory B×N×C on the grid `own` for a frame with another stride-16 grid and other groups of objects.

    Maps are resized. A group that the memory never heard of reads zeros: nothing is said about its objects. Groups that
    there are no more are left out.
    """

    def fit(x: Tensor, pad: bool) -> Tensor:
        if own != grid:
            x = to_tokens(F.interpolate(to_map(x, own), size=grid, mode="bilinear", align_corners=False))
        missing = groups - len(x)
        if missing <= 0:
            return x[:groups]
        extra = torch.zeros_like(x[:1]) if pad else x[:1]
        return torch.cat([x, *[extra] * missing])

    return [(fit(key, pad=False), fit(value, pad=True)) for key, value in memory]
