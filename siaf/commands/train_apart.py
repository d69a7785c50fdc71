"""What the stages have in common that train a part of its own on what whole networks answer: segmenter and boundary."""

import argparse
import math
from pathlib import Path

from siaf.commands.common import Subparsers, device_name, minutes, positive
from siaf.errors import InputError


def add_run(stages: Subparsers, name: str, what: str, *, keeps: str, makes: str) -> argparse.ArgumentParser:
    """Register a stage that first writes what it `keeps` into OUT, to find it again, and last what it `makes`."""
    stage: argparse.ArgumentParser = stages.add_parser(name, help=what)
    stage.add_argument("--data", type=Path, required=True, help="folder of the data sets that the configuration names")
    stage.add_argument("--config", type=Path, help=f"TOML file (default: the packaged {name}.toml)")
    stage.add_argument("--out", type=Path, required=True, help=f"folder for {keeps}, checkpoint, log and {makes}")
    stage.add_argument("--resume", type=Path, help=f"resume from this checkpoint; {keeps} go on by themselves")
    stage.add_argument("--minutes", type=minutes, default=math.inf, help="end a longer schedule after this time")
    stage.add_argument("--checked", action="store_true", help="skip the check of the data")
    stage.add_argument("--device", type=device_name, default="auto", help='"auto" (default), "cpu", "cuda"')
    stage.add_argument("--threads", type=positive, help="CPU threads; default: torch's")
    return stage


def begin(arguments: argparse.Namespace) -> None:
    """Refuse what cannot be run, naming the option, and set the number of threads."""
    import torch

    if not arguments.data.is_dir():
        raise InputError(f"{arguments.data} is no folder", field="--data")
    if arguments.resume is not None and not math.isinf(arguments.minutes):
        raise InputError("a run that the clock ends cannot be resumed", field="minutes")
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
