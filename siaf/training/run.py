"""`siaf train propagation|interaction`: from a configuration file and a data folder to weights."""

import math
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from siaf.errors import InputError
from siaf.model.config import INTERACTION, PROPAGATION
from siaf.model.interaction import InteractionNet
from siaf.model.propagation import PropagationNet
from siaf.training.data import Batch, batches
from siaf.training.datasets import ClipForm, ClipSource, Mixture, open_data
from siaf.training.interaction import InteractionLoss, InteractionRecipe, interaction_batches
from siaf.training.loop import LossOf, Schedule, Trainer, load_averaged
from siaf.training.processes import joined, own_device
from siaf.training.propagation import PropagationLoss, PropagationRecipe, start_as_matching
from siaf.training.samples import picture_of
from siaf.training.synthesis import STILL_GAPS
from siaf.weights import MODELS, load_part
from siaf.weights.encoders import load_encoder
from siaf.weights.files import is_training_checkpoint

CONFIGS = Path(__file__).parent / "configs"
Net = PropagationNet | InteractionNet
Draw = Callable[[np.random.Generator], Batch]
_SHOWN = 2**31
"""Number of the batch that pictures are of; no step is as far."""
_NEW = ("fine.", "boundary.")
"""Layers that older weights lack."""
_APART = 7919
"""Between the seeds of a step's losses."""


@dataclass(frozen=True, kw_only=True)
class Where:
    """Where a run computes: device ("auto", "cpu", "cuda"), and processes that draw batches (0: this one does)."""

    device: str = "auto"
    workers: int = 0


def train(
    stage: str,
    data: Path,
    out: Path,
    *,
    encoder_weights: Path | None = None,
    start: Path | None = None,
    config: Path | None = None,
    resume: Path | None = None,
    checked: bool = False,
    minutes: float = math.inf,
    where: Where | None = None,
) -> None:
    """Train one network; `out` gets checkpoint.safetensors, log.csv, samples/ and TensorBoard's events.

    `stage` is "propagation" or "interaction"; `data` is the folder of the data sets that the configuration names
    (`siaf.training.datasets`), which are checked file by file first unless they are `checked` or the run resumes. A run
    begins either from `encoder_weights` (an ImageNet encoder, the rest new) or from `start` (a weights file, or the
    checkpoint of another run, whose network of this stage learns on). `resume` is a checkpoint of the same
    configuration, from which the run continues as if it had never stopped. `minutes` end a schedule that takes
    longer: the learning rate then falls by the clock, which no resumed run could repeat. Under `torchrun` the processes
    share each step's batches.
    """
    if (encoder_weights is None) == (start is None):
        raise InputError("give either the encoder's weights or a weights file to start from", field="encoder_weights")
    if not data.is_dir():
        raise InputError(f"{data} is no folder", field="--data")
    if resume is not None and not math.isinf(minutes):
        raise InputError("a run that the clock ends cannot be resumed", field="minutes")
    settings, where = read_config(stage, config), where or Where()
    device = own_device(where.device)
    with joined(device) as processes:
        schedule = Schedule(**{"parts": processes.count, **settings["schedule"]})
        material = open_data(data, settings.get("data", []), settings["clips"]["size"])
        if processes.first and not checked and resume is None:
            refuse(list(material.problems()), data)
        torch.manual_seed(schedule.seed)  # new layers begin alike in every run
        net, draw = _BUILD[stage](settings, material)
        if encoder_weights is not None:
            load_encoder(net.encoder, encoder_weights)
            if isinstance(net, PropagationNet) and net.config.matching == "8+16":  # others begin as AOT does
                images = [draw(np.random.default_rng((schedule.seed, 7, i)))["frames"][0, 0] for i in range(60)]
                start_as_matching(net, images)
        if start is not None:
            _go_on_from(net, start, settings["model"], stage)
        net.to(device)
        net.encoder.requires_grad_(schedule.factor("encoder.") > 0)
        if isinstance(net, PropagationNet) and net.boundary is not None:
            net.boundary.requires_grad_(False)  # it learns from what this network answers: `siaf train boundary`
        trainer = Trainer(net, schedule, out, name=f"{settings['model']} {stage}", processes=processes)
        if resume is not None:
            trainer.resume(resume)
        numbers, cuda = trainer.numbers, device.type == "cuda"
        stream = batches(draw, seed=schedule.seed, numbers=numbers, workers=where.workers, pinned=cuda)
        shown = {key: torch.from_numpy(v) for key, v in draw(np.random.default_rng((schedule.seed, _SHOWN))).items()}
        if processes.first:
            print({"parameters": sum(p.numel() for p in trainer.trained.values()), **asdict(schedule)}, flush=True)
        trainer.run(
            ({key: value.to(device, non_blocking=True) for key, value in batch.items()} for batch in stream),
            _loss(settings, net, schedule),
            minutes=minutes,
            picture=lambda: picture_of(net, shown, device),
        )


