"""`siaf evaluate`: measure a model on a folder in DAVIS's layout, next to baselines that learn nothing."""

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from siaf.commands.common import add_json_argument, add_model_arguments, natural, positive
from siaf.commands.measured_model import measured_model, own_networks, siaf_t
from siaf.engines.base import Engine
from siaf.errors import InputError
from siaf.evaluation.davis import DavisFolder, LabelledSequence, write_sequence
from siaf.evaluation.table import Row, markdown, means, plot_curves, write_csv
from siaf.model.names import ENGINE_NAMES

if TYPE_CHECKING:  # what needs the evaluation extra is imported by who runs it
    from siaf.evaluation.baselines import Method
    from siaf.evaluation.interactive import PlayedRound
    from siaf.evaluation.paper import Setting

Measure = Callable[[Engine, LabelledSequence], Iterator[Row]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="KIND")
    for kind, run, text in (
        ("propagation", run_propagation, "propagate the true mask of the first frame, or of some, to all others"),
        ("interactive", run_interactive, "let the robot play the labeler, some frames per round, for some rounds"),
        ("composites", run_composites, "the same, on clips composed of several sequences' objects"),
        ("interaction", run_interaction, "the robot's strokes on single frames, without propagation"),
        ("clicks", run_clicks, "simulated clicks, and the true box, on single frames, as CVAT's interactor gets them"),
        ("boxes", run_boxes, "track the first frame's true rectangle, as CVAT's tracker does"),
        ("paper", run_paper, "the paper's Tables I to III"),
        ("ablations", run_ablations, "the paper's Tables II and III only: parts switched off; frames and rounds"),
    ):
        each = kinds.add_parser(kind, help=text, description=text)
        each.add_argument(
            "folder",
            type=Path,
            help="holds JPEGImages/480p/NAME, Annotations/480p/NAME and, if there are any, Scribbles/NAME",
        )
        each.add_argument("--sequences", nargs="+", metavar="NAME", help="measure only these (default: all)")
        each.add_argument("--csv", type=Path, metavar="FILE", help="also write the table to FILE")
        if kind in ("interaction", "clicks"):
            each.add_argument(
                "--every", type=positive, default=10, metavar="N", help="measure every Nth frame (default: 10)"
            )
        if kind == "propagation":
            each.add_argument(
                "--every", type=positive, default=1, metavar="N", help="keep every Nth frame of the clip (default: 1)"
            )
            each.add_argument(
                "--references",
                type=positive,
                default=1,
                metavar="N",
                help="give the true masks of N frames, spread over the clip (default: 1, the first)",
            )
            each.add_argument(
                "--adapt",
                action=argparse.BooleanOptionalAction,
                help="adapt the decoder to these (default: as rounds do, where it was measured to help)",
            )
        if kind not in ("interaction", "clicks"):
            each.add_argument(
                "--length", type=positive, metavar="N", help="measure only the first N frames of every sequence"
            )
        if kind in ("interactive", "composites"):
            many = 3 if kind == "composites" else 1
            each.add_argument("--frames", type=positive, default=many, help=f"frames per round (default: {many})")
            each.add_argument("--plot", type=Path, metavar="FILE", help="plot J&F against seconds, as png, svg or pdf")
        if kind in ("interactive", "composites", "interaction"):
            rounds = 2 if kind == "interaction" else 3
            each.add_argument("--rounds", type=positive, default=rounds, help=f"rounds to play (default: {rounds})")
        if kind == "composites":
            each.add_argument("--objects", type=positive, default=3, help="sequences per clip (default: 3)")
            each.add_argument("--seed", type=natural, default=0)
            each.add_argument(
                "--save",
                type=Path,
                metavar="DIR",
                help="don't measure: write the clips as a DAVIS 2017 folder, with three sets of the robot's scribbles",
            )
        if kind == "clicks":
            each.add_argument("--clicks", type=positive, default=5, help="clicks per object (default: 5)")
        if kind not in ("paper", "ablations"):
            each.add_argument("--no-baselines", action="store_true", help="measure only the model")
        if kind in ("propagation", "interactive", "composites"):
            each.add_argument(
                "--baseline-encoder",
                type=Path,
                metavar="FILE",
                help="ImageNet MobileNetV2 for nearest-neighbour matching (default: the model's own encoder; beside "
                "another engine, siaf-t's)",
            )
        add_model_arguments(each)
        for part in ("interaction", "propagation"):
            each.add_argument(
                f"--{part}",
                metavar="FILE",
                help=f"take the {part} network from this training checkpoint or weights file",
            )
        each.add_argument("--segmenter", type=Path, metavar="FILE", help="take the segmenter from this weights file")
        add_json_argument(each)
        each.set_defaults(run=run)


