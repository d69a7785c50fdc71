"""`siaf demo`: three objects and two rounds on the clip that comes with siaf."""

import argparse
import time
from importlib import resources
from pathlib import Path

from siaf.commands.common import add_json_argument, add_model_arguments, chosen_model, print_result
from siaf.commands.segment import report_lines, segment
from siaf.davis import read_davis
from siaf.frames.source import open_video
from siaf.session.session import Session

LABELS = {1: "rabbit", 2: "boulders", 3: "wall"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("demo-output"),
        metavar="DIR",
        help="folder for the results (default: demo-output)",
    )
    add_model_arguments(parser)
    add_json_argument(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Run the demo."""
    started = time.monotonic()
    data = Path(str(resources.files("siaf"))) / "demo_data"
    frames = open_video(data / "big-buck-bunny.mp4")
    size = {"n_frames": len(frames), "height": frames.height, "width": frames.width}
    rounds = [read_davis(path, **size) for path in sorted(data.glob("round*.json"))]
    model = chosen_model(arguments)
    result = segment(Session(model, frames), rounds, LABELS, arguments.out, name="big-buck-bunny.mp4")
    result["seconds"] = round(time.monotonic() - started, 1)
    print_result(result, [*report_lines(result), f"took {result['seconds']} s"], arguments.json)
