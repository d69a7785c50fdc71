"""`siaf train boundary`: train boundary refinement on what the propagation network answers."""

import argparse

from siaf.commands.common import Subparsers
from siaf.commands.train_apart import add_run, begin

FILE = "propagation.safetensors"


def add_stage(stages: Subparsers) -> None:
    """Register the stage."""
    stage = add_run(
        stages,
        "boundary",
        "train boundary refinement on what the propagation network answers",
        keeps="answers",
        makes=FILE,
    )
    stage.add_argument("--weights", help="the model whose answers are refined (default: the one that ships)")
    stage.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Write answers into OUT/answers as far as there are none, train, and write the propagation network with it."""
    import torch

    from siaf.model.boundary import BoundaryRefiner
    from siaf.model.names import DEFAULT_PROPAGATION
    from siaf.training.boundary import boundary_loss, crops, write_answers
    from siaf.training.data import batches
    from siaf.training.datasets import open_data
    from siaf.training.loop import Schedule, Trainer, averaged_checkpoint
    from siaf.training.run import read_config, refuse
    from siaf.weights.files import Part, read_parts, save_parts
    from siaf.weights.loading import find_weights, load_networks

    begin(arguments)
    settings = read_config("boundary", arguments.config)
    schedule, recipe, name = Schedule(**settings["schedule"]), settings["recipe"], settings["model"]
    material = open_data(arguments.data, settings.get("data", []), settings["clips"]["size"])
    sets = material.videos()
    if not arguments.checked and arguments.resume is None:
        refuse(list(material.problems()), arguments.data)
    source = find_weights(arguments.weights or name)
    model = load_networks(name, device=arguments.device, weights=source)
    answers, written = arguments.out / "answers", []
    answers.mkdir(parents=True, exist_ok=True)
    for number, (share, videos) in enumerate(sets):
        clips = []
        for video in videos:
            clips.append([*write_answers(answers, model, video, f"{number}-{video.name}")])
            print(f"{video.name}: {len(clips[-1])} frames", flush=True)
        written.append((share, clips))
    torch.manual_seed(schedule.seed)
    net = BoundaryRefiner().to(model.device)
    trainer = Trainer(net, schedule, arguments.out, name=f"{name} boundary")
    if arguments.resume is not None:
        trainer.resume(arguments.resume)
    draw = crops(written, settings["clips"]["size"], recipe["batch"])
    trainer.run(
        (
            {key: value.to(model.device) for key, value in batch.items()}
            for batch in batches(draw, seed=schedule.seed, numbers=trainer.numbers)
        ),
        lambda batch, _step, _part: boundary_loss(net, batch),
        minutes=arguments.minutes,
    )
    found = {f"boundary.{k}": v for k, v in averaged_checkpoint(arguments.out / "checkpoint.safetensors").items()}
    before = read_parts(source)["propagation"].tensors
    state = {k: v for k, v in before.items() if not k.startswith("boundary.")} | found
    half = {k: v.half() if v.is_floating_point() else v for k, v in state.items()}
    save_parts(
        arguments.out / FILE,
        {"propagation": Part(DEFAULT_PROPAGATION[name], half)},
        {"what": f"{source.name}, boundary refinement trained for {trainer.step} steps"},
    )
    frames = sum(len(clip) for _, clips in written for clip in clips)
    print(f"{frames} frames, {trainer.step} steps: {arguments.out / FILE}")
