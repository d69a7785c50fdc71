"""`siaf segment`: scribbles of one or several rounds on a video file or image folder → masks of all frames."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from siaf.commands.common import (
    Subparsers,
    add_json_argument,
    add_model_arguments,
    print_result,
    propagate_with_progress,
)
from siaf.errors import InputError
from siaf.files import staged_folder
from siaf.network import Model
from siaf.output import Results, write_results
from siaf.scribbles import Scribble, read_davis
from siaf.session import Session
from siaf.video import FrameSource, open_video
from siaf.weights import load_model

Strokes = dict[int, list[Scribble]]


def add_parser(subparsers: Subparsers) -> None:
    """Register the command."""
    parser = subparsers.add_parser("segment", help="segment objects through a video from scribbles")
    parser.add_argument("video", type=Path, help="video file or folder of images")
    parser.add_argument(
        "--scribbles",
        type=Path,
        action="append",
        required=True,
        metavar="FILE",
        help="DAVIS interactive JSON of a round; repeat for further rounds",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the results")
    parser.add_argument(
        "--state",
        type=Path,
        metavar="FILE",
        help="session.siaf of an earlier run on this video; rounds go on from it",
    )
    parser.add_argument(
        "--label",
        action="append",
        default=[],
        metavar="TAG=NAME",
        help="name of an object (default: object 1, …)",
    )
    add_model_arguments(parser)
    add_json_argument(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Read everything first, so that bad input costs no work, then run the rounds and write the results."""
    frames = open_video(arguments.video)
    size = {"n_frames": len(frames), "height": frames.height, "width": frames.width}
    rounds = [read_davis(path, **size) for path in arguments.scribbles]
    labels = _labels(arguments.label)
    model = load_model(arguments.model, device=arguments.device, weights=arguments.weights)
    session = Session.load(arguments.state, model, frames) if arguments.state else Session(model, frames)
    result = segment(session, rounds, labels, arguments.out, name=arguments.video.name)
    print_result(result, report_lines(result), arguments.json)


def segment(
    session: Session, rounds: Sequence[Strokes], labels: dict[int, str], out: Path, *, name: str
) -> dict[str, Any]:
    """Run rounds to their end and write the results to `out`; what was there before stays if anything fails."""
    shrunk: list[dict[str, Any]] = []
    with staged_folder(out) as folder:
        for number, strokes in enumerate(rounds, 1):
            if not strokes:
                raise InputError("there is no stroke in it", field=f"--scribbles (round {number})")
            session.interact(strokes)
            propagate_with_progress(session, f"round {number}")
            shrunk += [{"round": number, **asdict(one)} for one in session.shrunk]
            for one in session.shrunk:
                print(f"round {number}: {one}", file=sys.stderr)
        for tag in session.objects.tags:
            session.objects[tag].label = labels.get(tag, session.objects[tag].label)
        results = as_results(session, session.frames, session.model, name)
        _write_with_progress(folder, results)
        session.save(folder / "session.siaf")
    return {
        "out": str(out),
        "frames": len(session.frames),
        "objects": {tag: results.labels[tag] for tag in session.objects.tags},
        "rounds": len(session.rounds),
        "interacted": session.interacted,
        "suggested": session.suggest(),
        "shrunk": shrunk,
    }


def as_results(session: Session, frames: FrameSource, model: Model, name: str) -> Results:
    """A session as the writers of `siaf.output` want it."""
    labels = {tag: session.objects[tag].label or f"object {tag}" for tag in session.objects.tags}
    return Results(
        name=name,
        frames=frames,
        mask=session.mask,
        labels=labels,
        rounds=session.rounds,
        confidence=session.confidence,
        suggested=session.suggest(),
        model=model.name,
    )


def report_lines(result: dict[str, Any]) -> list[str]:
    """The result for people."""
    return [
        f"{result['frames']} frames, {len(result['objects'])} objects, {result['rounds']} rounds",
        f"frames to annotate next: {', '.join(map(str, result['suggested'])) or 'none'}",
        f"pictures: {result['out']}/report.html, {result['out']}/overlay.mp4, {result['out']}/masks",
    ]


def _labels(values: Sequence[str]) -> dict[int, str]:
    labels = {}
    for value in values:
        tag, _, name = value.partition("=")
        if not tag.isdecimal() or not name:
            raise InputError(f"must be TAG=NAME, not {value!r}", field="--label")
        labels[int(tag)] = name
    return labels


def _write_with_progress(folder: Path, results: Results) -> None:
    from tqdm import tqdm

    with tqdm(total=len(results.frames), desc="writing", unit="frame", disable=not sys.stderr.isatty()) as bar:
        for _ in write_results(folder, results):
            bar.update()
