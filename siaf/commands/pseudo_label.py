"""`siaf pseudo-label`: let a teacher network label photos for training."""

import argparse
from pathlib import Path

from siaf.commands.common import positive


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("photos", type=Path, help="folder of .jpg files")
    parser.add_argument("--encoder", type=Path, required=True, help="the teacher's image encoder, an ONNX file")
    parser.add_argument("--decoder", type=Path, required=True, help="the teacher's mask decoder, an ONNX file")
    parser.add_argument("--out", type=Path, required=True, help="gets images/ and labels/, as DATA/instances")
    parser.add_argument("--threads", type=positive, default=1, help="CPU threads (default: 1)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Label the photos that have no labels yet."""
    from siaf.training.teacher import OnnxTeacher, label_folder

    teacher = OnnxTeacher(arguments.encoder, arguments.decoder, arguments.threads)
    added = label_folder(arguments.photos, arguments.out, teacher)
    print(f"{added} photos added to {arguments.out}")
