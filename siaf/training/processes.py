"""Several processes, one per GPU, as `torchrun` starts them: each has its own batches, all have the same network."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn


@dataclass(frozen=True)
class Processes:
    """This process, `rank`, among `count`. With one, every method is a no-op."""

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files."""
        return self.rank == 0

    def share(self, net: nn.Module) -> None:
        """Give all processes the first one's parameters and buffers."""
        if self.count > 1:
            for tensor in (*net.parameters(), *net.buffers()):
                dist.broadcast(tensor.detach(), src=0)

    def sum(self, value: Tensor) -> Tensor:
        """The sum over all processes."""
        if self.count > 1:
            value = value.clone()
            dist.all_reduce(value)
        return value

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Add up the gradients of all processes.

        A parameter may have taken part in one process only; its missing gradients count as zero. One that took part
        nowhere keeps none, so that the optimiser leaves it alone as it would in a single process.
        """
        if self.count == 1:
            return
        trained = list(parameters)
        device = trained[0].device
        took_part = torch.tensor([p.grad is not None for p in trained], dtype=torch.float32, device=device)
        parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in trained]
        flat = torch.cat([took_part, *(part.flatten() for part in parts)])
        dist.all_reduce(flat)
        counts, flat = flat[: len(trained)].tolist(), flat[len(trained) :]
        for parameter, count, total in zip(trained, counts, flat.split([p.numel() for p in trained]), strict=True):
            if count:
                parameter.grad = total.view_as(parameter)

    def average_buffers(self, net: nn.Module) -> None:
        """Running statistics become the mean of all processes'."""
        buffers = [buffer for buffer in net.buffers() if buffer.is_floating_point()]
        if self.count == 1 or not buffers:
            return
        flat = torch.cat([buffer.flatten() for buffer in buffers])
        dist.all_reduce(flat)
        for buffer, total in zip(buffers, flat.split([b.numel() for b in buffers]), strict=True):
            buffer.copy_(total.view_as(buffer) / self.count)


@contextmanager
def joined(device: torch.device) -> Iterator[Processes]:
    """The processes that `torchrun` started, for the time of a block; by itself a single one."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Processes()
        return
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Processes(dist.get_rank(), count)
    finally:
        dist.destroy_process_group()


def own_device(name: str) -> torch.device:
    """The device of this process: "auto" takes the GPU if there is one, and under `torchrun` each process its own."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda":
        name = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
    device = torch.device(name)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    return device
