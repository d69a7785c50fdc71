"""The training loop that both networks share: optimiser, schedule, moving average, log, checkpoints, exact resume."""

import json
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from siaf.errors import InputError, SiafError, StateError
from siaf.training.data import Steps
from siaf.training.log import RunLog
from siaf.training.processes import Processes
from siaf.weights.files import load_checked


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
    parts: int = 1
    """Batches per step: their mean loss is minimised. Several processes share them."""

    def rate(self, step: int, spent: float = 0.0) -> float:
        """Learning rate: linear warm-up, then cosine to zero at the last step, or when all time is `spent`."""
        if step < self.warmup:
            return self.lr * (step + 1) / self.warmup
        done = max(spent, (step - self.warmup) / max(1, self.steps - self.warmup))
        return self.lr * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))

    def factor(self, name: str) -> float:
        """Factor of the learning rate for a parameter."""
        prefixes = [prefix for prefix in self.slow if name.startswith(prefix)]
        return self.slow[max(prefixes, key=len)] if prefixes else 1.0


LossOf = Callable[[dict[str, Tensor], int, int], Tensor]
"""Loss of a batch at a step; the last number says which of the step's batches it is."""


class Trainer:
    """Runs a loss over batches; keeps everything that a resume needs in one safetensors file.

    A loss must draw its random numbers from the step and the part alone, so that a resumed run repeats an undisturbed
    one. `name` says what is trained ("siaf-t propagation"): a checkpoint of something else is refused. With several
    `processes` every one has an equal share of a step's batches; the first writes all files.
    """

    def __init__(
        self, net: nn.Module, schedule: Schedule, folder: Path, *, name: str = "", processes: Processes | None = None
    ) -> None:
        self.net, self.schedule, self.folder, self.name = net, schedule, folder, name
        self.processes = processes or Processes()
        if schedule.parts < 1 or schedule.parts % self.processes.count:
            raise InputError(f"{self.processes.count} processes cannot share {schedule.parts} batches", field="parts")
        folder.mkdir(parents=True, exist_ok=True)
        self.processes.share(net)
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

    @property
    def numbers(self) -> Steps:
        """Numbers of this process's batches from the present step to the end of the schedule, for `data.batches`."""
        share = {"first": self.processes.rank, "every": self.processes.count}
        return Steps(self.step, self.schedule.steps, parts=self.schedule.parts, **share)

    def run(
        self,
        batches: Iterable[dict[str, Tensor]],
        loss_of: LossOf,
        *,
        checkpoint_minutes: float = 4.0,
        minutes: float = math.inf,
        picture: Callable[[], NDArray[np.uint8]] | None = None,
    ) -> None:
        """Train until the schedule, the batches or the `minutes` end; a picture is taken with every checkpoint.

        Where the time is short, the learning rate falls with it, so that the run is a whole one.
        Raises SiafError if the loss is not finite; the batch is then in nan-batch.safetensors.
        """
        saved = started = time.monotonic()
        self.net.train()
        log = RunLog(self.folder, self.step) if self.processes.first else None
        stream = iter(batches)
        parts = range(self.processes.rank, self.schedule.parts, self.processes.count)
        while self.step < self.schedule.steps:
            spent = self._share_of(minutes, started)
            if spent >= 1:
                break
            own = list(islice(stream, len(parts)))
            if len(own) < len(parts):
                break
            rate = self.schedule.rate(self.step, spent)
            loss, norm = self._step(dict(zip(parts, own, strict=True)), loss_of, rate)
            now = time.monotonic()
            if log and self.step % 10 == 0:
                log.write(self.step, loss, norm, rate, now - started)
            if log and now - saved > checkpoint_minutes * 60:
                saved = now
                self.save()
                if picture:
                    log.picture(self.step, picture())
        if log:
            self.save()
            if picture:
                log.picture(self.step, picture())
            log.close()

    def _share_of(self, minutes: float, started: float) -> float:
        """How much of so many minutes has gone, the same for all processes."""
        if math.isinf(minutes):
            return 0.0
        device = next(iter(self.trained.values())).device
        spent = torch.tensor((time.monotonic() - started) / 60 / minutes, device=device)
        return self.processes.sum(spent).item() / self.processes.count

    def _step(self, own: dict[int, dict[str, Tensor]], loss_of: LossOf, rate: float) -> tuple[float, float]:
        """One step of the optimiser; the mean loss over all batches and the gradient's norm before clipping."""
        self.optimiser.zero_grad(set_to_none=True)
        losses = []
        for part, batch in own.items():
            loss = loss_of(batch, self.step, part) / self.schedule.parts
            losses.append(loss.detach())
            if torch.isfinite(loss):
                loss.backward()
        total = self.processes.sum(torch.stack(losses).sum())
        if not torch.isfinite(total):
            self._stop(dict(zip(own, losses, strict=True)), own)
        self.processes.sum_gradients(self.trained.values())
        norm = torch.nn.utils.clip_grad_norm_(self.trained.values(), self.schedule.clip)
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group["scale"]
        self.optimiser.step()
        self.processes.average_buffers(self.net)
        self._average()
        self.step += 1
        return total.item(), norm.item()

    def _stop(self, losses: dict[int, Tensor], own: dict[int, dict[str, Tensor]]) -> None:
        """Keep the batch whose loss is not finite, and stop."""
        for part, loss in losses.items():
            if not torch.isfinite(loss):
                path = self.folder / "nan-batch.safetensors"
                tensors = {k: v.cpu().contiguous() for k, v in own[part].items()}
                save_file(tensors, path, {"step": json.dumps(self.step), "part": json.dumps(part)})
                raise SiafError(f"loss is {loss.item()} at step {self.step}; batch saved to {path}")
        raise SiafError(f"loss is not finite at step {self.step}, in another process")

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
            {"step": json.dumps(self.step), "name": self.name},
        )
        temporary.replace(path)

    def resume(self, path: Path) -> None:
        """Continue from a checkpoint as if the run had never stopped.

        Raises StateError for a file that is not a checkpoint, or belongs to another network.
        """
        tensors, metadata = _read(path)
        _require_name(metadata, self.name, path)
        load_checked(self.net, {k[4:]: v for k, v in tensors.items() if k.startswith("net.")}, str(path))
        self.step = int(json.loads(metadata["step"]))
        for name, parameter in self.trained.items():
            self.ema[name].copy_(tensors[f"ema.{name}"])
            moments = {k: tensors.get(f"optimiser.{k}.{name}") for k in ("step", "exp_avg", "exp_avg_sq")}
            if moments["step"] is not None:
                self.optimiser.state[parameter] = {
                    k: v if k == "step" else v.to(parameter.device)  # AdamW counts on the CPU
                    for k, v in moments.items()
                    if v is not None
                }


