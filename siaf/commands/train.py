"""`siaf train`: train one of the networks, or check its training data."""

import argparse
import math
import os
from pathlib import Path

from siaf.commands import train_boundary, train_segmenter
from siaf.commands.common import device_name, minutes, natural, positive
from siaf.errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    stages = parser.add_subparsers(dest="stage", required=True, metavar="STAGE")
    for stage in ("interaction", "propagation"):
        each = stages.add_parser(stage, help=f"train the {stage} network")
        _add_data(each)
        begin = each.add_mutually_exclusive_group(required=True)
        begin.add_argument("--encoder-weights", type=Path, help="start from ImageNet weights of the encoder")
        begin.add_argument("--start", type=Path, help="start from this weights file, or another run's checkpoint")
        each.add_argument("--out", type=Path, required=True, help="folder for the checkpoint, log and sample pictures")
        each.add_argument("--resume", type=Path, help="resume from this checkpoint")
        each.add_argument("--minutes", type=minutes, default=math.inf, help="end a longer schedule after this time")
        if stage == "propagation":
            each.add_argument(
                "--evaluate",
                type=Path,
                nargs="+",
                default=[],
                metavar="DAVIS",
                help="at the end, measure the weights on these folders as `siaf evaluate propagation` does, and write "
                "evaluation.csv",
            )
        each.add_argument("--checked", action="store_true", help="skip the check of the data")
        each.add_argument("--device", type=device_name, default="auto", help='"auto" (default), "cpu", "cuda"')
        each.add_argument("--workers", type=natural, default=0, help="processes that draw batches (default: 0, none)")
        each.add_argument("--threads", type=positive, help="CPU threads; default: torch's")
        each.set_defaults(run=run)
    train_segmenter.add_stage(stages)
    train_boundary.add_stage(stages)
    check = stages.add_parser("check", help="check every file that a configuration trains on")
    stages_of_data = ("interaction", "propagation", "segmenter", "boundary")
    check.add_argument("--stage", dest="of", choices=stages_of_data, default="propagation")
    _add_data(check)
    check.set_defaults(run=run_check)


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        help="folder of the data sets; by default it holds segments/, instances/, cutouts/, backgrounds/",
    )
    parser.add_argument(
        "--config",
        type=Path,
        help="TOML file, or the name of a packaged one such as siaf-r50-lvis (default: siaf-t's)",
    )


def run(arguments: argparse.Namespace) -> None:
    """Train to the end of the schedule."""
    import torch

    from siaf.training.run import Where, train

    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    train(
        arguments.stage,
        arguments.data,
        arguments.out,
        encoder_weights=arguments.encoder_weights,
        start=arguments.start,
        config=arguments.config,
        resume=arguments.resume,
        checked=arguments.checked,
        minutes=arguments.minutes,
        where=Where(device=arguments.device, workers=arguments.workers),
    )
    if arguments.stage == "propagation" and arguments.evaluate and os.environ.get("RANK", "0") == "0":
        _evaluate(arguments)


def _evaluate(arguments: argparse.Namespace) -> None:
    """J, union J, swaps and F of the run's weights, by folder and sequence: printed, and in evaluation.csv."""
    from siaf.commands.evaluate import propagation_row
    from siaf.commands.measured_model import model_with
    from siaf.evaluation.davis import DavisFolder
    from siaf.evaluation.propagation import siaf_method
    from siaf.evaluation.table import Row, markdown, means, write_csv
    from siaf.training.run import read_config

    trained = read_config("propagation", arguments.config)["model"]
    model = model_with({"propagation": str(arguments.out / "checkpoint.safetensors")}, trained, device=arguments.device)
    method = siaf_method(model, adapt=False)
    table: list[Row] = []
    for folder in arguments.evaluate:
        clips = DavisFolder(folder)
        rows = [{"sequence": name, **propagation_row(method, clips.load(name))} for name in clips.sequences()]
        rows += means(rows)
        for row in rows:
            print(markdown({"folder": folder.name, **row}, header=not table), flush=True)
            table.append({"folder": folder.name, **row})
    write_csv(arguments.out / "evaluation.csv", table)


def run_check(arguments: argparse.Namespace) -> None:
    """Name all problems, one a line; exit code 2 if there are any."""
    from siaf.training.run import check

    problems = check(arguments.of, arguments.data, arguments.config)
    for problem in problems:
        print(problem)
    if problems:
        raise InputError(f"{len(problems)} problems", field=str(arguments.data))
    print("no problems")
