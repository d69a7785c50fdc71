"""`siaf train`: train one of the two networks."""

import argparse
from pathlib import Path

from siaf.commands.common import Subparsers


def add_parser(subparsers: Subparsers) -> None:
    """Register the command."""
    parser = subparsers.add_parser("train", help="train the interaction or the propagation network")
    parser.add_argument("stage", choices=("interaction", "propagation"))
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with segments/, instances/, cutouts/, backgrounds/"
    )
    begin = parser.add_mutually_exclusive_group(required=True)
    begin.add_argument("--encoder-weights", type=Path, help="begin with ImageNet weights (torchvision MobileNetV2)")
    begin.add_argument("--start", type=Path, help="begin with this weights file (siaf weights pack)")
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoint.safetensors and log.csv")
    parser.add_argument("--config", type=Path, help="TOML file; default: the packaged one of the stage")
    parser.add_argument("--resume", type=Path, help="checkpoint to go on from")
    parser.add_argument("--threads", type=int, help="CPU threads; default: torch's")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Train to the end of the schedule."""
    import torch

    from siaf.training.run import train

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
    )