def run_propagation(arguments: argparse.Namespace) -> None:
    """J per object, J of all objects taken as one, swaps, F, J&F and J of the last quarter by sequence and method."""
    from siaf.evaluation.propagation import siaf_method

    if arguments.adapt and arguments.model in ENGINE_NAMES:
        raise InputError(f"{arguments.model} has no decoder that a session can adapt", field="adapt")

    def measure(model: Engine, sequence: LabelledSequence) -> Iterator[Row]:
        own = f"{model.name} not adapted" if arguments.adapt is False else model.name
        methods = {own: siaf_method(model, adapt=arguments.adapt)}
        for name, method in {**methods, **_baselines(arguments, model)}.items():
            yield {"method": name, **propagation_row(method, sequence, arguments.references)}

    sequences = (sequence.every(arguments.every) for sequence in _sequences(arguments))
    _report(arguments, _measured(arguments, sequences, measure))


def propagation_row(method: "Method", sequence: LabelledSequence, references: int = 1) -> Row:
    """What a method makes of the truth of the first frame, or of so many frames."""
    from siaf.evaluation.propagation import reference_frames, score_masks

    given = reference_frames(len(sequence.masks), references)
    masks = method(sequence.frames, {i: sequence.masks[i] for i in given})
    score = score_masks(masks, sequence.masks, given)
    return {
        "objects": score.objects,
        "J": score.jaccard,
        "union J": score.union,
        "swaps": score.swaps,
        "F": score.boundary,
        "J&F": (score.jaccard + score.boundary) / 2,
        "J last quarter": score.last,
    }


def run_interactive(arguments: argparse.Namespace) -> None:
    """J, F, J&F and seconds per round; J&F at 60 seconds and the area under the curve."""
    _play(arguments, _sequences(arguments))


def run_composites(arguments: argparse.Namespace) -> None:
    """As `run_interactive`, on clips of several sequences' objects."""
    from siaf.evaluation.composites import composites

    clips = composites(list(_sequences(arguments)), arguments.objects, arguments.seed)
    if not arguments.save:
        _play(arguments, clips)
        return
    _require("skimage", "networkx")
    from siaf.evaluation.interactive import robot_sets

    for clip in clips:
        write_sequence(arguments.save, robot_sets(clip))
        print(f"{clip.name}: {len(clip.masks)} frames, {len(clip.tags)} objects")


def run_interaction(arguments: argparse.Namespace) -> None:
    """J on single frames after each round of strokes, by sequence and method."""
    _require("skimage", "networkx")
    from siaf.evaluation.grabcut import grabcut_answer
    from siaf.evaluation.interaction import siaf_answer, stroke_rounds

    def measure(model: Engine, sequence: LabelledSequence) -> Iterator[Row]:
        chosen = [i for i in range(0, len(sequence.frames), arguments.every) if sequence.masks[i].any()]
        methods = {model.name: siaf_answer} | ({} if arguments.no_baselines else {"grabcut": grabcut_answer})
        for name, start in methods.items():
            scores = [
                stroke_rounds(start(model, sequence.frames[i]), sequence.masks[i], arguments.rounds) for i in chosen
            ]
            yield {"method": name, **{f"J round {r}": float(j) for r, j in enumerate(np.mean(scores, axis=0), 1)}}

    _report(arguments, _measured(arguments, _sequences(arguments), measure))


