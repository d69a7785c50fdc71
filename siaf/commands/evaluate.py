"""`siaf evaluate`: measure a model on a folder in DAVIS's layout, beside baselines that learn nothing."""

import argparse
import csv
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from siaf.commands.common import Subparsers, add_json_argument, add_model_arguments
from siaf.evaluation.davis import DavisFolder, LabelledSequence
from siaf.files import atomic_write
from siaf.network import Model
from siaf.weights import load_model

Row = dict[str, Any]


def add_parser(subparsers: Subparsers) -> None:
    """Register the command."""
    parser = subparsers.add_parser("evaluate", help="measure a model on a DAVIS folder")
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="KIND")
    for kind, run, text in (
        ("propagation", run_propagation, "ground truth of the first frame given, all others propagated"),
        ("interaction", run_interaction, "strokes of the scribble robot on single frames, no propagation"),
        ("interactive", run_interactive, "the robot plays the labeler: f frames per round, r rounds"),
    ):
        each = kinds.add_parser(kind, help=text)
        each.add_argument("folder", type=Path, help="JPEGImages/480p/NAME, Annotations/480p/NAME")
        each.add_argument("--sequences", nargs="+", metavar="NAME", help="default: all")
        each.add_argument("--csv", type=Path, metavar="FILE", help="write the table there too")
        add_model_arguments(each)
        add_json_argument(each)
        each.set_defaults(run=run)
        if kind == "interaction":
            each.add_argument("--every", type=int, default=10, help="every so many frames (default: 10)")
        if kind == "interactive":
            each.add_argument("--frames", type=int, default=1, help="scribbled frames per round (default: 1)")
        if kind != "propagation":
            each.add_argument("--rounds", type=int, default=2 if kind == "interaction" else 3)


def run_propagation(arguments: argparse.Namespace) -> None:
    """J, F and J of the last quarter by sequence and method."""
    from siaf.evaluation import baselines
    from siaf.evaluation.propagation import Method, score_masks, siaf_method

    def methods(model: Model) -> dict[str, Method]:
        return {
            model.name: siaf_method(model),
            "copy-nearest": lambda frames, refs: baselines.copy_nearest(len(frames), refs),
            "nearest-neighbour": lambda frames, refs: baselines.nearest_neighbour(
                frames, refs, features=baselines.encoder_features(model)
            ),
            "optical-flow": baselines.optical_flow,
        }

    def measure(model: Model, sequence: LabelledSequence) -> Iterator[Row]:
        for name, method in methods(model).items():
            score = score_masks(method(sequence.frames, {0: sequence.masks[0]}), sequence.masks)
            yield {"method": name, "J": score.jaccard, "F": score.boundary, "J last quarter": score.last}

    _table(arguments, measure)


def run_interaction(arguments: argparse.Namespace) -> None:
    """J on single frames after each round of strokes, by sequence and method."""
    from siaf.evaluation.baselines import grabcut_answer
    from siaf.evaluation.interaction import siaf_answer, stroke_rounds

    def measure(model: Model, sequence: LabelledSequence) -> Iterator[Row]:
        chosen = [i for i in range(0, len(sequence.frames), arguments.every) if sequence.masks[i].any()]
        for name, start in ((model.name, siaf_answer), ("grabcut", grabcut_answer)):
            scores = [
                stroke_rounds(start(model, sequence.frames[i]), sequence.masks[i], arguments.rounds) for i in chosen
            ]
            means = np.mean(scores, axis=0)
            yield {"method": name, **{f"J round {r}": float(j) for r, j in enumerate(means, 1)}}

    _table(arguments, measure)


def run_interactive(arguments: argparse.Namespace) -> None:
    """J, F, J&F and seconds per round; J&F at 60 seconds and the area under the curve."""
    from siaf.evaluation.curve import summarise
    from siaf.evaluation.interactive import evaluate_interactive

    samples = []

    def measure(model: Model, sequence: LabelledSequence) -> Iterator[Row]:
        result = evaluate_interactive(
            model, sequence.frames, sequence.masks, per_round=arguments.frames, rounds=arguments.rounds
        )
        samples.append(result.rounds)
        for number, score in enumerate(result.rounds, 1):
            j, f = float(score.jaccard.mean()), float(score.boundary.mean())
            yield {
                "method": f"{model.name} round {number}",
                "J": j,
                "F": f,
                "J&F": (j + f) / 2,
                "seconds": score.seconds,
                "scribbled frames": min(number * arguments.frames, len(sequence.frames)),
            }

    def extra() -> Row:
        summary = summarise(samples)
        return {"J&F@60s": summary.at_threshold, "AUC": summary.auc}

    _table(arguments, measure, extra)


def _table(
    arguments: argparse.Namespace,
    measure: Callable[[Model, LabelledSequence], Iterator[Row]],
    extra: Callable[[], Row] | None = None,
) -> None:
    """Measure every sequence, print a table with the mean over sequences, and write it where asked."""
    folder = DavisFolder(arguments.folder)
    model = load_model(arguments.model, device=arguments.device, weights=arguments.weights)
    rows: list[Row] = []
    for name in arguments.sequences or folder.sequences():
        rows += [{"sequence": name, **row} for row in measure(model, folder.load(name))]
        print(f"{name} done", file=sys.stderr)
    rows += _means(rows)
    summary = extra() if extra else {}
    if arguments.csv:
        _write_csv(arguments.csv, rows)
    if arguments.json:
        import json

        print(json.dumps({"rows": rows, **summary}))
        return
    columns = list(rows[0])
    print(" | ".join(columns))
    print(" | ".join("---" for _ in columns))
    for row in rows:
        print(" | ".join(_cell(row[c]) for c in columns))
    for key, value in summary.items():
        print(f"{key}: {value:.3f}")


def _means(rows: Sequence[Row]) -> list[Row]:
    result = []
    for method in dict.fromkeys(row["method"] for row in rows):
        own = [row for row in rows if row["method"] == method]
        numbers = {k: float(np.mean([row[k] for row in own])) for k in own[0] if k not in ("sequence", "method")}
        result.append({"sequence": "mean", "method": method, **numbers})
    return result


def _write_csv(path: Path, rows: Sequence[Row]) -> None:
    import io

    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    with atomic_write(path) as file:
        file.write(text.getvalue().encode())


def _cell(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)