def _go_on_from(net: Net, start: Path, model: str, stage: str) -> None:
    """Weights to continue from. Layers that they are older than stay as initialised."""
    if is_training_checkpoint(start):
        load_averaged(net, start, f"{model} {stage}", new=_NEW)
    else:
        load_part(net, start, model, stage, new=_NEW)


def check(stage: str, data: Path, config: Path | None = None) -> list[InputError]:
    """What is wrong with the data of a stage's configuration, file by file. InputError if there is no folder at all."""
    if not data.is_dir():
        raise InputError(f"{data} is no folder", field="--data")
    settings = read_config(stage, config)
    return list(open_data(data, settings.get("data", []), settings["clips"]["size"]).problems())


def refuse(problems: Sequence[InputError], data: Path) -> None:
    """InputError with the first problem if there is one."""
    if problems:
        more = f" (and {len(problems) - 1} more: siaf train check names them)" if len(problems) > 1 else ""
        raise InputError(f"{problems[0]}{more}", field=str(data))


def read_config(stage: str, path: Path | None) -> dict[str, Any]:
    """A configuration: a file, the name of a packaged one, or the stage's own. Raises InputError for anything else."""
    source = CONFIGS / f"{path or stage}.toml"
    if path is not None and not source.is_file():
        source = path
    try:
        settings = tomllib.loads(source.read_text())
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise InputError(str(error), field=str(source)) from None
    for key in ("model", "clips", "schedule", "recipe"):
        if key not in settings:
            raise InputError(f"has no {key!r}", field=str(source))
    return settings


def _propagation(settings: dict[str, Any], material: Mixture) -> tuple[PropagationNet, Draw]:
    clips = material.clips(ClipForm(**settings["clips"]))

    def draw(rng: np.random.Generator) -> Batch:
        drawn = [clips.sample(rng) for _ in range(settings["batch"])]
        return {"frames": np.stack([c.frames for c in drawn]), "labels": np.stack([c.labels for c in drawn])}

    return PropagationNet(PROPAGATION[MODELS[settings["model"]]]), draw


def _interaction(settings: dict[str, Any], material: Mixture) -> tuple[InteractionNet, Draw]:
    recipe = InteractionRecipe(**_recipe(settings))

    def make(length: int) -> ClipSource:
        form = ClipForm(**settings["clips"], length=length, gaps=STILL_GAPS, untouched=recipe.untouched)
        return material.clips(form)

    return InteractionNet(INTERACTION[settings["model"]]), interaction_batches(make, recipe)


_BUILD: dict[str, Callable[[dict[str, Any], Mixture], tuple[Net, Draw]]] = {
    "propagation": _propagation,
    "interaction": _interaction,
}


def _loss(settings: dict[str, Any], net: Net, schedule: Schedule) -> LossOf:
    """The loss of every part of a step, each with random numbers of its own."""
    seeds = [schedule.seed + _APART * part for part in range(schedule.parts)]
    losses: list[PropagationLoss] | list[InteractionLoss]
    if isinstance(net, PropagationNet):
        tracking = PropagationRecipe(**_recipe(settings))
        losses = [PropagationLoss(net, tracking, steps=schedule.steps, seed=seed) for seed in seeds]
    else:
        drawing = InteractionRecipe(**_recipe(settings))
        losses = [InteractionLoss(net, drawing, steps=schedule.steps, seed=seed) for seed in seeds]
    return lambda batch, step, part: losses[part](batch, step)


def _recipe(settings: dict[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in settings["recipe"].items()}