def run_clicks(arguments: argparse.Namespace) -> None:
    """IoU on single frames from the true box alone, and after each click; every object by itself."""
    from siaf.boxes import mask_box
    from siaf.evaluation.clicks import box_score, click_rounds, siaf_segmenter
    from siaf.evaluation.grabcut import grabcut_from_box
    from siaf.evaluation.metrics import jaccard

    def measure(model: Engine, sequence: LabelledSequence) -> Iterator[Row]:
        chosen = range(0, len(sequence.frames), arguments.every)
        truths = [(i, sequence.masks[i] == t) for i in chosen for t in sequence.tags if (sequence.masks[i] == t).any()]
        boxes = [box_score(siaf_segmenter(model, sequence.frames[i]), truth) for i, truth in truths]
        scores = [
            click_rounds(siaf_segmenter(model, sequence.frames[i]), truth, arguments.clicks) for i, truth in truths
        ]
        after = {f"IoU click {n}": float(iou) for n, iou in enumerate(np.mean(scores, axis=0), 1)}
        yield {"method": model.name, "IoU box": float(np.mean(boxes)), **after}
        if not arguments.no_baselines:
            cut = [jaccard(grabcut_from_box(sequence.frames[i], mask_box(truth)), truth) for i, truth in truths]
            yield {"method": "grabcut", "IoU box": float(np.mean(cut)), **dict.fromkeys(after, float("nan"))}

    _report(arguments, _measured(arguments, _sequences(arguments), measure))


def run_boxes(arguments: argparse.Namespace) -> None:
    """Mean box IoU by sequence and tracker."""
    from siaf.evaluation.boxes import first_boxes, mil_boxes, score_boxes, siaf_boxes, still_boxes

    def measure(model: Engine, sequence: LabelledSequence) -> Iterator[Row]:
        boxes = first_boxes(sequence.masks)
        if not boxes:
            raise InputError("its first frame shows no object to track", field=sequence.name)
        yield {"method": model.name, "box IoU": score_boxes(siaf_boxes(model, sequence.frames, boxes), sequence.masks)}
        if not arguments.no_baselines:
            for name, method in (("OpenCV MIL", mil_boxes), ("copy-first", still_boxes)):
                yield {"method": name, "box IoU": score_boxes(method(sequence.frames, boxes), sequence.masks)}

    _report(arguments, _measured(arguments, _sequences(arguments), measure))


def run_paper(arguments: argparse.Namespace) -> None:
    """Tables I, II and III."""
    _require("skimage", "networkx")
    from siaf.evaluation.paper import TABLE_I, TABLE_II, TABLE_III

    _play_settings(arguments, {*TABLE_I, *TABLE_II, *TABLE_III}, ("Table I:", "Table II:", "Table III:"))


def run_ablations(arguments: argparse.Namespace) -> None:
    """Tables II and III."""
    _require("skimage", "networkx")
    from siaf.evaluation.paper import TABLE_II, TABLE_III

    _play_settings(arguments, {*TABLE_II, *TABLE_III}, ("Table II:", "Table III:"))


# -- inside -------------------------------------------------------------------------------------------------------


