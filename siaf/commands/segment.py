"""`siaf segment`: turn scribbles on some frames of a video or picture folder into masks of all frames."""

import argparse
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from siaf.commands.common import (
    adapt_with_progress,
    add_json_argument,
    add_model_arguments,
    chosen_model,
    frame_list,
    print_result,
    propagate_with_progress,
)
from siaf.commands.given_masks import read_masks
from siaf.commands.keeping import SESSION, KeptSession, stopping
from siaf.davis import read_davis
from siaf.engines.base import Engine
from siaf.errors import InputError
from siaf.files import staged_folder
from siaf.frames.source import FrameSource, open_video
from siaf.masks import MAX_TAG, IndexMask
from siaf.output import Results, write_results
from siaf.scribbles import Scribble, is_seen
from siaf.session.session import Session
from siaf.session.stroke_slots import object_tags

Strokes = dict[int, list[Scribble]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("video", help="video file, folder of images, or image file")
    parser.add_argument(
        "--scribbles",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="one round of strokes, as DAVIS interactive JSON; repeat it for more rounds",
    )
    parser.add_argument(
        "--masks",
        type=Path,
        metavar="FOLDER",
        help="masks of some frames to start from: palette or grey PNGs, value = object, named after picture or frame",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the results")
    parser.add_argument(
        "--state",
        type=Path,
        metavar="FILE",
        help="continue this session.siaf of an earlier run on the same video",
    )
    parser.add_argument(
        "--label",
        action="append",
        default=[],
        metavar="TAG=NAME",
        help="name an object (default: object 1, …); repeat it for more objects",
    )
    parser.add_argument(
        "--adapt",
        action=argparse.BooleanOptionalAction,
        help="before a round is propagated, fit the network to the masks of --masks (default: if there are some)",
    )
    parser.add_argument(
        "--frames",
        metavar="A-B",
        help="propagate to these frames only (20-30; the first is 0); others keep the masks of --state, or get none",
    )
    parser.add_argument(
        "--barriers",
        type=frame_list,
        metavar="F,G",
        help='frames that nothing crosses, as first ones after cuts; "none" lifts those of --state (default: as there)',
    )
    add_model_arguments(parser)
    add_json_argument(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Read everything first, so that bad input costs no work, then run the rounds and write the results."""
    frames = open_video(arguments.video)
    if not (arguments.scribbles or arguments.masks or arguments.state):
        raise InputError(
            "nothing to segment; give strokes (--scribbles FILE), masks of some frames (--masks FOLDER) or an"
            " earlier run (--state FILE)",
            field="--scribbles",
        )
    notes: list[str] = []
    rounds = [_read_round(path, frames, notes) for path in arguments.scribbles]
    masks = read_masks(arguments.masks, frames, notes) if arguments.masks else {}
    labels = _labels(arguments.label)
    within = _range(arguments.frames, len(frames)) if arguments.frames is not None else None
    model = chosen_model(arguments)
    session = Session.load(arguments.state, model, frames) if arguments.state else Session(model, frames)
    _check_tags(session, rounds, masks, labels, notes)
    if arguments.barriers is not None:
        session.barriers = arguments.barriers
    result = segment(
        session,
        rounds,
        labels,
        arguments.out,
        name=Path(arguments.video).name,
        masks=masks,
        within=within,
        notes=notes,
        begun=arguments.state,
        adapt=arguments.adapt,
        again=lambda place, done: _command(arguments, place, done),
    )
    print_result(result, report_lines(result), arguments.json)


def segment(
    session: Session,
    rounds: Sequence[Strokes],
    labels: dict[int, str],
    out: Path,
    *,
    name: str,
    masks: dict[int, IndexMask] | None = None,
    within: range | None = None,
    notes: Sequence[str] = (),
    begun: Path | None = None,
    adapt: bool | None = None,
    again: Callable[[Path, int], str] | None = None,
) -> dict[str, Any]:
    """Finish what the session has begun, run rounds to their end and write the results to `out`.

    `masks` of frames by hand belong to the first round. `within` limits propagation and what is written to a range of
    frames; masks that the session has elsewhere are written again. If anything fails, the pictures that were in `out`
    stay, and the session is kept there (`KeptSession`); `again(file, n)` is the command that goes on from it after n
    rounds.
    `adapt`: before every propagation, as `Session.adapt` (None: where it pays); a note says what came of it.
    """
    given = [(strokes, (masks or {}) if n == 0 else {}) for n, strokes in enumerate(rounds or ([{}] if masks else []))]
    begun_rounds = 0
    shrunk: list[dict[str, Any]] = []
    adapted: list[str] = []
    touched = sorted({frame for strokes, references in given for frame in (*strokes, *references)})
    had = {*session.interacted, *session.confidence}
    session.within = within

    def go_on(place: Path) -> str:
        return again(place, begun_rounds) if again else ""

    with staged_folder(out) as folder:
        kept = KeptSession(session, out, begun, go_on if again else None)
        try:
            with stopping() as stop:
                if session.pending:
                    if not session.plan.results_done:
                        adapted += _adapt(session, adapt, "unfinished round", stop.check)
                    propagate_with_progress(session, "unfinished round", stop.check)
                for strokes, references in given:
                    stop.check()
                    session.interact(strokes, references)
                    begun_rounds += 1
                    _name_objects(session, labels)
                    adapted += _adapt(session, adapt, f"round {begun_rounds}", stop.check)
                    propagate_with_progress(session, f"round {begun_rounds}", stop.check)
                    shrunk += [{"round": begun_rounds, **asdict(one), "text": str(one)} for one in session.shrunk]
                _name_objects(session, labels)
                kept.save()
                results = as_results(session, session.frames, session.model, name)
                if within is not None:
                    results = replace(results, written=sorted({*within, *had}))
                _write_with_progress(folder, results, stop.check)
        except BaseException as error:
            kept.fail(error)
    kept.done()
    return {
        "out": str(out),
        "frames": len(session.frames),
        "objects": {tag: results.labels[tag] for tag in session.objects.tags},
        "rounds": len(session.rounds),
        "interacted": session.interacted,
        "suggested": session.suggest(),
        "shrunk": shrunk,
        "took": {
            "strokes": sum(len(s) for strokes, _ in given for s in strokes.values()),
            "masks": len(masks or {}),
            "frames": touched,
        },
        "notes": [*notes, *adapted, *_left_out(session, results, touched), *session.frames.notes, *results.notes],
        "files": sorted(path.name for path in out.iterdir() if path.name in _WRITTEN),
    }


def _left_out(session: Session, results: Results, touched: Sequence[int]) -> list[str]:
    """Of the frames outside the range: which are not written, which of these were drawn on, which keep their mask."""
    if session.within is None:
        return []
    written = set(results.numbers)
    drawn = [f for f in touched if f not in written]
    without = [f for f in range(len(session.frames)) if f not in written.union(drawn)]
    kept = sorted(written.difference(session.within, touched))
    notes = []
    if without:
        notes.append(f"left out, as outside --frames: {_runs(without)}")
    if drawn:
        notes.append(f"drawn on outside --frames, in the session but not written: {_runs(drawn)}")
    if kept:
        notes.append(f"outside --frames, written as the session has them: {_runs(kept)}")
    return notes


def as_results(session: Session, frames: FrameSource, model: Engine, name: str) -> Results:
    """A session in the form that the writers in `siaf.output` take."""
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
    """The result for people: what was used, what came of it, what was left out."""
    took, out = result["took"], result["out"]
    pictures = [f"{out}/{name}" for name in ("report.html", "overlay.mp4", "masks") if name in result["files"]]
    return [
        f"used {took['strokes']} strokes and {took['masks']} masks, on frames: {_numbers(took['frames'])}",
        f"{result['frames']} frames, {len(result['objects'])} objects, {result['rounds']} rounds",
        f"frames to annotate next: {_numbers(result['suggested'])}",
        f"pictures: {', '.join(pictures)}",
        *(f"please check: {one['text']}, since round {one['round']}" for one in result["shrunk"]),
        *(f"note: {note}" for note in result["notes"]),
    ]


_WRITTEN = ("report.html", "overlay.mp4", "masks", "annotations.xml", SESSION)


def _numbers(frames: Sequence[int]) -> str:
    return ", ".join(map(str, frames)) or "none"


def _runs(frames: Sequence[int]) -> str:
    """Ascending numbers as "0-19, 31, 40-99"."""
    ends = [i for i, frame in enumerate(frames) if i + 1 == len(frames) or frames[i + 1] != frame + 1]
    starts = [0, *(end + 1 for end in ends[:-1])]
    pairs = [(frames[start], frames[end]) for start, end in zip(starts, ends, strict=True)]
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in pairs)


def _read_round(path: Path, frames: FrameSource, notes: list[str]) -> Strokes:
    """A round's strokes; those that lie outside the picture are left out with a note."""
    size = {"height": frames.height, "width": frames.width}
    found: Strokes = {}
    for frame, strokes in read_davis(path, n_frames=len(frames), **size).items():
        for i, stroke in enumerate(strokes):
            if is_seen(stroke, **size):
                found.setdefault(frame, []).append(stroke)
            else:
                notes.append(f"{path.name}: scribbles[{frame}][{i}] lies outside the picture and was left out")
    if not found:
        raise InputError(f"{path} holds no strokes", field="--scribbles")
    return found


def _check_tags(
    session: Session,
    rounds: Sequence[Strokes],
    masks: dict[int, IndexMask],
    labels: dict[int, str],
    notes: list[str],
) -> None:
    """Check that strokes and labels name objects that exist."""
    tags = {*session.objects.tags, *(int(tag) for mask in masks.values() for tag in np.unique(mask) if tag)}
    for number, strokes in enumerate(rounds, 1):
        drawn = {s.tag for of_frame in strokes.values() for s in of_frame if s.polarity == "positive" and s.tag}
        denied = object_tags(strokes) - drawn - tags
        tags |= object_tags(strokes)
        if not tags:
            raise InputError(
                "holds only background strokes (object_id 0), and there is no object yet",
                field=f"--scribbles (round {number})",
            )
        if denied:
            notes.append(
                f"round {number} has negative strokes for objects that were never drawn: {_numbers(sorted(denied))}"
            )
    unknown = sorted(labels.keys() - tags)
    if unknown:
        raise InputError(f"there is no object {unknown[0]}; objects: {_numbers(sorted(tags))}", field="--label")


def _adapt(session: Session, wanted: bool | None, title: str, check: Callable[[], None]) -> list[str]:
    """Adapt, if that is wanted or pays, and a note of what came of it."""
    if not (session.adapts if wanted is None else wanted):
        return []
    frames = session.verified
    if not frames:
        return [f"{title}: not adapted, there is no mask to learn from (--masks)"]
    adapt_with_progress(session, title, check)
    kept = session.decoder is None or session.decoder.change is None
    outcome = "not adapted, a mask that was left out for a trial came out worse" if kept else "adapted"
    return [f"{title}: {outcome} (masks of frames {_numbers(frames)})"]


def _name_objects(session: Session, labels: dict[int, str]) -> None:
    for tag in session.objects.tags:
        session.objects[tag].label = labels.get(tag, session.objects[tag].label)


def _command(arguments: argparse.Namespace, place: Path, done: int) -> str:
    """The command that resumes this one after `done` rounds."""
    words = ["siaf", "segment", arguments.video, "--state", str(place)]
    for path in arguments.scribbles[done:]:
        words += ["--scribbles", str(path)]
    if arguments.masks and not done:
        words += ["--masks", str(arguments.masks)]
    if arguments.adapt is not None:
        words.append("--adapt" if arguments.adapt else "--no-adapt")
    for label in arguments.label:
        words += ["--label", label]
    if arguments.frames is not None:
        words += ["--frames", arguments.frames]
    if arguments.barriers is not None:
        words += ["--barriers", ",".join(map(str, arguments.barriers)) or "none"]
    if arguments.model != "siaf-t":
        words += ["--model", arguments.model]
    if arguments.weights:
        words += ["--weights", str(arguments.weights)]
    return shlex.join([*words, "--out", str(arguments.out)])


def _range(text: str, count: int) -> range:
    """The frames of --frames A-B, both included."""
    first, dash, last = text.partition("-")
    if not (dash and first.isdecimal() and last.isdecimal()):
        raise InputError(f"must be A-B, as 20-30, not {text!r}", field="--frames")
    if not int(first) <= int(last) < count:
        raise InputError(f"{text} is not in the video, whose frames are 0 to {count - 1}", field="--frames")
    return range(int(first), int(last) + 1)


def _labels(values: Sequence[str]) -> dict[int, str]:
    labels = {}
    for value in values:
        tag, _, name = value.partition("=")
        if not tag.isdecimal() or not name:
            raise InputError(f"must be TAG=NAME, such as 1=dog, not {value!r}", field="--label")
        if not 1 <= int(tag) <= MAX_TAG:
            raise InputError(f"tags are 1 to {MAX_TAG}, not {tag}", field="--label")
        labels[int(tag)] = name
    return labels


def _write_with_progress(folder: Path, results: Results, check: Callable[[], None]) -> None:
    from tqdm import tqdm

    with tqdm(total=len(results.numbers), desc="writing", unit="frame", disable=not sys.stderr.isatty()) as bar:
        for _ in write_results(folder, results):
            bar.update()
            check()
