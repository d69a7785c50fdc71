"""The training loop that both networks share: optimiser, schedule, moving average, log, checkpoints, exact resume."""

import csv
import json
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from siaf.errors import SiafError, StateError


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Optimiser settings. `slow` maps name prefixes to a factor of the learning rate, the longest prefix counts; a
    factor of 0 for "encoder." freezes the propagation network's encoder."""

    steps: int
    lr: float
    warmup: int = 60
    weight_decay: float = 0.03
    clip: float = 5.0
    ema: float = 0.998
    slow: dict[str, float] = field(default_factory=dict)
    seed: int = 0

    def rate(self, step: int) -> float:
        """Learning rate at a step: linear warm-up, then cosine to zero."""
        if step < self.warmup:
            return self.lr * (step + 1) / self.warmup
        return self.lr * 0.5 * (1 + math.cos(math.pi * (step - self.warmup) / max(1, self.steps - self.warmup)))

    def factor(self, name: str) -> float:
        """Factor of the learning rate for a parameter."""
        prefixes = [prefix for prefix in self.slow if name.startswith(prefix)]
        return self.slow[max(prefixes, key=len)] if prefixes else 1.0


class Trainer:
    """Runs `loss_of(batch, step)` over batches; keeps everything that a resume needs in one safetensors file.

    A loss must draw its random numbers from the step alone, so that a resumed run repeats an undisturbed one. A NaN
    loss stops the run and saves the batch beside the checkpoint.
    """

    def __init__(self, net: nn.Module, schedule: Schedule, folder: Path) -> None:
        self.net, self.schedule, self.folder = net, schedule, folder
        folder.mkdir(parents=True, exist_ok=True)
        self.trained = {name: p for name, p in net.named_parameters() if p.requires_grad}
        self.ema = {name: p.detach().clone() for name, p in self.trained.items()}
        self.optimiser = torch.optim.AdamW(self._groups(), lr=schedule.lr, betas=(0.9, 0.999))
        self.step = 0

    def _groups(self) -> list[dict[str, object]]:
        groups = []
        for name, parameter in self.trained.items():
            groups.append(
                {
                    "params": [parameter],
                    "scale": self.schedule.factor(name),
                    "weight_decay": self.schedule.weight_decay if parameter.ndim > 1 else 0.0,
                }
            )
        return groups

    def run(
        self,
        batches: Iterable[dict[str, Tensor]],
        loss_of: Callable[[dict[str, Tensor], int], Tensor],
        *,
        checkpoint_minutes: float = 4.0,
    ) -> None:
        """Train until the schedule ends or the batches do."""
        saved = started = time.monotonic()
        self.net.train()
        log = self.folder / "log.csv"
        fresh = not log.exists()
        with log.open("a", newline="") as file:
            writer = csv.writer(file)
            if fresh:
                writer.writerow(["step", "loss", "gradient", "rate", "seconds"])
            for batch in batches:
                if self.step >= self.schedule.steps:
                    break
                rate = self.schedule.rate(self.step)
                for group in self.optimiser.param_groups:
                    group["lr"] = rate * group["scale"]
                loss = loss_of(batch, self.step)
                if not torch.isfinite(loss):
                    save_file({k: v.contiguous() for k, v in batch.items()}, self.folder / "nan-batch.safetensors")
                    raise SiafError(
                        f"loss is {loss.item()} at step {self.step}; batch saved to {self.folder}/nan-batch.safetensors"
                    )
                self.optimiser.zero_grad(set_to_none=True)
                loss.backward()
                norm = torch.nn.utils.clip_grad_norm_(self.trained.values(), self.schedule.clip)
                self.optimiser.step()
                self._average()
                self.step += 1
                now = time.monotonic()
                if self.step % 10 == 0:
                    writer.writerow(
                        [
                            self.step,
                            f"{loss.item():.4f}",
                            f"{norm.item():.3f}",
                            f"{rate:.2e}",
                            f"{now - started:.1f}",
                        ]
                    )
                    file.flush()
                if now - saved > checkpoint_minutes * 60:
                    saved = now
                    self.save()
        self.save()

    def _average(self) -> None:
        decay = min(self.schedule.ema, (self.step + 1) / (self.step + 15))
        with torch.no_grad():
            for name, parameter in self.trained.items():
                self.ema[name].lerp_(parameter, 1 - decay)

    def save(self) -> None:
        """Write `checkpoint.safetensors` (weights, averages, optimiser moments, step), by rename."""
        tensors = {f"net.{k}": v for k, v in self.net.state_dict().items()}
        tensors |= {f"ema.{k}": v for k, v in self.ema.items()}
        for name, parameter in self.trained.items():
            for key, value in self.optimiser.state.get(parameter, {}).items():
                tensors[f"optimiser.{key}.{name}"] = torch.as_tensor(value)
        path = self.folder / "checkpoint.safetensors"
        temporary = path.with_suffix(".tmp")
        save_file(
            {k: v.detach().cpu().contiguous() for k, v in tensors.items()},
            temporary,
            {"step": json.dumps(self.step)},
        )
        temporary.replace(path)

    def resume(self, path: Path) -> None:
        """Continue from a checkpoint as if the run had never stopped."""
        tensors, self.step = _read(path)
        _load(self.net, {k[4:]: v for k, v in tensors.items() if k.startswith("net.")}, path)
        for name, parameter in self.trained.items():
            self.ema[name].copy_(tensors[f"ema.{name}"])
            moments = {k: tensors.get(f"optimiser.{k}.{name}") for k in ("step", "exp_avg", "exp_avg_sq")}
            if moments["step"] is not None:
                self.optimiser.state[parameter] = {k: v for k, v in moments.items() if v is not None}


def averaged_checkpoint(path: Path) -> dict[str, Tensor]:
    """The weights that a run would ship: the network of a checkpoint with its parameters' moving averages."""
    tensors = _read(path)[0]
    net = {k.removeprefix("net."): v for k, v in tensors.items() if k.startswith("net.")}
    return net | {k.removeprefix("ema."): v for k, v in tensors.items() if k.startswith("ema.")}


def load_averaged(net: nn.Module, path: Path) -> None:
    """Give `net` the weights that a run would ship. StateError if the checkpoint is of another architecture."""
    _load(net, averaged_checkpoint(path), path)


def _load(net: nn.Module, state: dict[str, Tensor], path: Path) -> None:
    try:
        net.load_state_dict(state)
    except RuntimeError as error:
        raise StateError(f"checkpoint of another architecture: {error}", field=str(path)) from None


def _read(path: Path) -> tuple[dict[str, Tensor], int]:
    """Tensors and step of a checkpoint; StateError names a file that is none."""
    try:
        with safe_open(path, "pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
            return tensors, int(json.loads((file.metadata() or {})["step"]))
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise StateError(f"not a training checkpoint: {error}", field=str(path)) from None