def _play(arguments: argparse.Namespace, sequences: Iterable[LabelledSequence]) -> None:
    _require("skimage", "networkx", *(["matplotlib"] if arguments.plot else []))
    from siaf.evaluation.curve import RoundScore, summarise
    from siaf.evaluation.interactive import Fill, fill_by, first_strokes, play, repropagate

    samples: dict[str, list[list[RoundScore]]] = {}

    def measure(model: Engine, sequence: LabelledSequence) -> Iterator[Row]:
        fills: dict[str, Fill] = {model.name: repropagate}
        fills |= {name: fill_by(method) for name, method in _baselines(arguments, model).items()}
        firsts = first_strokes(sequence, arguments.frames)
        for sample, first in enumerate(firsts, 1):
            for name, fill in fills.items():
                played = play(
                    model, sequence, per_round=arguments.frames, rounds=arguments.rounds, first=first, fill=fill
                )
                samples.setdefault(name, []).append([r.score for r in played])
                for number, one in enumerate(played, 1):
                    j, f = float(one.score.jaccard.mean()), float(one.score.boundary.mean())
                    yield {
                        **({"sequence": f"{sequence.name} #{sample}"} if len(firsts) > 1 else {}),
                        "method": name,
                        "round": str(number),
                        "J": j,
                        "F": f,
                        "J&F": (j + f) / 2,
                        "J drawn": one.drawn,
                        "seconds": one.score.seconds,
                        "scribbled frames": one.scribbled_frames,
                        "swaps": one.swaps,
                    }

    rows = _measured(arguments, sequences, measure)
    summaries = {name: summarise(own) for name, own in samples.items()}
    if arguments.plot:
        plot_curves(arguments.plot, summaries)
    _report(arguments, rows, {name: {"J&F@60s": s.at_threshold, "AUC": s.auc} for name, s in summaries.items()})


def _play_settings(arguments: argparse.Namespace, settings: set["Setting"], wanted: tuple[str, ...]) -> None:
    from siaf.evaluation.paper import play_setting, tables

    model = own_networks(arguments)
    played: dict[Setting, list[list[PlayedRound]]] = {setting: [] for setting in settings}
    for sequence in _sequences(arguments):
        for setting in sorted(settings, key=str):
            played[setting] += play_setting(model, sequence, setting)
            print(f"{sequence.name}: {setting}", file=sys.stderr)
    result = {title: rows for title, rows in tables(played).items() if title.startswith(wanted)}
    if arguments.csv:
        every = [{"table": title.split(":")[0], **row} for title, rows in result.items() for row in rows]
        columns = dict.fromkeys(name for row in every for name in row)
        write_csv(arguments.csv, [{name: row.get(name, "") for name in columns} for row in every])
    if arguments.json:
        print(json.dumps(result))
        return
    for title, rows in result.items():
        print(f"\n{title}\n")
        for i, row in enumerate(rows):
            print(markdown(row, header=not i))


def _sequences(arguments: argparse.Namespace) -> Iterator[LabelledSequence]:
    folder = DavisFolder(arguments.folder)
    for name in arguments.sequences or folder.sequences():
        sequence = folder.load(name)
        if not sequence.tags:
            raise InputError("its masks show no object", field=name)
        length = getattr(arguments, "length", None)
        yield sequence.first(length) if length else sequence


def _measured(arguments: argparse.Namespace, sequences: Iterable[LabelledSequence], measure: Measure) -> list[Row]:
    """Rows of all sequences, printed as they come; the table's means are printed by `_report`."""
    model = measured_model(arguments)
    rows: list[Row] = []
    for sequence in sequences:
        for row in measure(model, sequence):
            rows.append({"sequence": sequence.name, **row})
            if not arguments.json:
                print(markdown(rows[-1], header=len(rows) == 1), flush=True)
    return rows


def _report(arguments: argparse.Namespace, rows: list[Row], summary: dict[str, dict[str, float]] | None = None) -> None:
    over_sequences = means(rows)
    if arguments.csv:
        write_csv(arguments.csv, [*rows, *over_sequences])
    if arguments.json:
        print(json.dumps({"rows": rows, "means": over_sequences, **({"summary": summary} if summary else {})}))
        return
    for row in over_sequences:
        print(markdown(row))
    for name, values in (summary or {}).items():
        print(f"{name}: " + ", ".join(f"{key} {value:.3f}" for key, value in values.items()))


def _baselines(arguments: argparse.Namespace, model: Engine) -> "dict[str, Method]":
    from siaf.evaluation.baselines import baselines, encoder_features, mobilenet_features

    if arguments.no_baselines:
        return {}
    weights = arguments.baseline_encoder
    return baselines(
        mobilenet_features(weights) if weights else encoder_features(model.adaptable or siaf_t(model.device))
    )


def _require(*modules: str) -> None:
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        raise InputError(f"needs {missing[0]}: pip install 'siaf-cvat[evaluation]'", field="evaluate")
