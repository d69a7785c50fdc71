"""Batches of synthetic clips, reproducible step by step, so that a resumed run sees what the killed one would have."""

from collections.abc import Callable, Iterator, Sequence
from typing import overload

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

Batch = dict[str, np.ndarray]


class SeededBatches(Dataset[Batch]):
    """Batch i depends on (seed, i) only."""

    def __init__(self, draw: Callable[[np.random.Generator], Batch], seed: int, numbers: Sequence[int]) -> None:
        self.draw, self.seed, self.numbers = draw, seed, numbers

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: int) -> Batch:
        return self.draw(np.random.default_rng((self.seed, self.numbers[index])))


class Steps(Sequence[int]):
    """Numbers of the batches that one process draws: of `parts` a step, all from `first` on, `every` apart."""

    def __init__(self, start: int, stop: int, *, parts: int = 1, first: int = 0, every: int = 1) -> None:
        self._start, self._parts, self._own = start, parts, range(first, parts, every)
        self._count = max(0, stop - start) * len(self._own)

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> int: ...
    @overload
    def __getitem__(self, index: slice) -> list[int]: ...
    def __getitem__(self, index: int | slice) -> int | list[int]:
        chosen = range(self._count)[index]
        if isinstance(chosen, range):
            return [self[i] for i in chosen]
        step, part = divmod(chosen, len(self._own))
        return (self._start + step) * self._parts + self._own[part]


def batches(
    draw: Callable[[np.random.Generator], Batch],
    *,
    seed: int,
    numbers: Sequence[int],
    workers: int = 0,
    pinned: bool = False,
) -> Iterator[dict[str, Tensor]]:
    """The batches of these numbers, in order, as tensors; `pinned` in memory that a GPU copies from directly.

    `workers` = 0 draws in the training process, which is fastest where every core trains. Workers are forked, so call
    this before any thread pool (OpenMP, OpenCV) has started.
    """
    samples = SeededBatches(draw, seed, numbers)
    loader = DataLoader(samples, batch_size=None, num_workers=workers, worker_init_fn=_one_thread, pin_memory=pinned)
    return iter(loader)


def _one_thread(_: int) -> None:
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
