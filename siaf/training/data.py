"""Batches of synthetic clips, reproducible step by step, so that a resumed run sees what the killed one would have."""

from collections.abc import Callable, Iterator

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

Batch = dict[str, np.ndarray]


class SeededBatches(Dataset[Batch]):
    """Batch i depends on (seed, i) only."""

    def __init__(self, draw: Callable[[np.random.Generator], Batch], seed: int, first: int, stop: int) -> None:
        self.draw, self.seed, self.first, self.stop = draw, seed, first, stop

    def __len__(self) -> int:
        return self.stop - self.first

    def __getitem__(self, index: int) -> Batch:
        return self.draw(np.random.default_rng((self.seed, self.first + index)))


def batches(
    draw: Callable[[np.random.Generator], Batch], *, seed: int, start: int, steps: int, workers: int = 0
) -> Iterator[dict[str, Tensor]]:
    """Batches `start` … `steps` − 1, in order, as tensors.

    `workers` = 0 draws in the training process, which is fastest where every core trains. Workers are forked, so call
    this before any thread pool (OpenMP, OpenCV) has started.
    """
    samples = SeededBatches(draw, seed, start, steps)
    return iter(DataLoader(samples, batch_size=None, num_workers=workers, worker_init_fn=_one_thread))


def _one_thread(_: int) -> None:
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
