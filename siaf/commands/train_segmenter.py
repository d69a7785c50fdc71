"""`siaf train segmenter`: train the segmenter's decoder on what it is asked in rounds and by clicks."""

import argparse
from dataclasses import replace
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
    stage.add_argument("--start", type=Path, help="the segmenter that is asked and trained (default: what ships)")
    stage.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Write examples into OUT/examples as far as there are none, train, and write the weights file."""

    from siaf.training.data import batches
    from siaf.training.datasets import open_data
    from siaf.training.loop import Schedule, Trainer, averaged_checkpoint
    from siaf.training.run import read_config, refuse
    from siaf.training.segmenter import SegmenterRecipe, example_batches, freeze, segmenter_loss
    from siaf.weights.files import Part, file_digest, save_parts
    from siaf.weights.loading import SEGMENTER, find_weights, load_networks, load_segmenter

    begin(arguments)
    settings = read_config("segmenter", arguments.config)
    schedule = Schedule(**settings["schedule"])
    material = open_data(arguments.data, settings.get("data", []), settings["clips"]["size"])
    if not arguments.checked and arguments.resume is None:
        refuse(list(material.problems()), arguments.data)
    recipe = SegmenterRecipe(**settings["recipe"])
    start = arguments.start or find_weights(SEGMENTER)
    model = load_networks(settings["model"], device=arguments.device)
    segmenter = load_segmenter(model.device, start)
    assert segmenter is not None  # of a file that is there
    model = replace(model, segmenter=segmenter)
    files = _examples(model, material, settings["clips"], recipe.pictures, arguments.out / "examples", schedule.seed)
    net = segmenter.net
    before = {name: x.clone() for name, x in net.state_dict().items()}
    freeze(net)
    # What is kept is part of the change from where it started.
    trainer = Trainer(net, schedule, arguments.out, name=f"{SEGMENTER} from {file_digest(start)[:12]}")
    if arguments.resume is not None:
        trainer.resume(arguments.resume)
    stream = batches(example_batches(files), seed=schedule.seed, numbers=trainer.numbers)
    trainer.run(
        ({key: value.to(model.device) for key, value in batch.items()} for batch in stream),
        lambda batch, _step, _part: segmenter_loss(net, batch),
        minutes=arguments.minutes,
    )
    after = averaged_checkpoint(arguments.out / "checkpoint.safetensors")
    state = {name: x.cpu().lerp(after[name].cpu(), recipe.kept) for name, x in before.items()}
    part = Part(SEGMENTER, {k: v.half() for k, v in state.items()})
    what = f"{start.name}, decoder trained for {trainer.step} steps, {recipe.kept:g} of the change"
    save_parts(arguments.out / FILE, {"segmenter": part}, {"what": what})
    print(f"{len(files)} pictures and close-ups, {trainer.step} steps: {arguments.out / FILE}")


def _examples(
    model: "Model", material: "Mixture", form: dict[str, Any], wanted: int, folder: Path, seed: int
) -> list[Path]:
    """Files of as many pictures as are wanted, and of their close-ups; those that are there stay."""
    from siaf.evaluation.prompt_recording import record_prompts
    from siaf.training.datasets import ClipForm
    from siaf.training.segmenter import write_examples
    from siaf.training.synthesis import STILL_GAPS

    clips = material.clips(ClipForm(**form, length=1, gaps=STILL_GAPS))
    folder.mkdir(parents=True, exist_ok=True)
    number, taken, last = 0, 0, 0
    files: list[Path] = []
    while taken < wanted:
        path = folder / f"{number:06d}.safetensors"
        if not path.exists():
            rng = np.random.default_rng((seed, number))
            clip = clips.sample(rng)
            assert model.segmenter is not None
            # The whole picture is written last: where it is there, its close-ups are.
            for i, asked in reversed([*enumerate(record_prompts(model, clip.frames[0], clip.labels[0], rng))]):
                write_examples(_file(path, i), model.segmenter, asked.picture, asked.examples)
        if path.exists():
            files += [path, *sorted(folder.glob(f"{path.stem}-*.safetensors"))]
            taken, last = taken + 1, number
            if taken % 50 == 0:
                print(f"{taken} of {wanted} pictures", flush=True)
        elif number - last > _EMPTY_RUN:
            raise InputError("its pictures show no object that is large enough", field="data")
        number += 1
    return files


def _file(whole: Path, number: int) -> Path:
    """The file of a picture's close-up, from 1, or of the whole picture, 0."""
    return whole.with_stem(f"{whole.stem}-{number}") if number else whole
