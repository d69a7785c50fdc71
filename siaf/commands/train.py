"""`siaf train`: train one of the two networks, or check what it would be trained on."""

import argparse
from pathlib import Path

from siaf.commands.common import Subparsers, device_name, natural, positive
from siaf.errors import InputError


def add_parser(subparsers: Subparsers) -> None:
    """Register the command."""
    parser = subparsers.add_parser("train", help="train the interaction or the propagation network")
    stages = parser.add_subparsers(dest="stage", required=True, metavar="STAGE")
    for stage in ("interaction", "propagation"):
        each = stages.add_parser(stage, help=f"train the {stage} network")
        _add_data(each)
        begin = each.add_mutually_exclusive_group(required=True)
        begin.add_argument("--encoder-weights", type=Path, help="begin with ImageNet weights of the encoder")
        begin.add_argument("--start", type=Path, help="begin with this weights file or checkpoint of another run")
        each.add_argument("--out", type=Path, required=True, help="folder for checkpoint, log and sample pictures")
        each.add_argument("--resume", type=Path, help="checkpoint to go on from")
        each.add_argument("--checked", action="store_true", help="do not check the data again")
        each.add_argument("--device", type=device_name, default="auto", help='"auto" (default), "cpu", "cuda"')
        each.add_argument("--workers", type=natural, default=0, help="processes that draw batches (default: 0, none)")
        each.add_argument("--threads", type=positive, help="CPU threads; default: torch's")
        each.set_defaults(run=run)
    check = stages.add_parser("check", help="look at every file that a configuration would train on")
    check.add_argument("--stage", dest="of", choices=("interaction", "propagation"), default="propagation")
    _add_data(check)
    check.set_defaults(run=run_check)


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        help="folder of the data sets; by default segments/, instances/, cutouts/, backgrounds/ are in it",
    )
    parser.add_argument(
        "--config",
        type=Path,
        help="TOML file, or a packaged one's name (siaf-r50-lvis); default: siaf-t's of the stage",
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
        where=Where(device=arguments.device, workers=arguments.workers),
    )


def run_check(arguments: argparse.Namespace) -> None:
    """Name all problems, one a line; exit code 2 if there are any."""
    from siaf.training.run import check

    problems = check(arguments.of, arguments.data, arguments.config)
    for problem in problems:
        print(problem)
    if problems:
        raise InputError(f"{len(problems)} problems", field=str(arguments.data))
    print("no problems")
