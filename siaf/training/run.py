"""`siaf train propagation|interaction`: from a configuration file and a data folder to weights."""

import tomllib
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from siaf.errors import InputError
from siaf.model.config import INTERACTION, PROPAGATION
from siaf.model.interaction import InteractionNet
from siaf.model.propagation import PropagationNet
from siaf.training.data import Batch, batches
from siaf.training.interaction import InteractionLoss, InteractionRecipe, interaction_batches
from siaf.training.loop import Schedule, Trainer
from siaf.training.pretrained import load_mobilenet
from siaf.training.propagation import PropagationLoss, PropagationRecipe, start_as_matching
from siaf.training.sources import load_sources
from siaf.training.synthesis import ClipSynthesizer
from siaf.weights import load_part

CONFIGS = Path(__file__).parent / "configs"
LossOf = Callable[[dict[str, Tensor], int], Tensor]
Draw = Callable[[np.random.Generator], Batch]


def train(
    stage: str,
    data: Path,
    out: Path,
    *,
    encoder_weights: Path | None = None,
    start: Path | None = None,
    config: Path | None = None,
    resume: Path | None = None,
) -> None:
    """Train one network; `out` gets checkpoint.safetensors and log.csv.

    `stage` is "propagation" or "interaction"; `data` is laid out as `siaf.training.sources` says. A run begins either
    from `encoder_weights` (an ImageNet encoder, the rest new) or from `start` (a weights file of `siaf weights pack`,
    whose network of this stage learns on). `resume` is a checkpoint of the same configuration, from which the run goes
    on as if it had never stopped.
    """
    if (encoder_weights is None) == (start is None):
        raise InputError("give either the encoder's weights or a weights file to start from", field="encoder_weights")
    settings = _read_config(stage, config)
    schedule = Schedule(**settings["schedule"])
    build = {"propagation": _propagation, "interaction": _interaction}[stage]
    net, draw, loss_of = build(settings, data, encoder_weights, schedule)
    if start is not None:
        load_part(net, start, settings["model"], stage)
    trainer = Trainer(net, schedule, out)
    if resume is not None:
        trainer.resume(resume)
    stream = batches(draw, seed=schedule.seed, start=trainer.step, steps=schedule.steps)
    print({"parameters": sum(p.numel() for p in trainer.trained.values()), **asdict(schedule)}, flush=True)
    trainer.run(stream, loss_of)


def _read_config(stage: str, path: Path | None) -> dict[str, Any]:
    source = path or CONFIGS / f"{stage}.toml"
    try:
        return tomllib.loads(source.read_text())
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise InputError(str(error), field=str(source)) from None


def _recipe(settings: dict[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in settings["recipe"].items()}


def _propagation(
    settings: dict[str, Any], data: Path, encoder_weights: Path | None, schedule: Schedule
) -> tuple[nn.Module, Draw, LossOf]:
    recipe = PropagationRecipe(**_recipe(settings))
    clips = ClipSynthesizer(load_sources(data), **settings["clips"])

    def draw(rng: np.random.Generator) -> Batch:
        drawn = [clips.sample(rng) for _ in range(settings["batch"])]
        return {"frames": np.stack([c.frames for c in drawn]), "labels": np.stack([c.labels for c in drawn])}

    net = PropagationNet(PROPAGATION[settings["model"]])
    if encoder_weights is not None:
        load_mobilenet(net.encoder, encoder_weights)
        seeds = [(schedule.seed, 7, i) for i in range(60)]
        start_as_matching(net, [clips.sample(np.random.default_rng(seed)).frames[0] for seed in seeds])
    net.encoder.requires_grad_(schedule.factor("encoder.") > 0)
    return net, draw, PropagationLoss(net, recipe, steps=schedule.steps, seed=schedule.seed)


def _interaction(
    settings: dict[str, Any], data: Path, encoder_weights: Path | None, schedule: Schedule
) -> tuple[nn.Module, Draw, LossOf]:
    recipe = InteractionRecipe(**_recipe(settings))
    draw = interaction_batches(load_sources(data), recipe, **settings["clips"])
    net = InteractionNet(INTERACTION[settings["model"]])
    if encoder_weights is not None:
        load_mobilenet(net.encoder, encoder_weights)
    return net, draw, InteractionLoss(net, recipe, steps=schedule.steps, seed=schedule.seed)
