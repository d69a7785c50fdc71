"""`siaf weights`: what weights there are, and weights files from training checkpoints."""

import argparse
from pathlib import Path

from siaf.commands import parity
from siaf.commands.common import Subparsers, add_json_argument, print_result
from siaf.errors import InputError
from siaf.weights import MODELS, packaged_weights, read_weights, save_weights, weights_info


def add_parser(subparsers: Subparsers) -> None:
    """Register the command."""
    parser = subparsers.add_parser("weights", help="list, inspect and pack weights")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="models, and whether their weights ship with siaf")
    add_json_argument(listing)
    listing.set_defaults(run=run_list)
    info = actions.add_parser("info", help="what a weights file is and where it comes from; checks that it loads")
    info.add_argument("file", type=Path)
    add_json_argument(info)
    info.set_defaults(run=run_info)
    pack = actions.add_parser("pack", help="one weights file from the checkpoints of both networks' trainings")
    pack.add_argument("--model", default="siaf-t", choices=sorted(MODELS))
    pack.add_argument(
        "--interaction", type=Path, required=True, help="checkpoint.safetensors of siaf train interaction"
    )
    pack.add_argument(
        "--propagation", type=Path, required=True, help="checkpoint.safetensors of siaf train propagation"
    )
    pack.add_argument("--note", default="", help="where the weights come from, kept in the file")
    pack.add_argument("--out", type=Path, required=True)
    pack.set_defaults(run=run_pack)
    parity.add_parser(actions)


def run_list(arguments: argparse.Namespace) -> None:
    """Print the catalogue."""
    found = {name: packaged_weights(name) for name in MODELS}
    result = {name: str(path) if path else None for name, path in found.items()}
    print_result(
        result,
        [f"{name:12} {path or 'no weights ship; pass --weights FILE'}" for name, path in result.items()],
        arguments.json,
    )


def run_info(arguments: argparse.Namespace) -> None:
    """Print a weights file's metadata."""
    if not arguments.file.is_file():
        raise InputError(f"no such file: {arguments.file}", field="file")
    from siaf.weights import load_model

    info = weights_info(arguments.file)
    load_model(info.get("model", ""), device="cpu", weights=arguments.file)
    count = sum(t.numel() for t in read_weights(arguments.file, info["model"]).values())
    result = {**info, "parameters": count}
    print_result(result, [f"{key:12} {value}" for key, value in result.items()], arguments.json)


def run_pack(arguments: argparse.Namespace) -> None:
    """Write a weights file."""
    from siaf.training.loop import averaged_checkpoint

    states = {part: averaged_checkpoint(getattr(arguments, part)) for part in ("interaction", "propagation")}
    save_weights(arguments.out, arguments.model, states["interaction"], states["propagation"], {"note": arguments.note})
