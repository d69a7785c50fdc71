"""`siaf train segmenter`: train the segmenter's decoder on what it is asked in rounds and by clicks."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from siaf.commands.common import Subparsers
from siaf.commands.train_apart import add_run, begin
from siaf.errors import InputError

if TYPE_CHECKING:
    from siaf.model.loaded import Model
    from siaf.training.datasets import Mixture

FILE = "mobilesam.safetensors"
_EMPTY_RUN = 50
"""Pictures one after the other that may show no object that is large enough."""


def add_stage(stages: Subparsers) -> None:
    """Register the stage."""
    stage = add_run(
        stages,
        "segmenter",
        "train the segmenter's decoder on what rounds and clicks ask it",
        keeps="examples",
        makes=FILE,
    )
    stage.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Write examples into OUT/examples as far as there are none, train, and write the weights file."""

    from siaf.training.data import batches
    from siaf.training.datasets import open_data
    from siaf.training.loop import Schedule, Trainer, averaged_checkpoint
    from siaf.training.run import read_config, refuse
    from siaf.training.segmenter import example_batches, freeze, segmenter_loss
    from siaf.weights.files import Part, save_parts
    from siaf.weights.loading import SEGMENTER, load_networks, load_segmenter

    begin(arguments)
    settings = read_config("segmenter", arguments.config)
    schedule = Schedule(**settings["schedule"])
    material = open_data(arguments.data, settings.get("data", []), settings["clips"]["size"])
    if not arguments.checked and arguments.resume is None:
        refuse(list(material.problems()), arguments.data)
    model = load_networks(settings["model"], device=arguments.device)
    files = _examples(model, material, settings, arguments.out / "examples", schedule.seed)
    segmenter = load_segmenter(model.device)
    assert segmenter is not None  # `_examples` needed it
    net = segmenter.net
    freeze(net)
    trainer = Trainer(net, schedule, arguments.out, name=SEGMENTER)
    if arguments.resume is not None:
        trainer.resume(arguments.resume)
    stream = batches(example_batches(files), seed=schedule.seed, numbers=trainer.numbers)
    trainer.run(
        ({key: value.to(model.device) for key, value in batch.items()} for batch in stream),
        lambda batch, _step, _part: segmenter_loss(net, batch),
        minutes=arguments.minutes,
    )
    state = averaged_checkpoint(arguments.out / "checkpoint.safetensors")
    part = Part(SEGMENTER, {k: v.half() for k, v in state.items()})
    save_parts(
        arguments.out / FILE, {"segmenter": part}, {"what": f"MobileSAM, decoder trained for {trainer.step} steps"}
    )
    print(f"{len(files)} pictures, {trainer.step} steps: {arguments.out / FILE}")


def _examples(model: "Model", material: "Mixture", settings: dict[str, Any], folder: Path, seed: int) -> list[Path]:
    """Files of as many pictures as the recipe wants; those that are there stay."""
    from siaf.evaluation.prompt_recording import record_prompts
    from siaf.training.datasets import ClipForm
    from siaf.training.segmenter import write_examples
    from siaf.training.synthesis import STILL_GAPS

    clips = material.clips(ClipForm(**settings["clips"], length=1, gaps=STILL_GAPS))
    folder.mkdir(parents=True, exist_ok=True)
    wanted, number, last = settings["recipe"]["pictures"], 0, 0
    files: list[Path] = []
    while len(files) < wanted:
        path = folder / f"{number:06d}.safetensors"
        if not path.exists():
            rng = np.random.default_rng((seed, number))
            clip = clips.sample(rng)
            examples = record_prompts(model, clip.frames[0], clip.labels[0], rng)
            if examples:
                assert model.segmenter is not None
                write_examples(path, model.segmenter, clip.frames[0], examples)
        if path.exists():
            files.append(path)
            last = number
            if len(files) % 50 == 0:
                print(f"{len(files)} of {wanted} pictures", flush=True)
        elif number - last > _EMPTY_RUN:
            raise InputError("its pictures show no object that is large enough", field="data")
        number += 1
    return files