def averaged_checkpoint(path: Path) -> dict[str, Tensor]:
    """The weights that a run would ship: the network of a checkpoint with its parameters' moving averages."""
    tensors = _read(path)[0]
    net = {k.removeprefix("net."): v for k, v in tensors.items() if k.startswith("net.")}
    return net | {k.removeprefix("ema."): v for k, v in tensors.items() if k.startswith("ema.")}


def load_averaged(net: nn.Module, path: Path, name: str = "", *, new: Sequence[str] = ()) -> None:
    """Give `net`, whose training is called `name`, the weights that a run would ship. StateError for another's.

    `new` as of `load_checked`.
    """
    _require_name(_read(path)[1], name, path)
    load_checked(net, averaged_checkpoint(path), str(path), new=new)


def _require_name(metadata: dict[str, str], name: str, path: Path) -> None:
    """Old checkpoints have no name."""
    found = metadata.get("name")
    if found and name and found != name:
        raise StateError(f"is a checkpoint of {found}, not of {name}", field=str(path))


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a checkpoint; StateError names a file that is not a checkpoint."""
    try:
        with safe_open(path, "pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
            metadata = dict(file.metadata() or {})
        int(json.loads(metadata["step"]))
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise StateError(f"not a training checkpoint: {error}", field=str(path)) from None
    return tensors, metadata
