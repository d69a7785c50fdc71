"""`siaf bench TABLE`: speed and memory on this machine, one table per command."""

import argparse
import json
import runpy
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from siaf.commands.common import add_json_argument, add_model_arguments, chosen_model, positive, sized
from siaf.engines.base import Engine
from siaf.errors import InputError, SiafError
from siaf.evaluation.table import Row, markdown, write_csv
from siaf.model.names import ENGINE_NAMES

_TABLES = {
    "objects": "a propagated frame by number of objects, 1 to 11 (the paper's Fig. 6)",
    "parts": "every part of the networks (Table IV)",
    "sizes": "the networks by input size (Table V)",
    "interacted": "one interaction by number of scribbled frames (Table VI)",
    "rounds": "three rounds on a clip of 70 frames: time to the first correction, and to the end",
    "references": "a propagated frame by number of annotated frames",
    "memory": "resident memory along a clip of 2,000 frames",
    "codecs": "encoding and decoding of masks and images, next to the network",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    tables = parser.add_subparsers(dest="table", required=True, metavar="TABLE")
    for name, text in _TABLES.items():
        each = tables.add_parser(name, help=text)
        add_model_arguments(each)
        each.add_argument("--random", action="store_true", help="use random weights, if you have none")
        _add_common(each)
        each.set_defaults(run=run_model)
    each = tables.add_parser("function", help="the function's calls by phase; reads SIAF_… variables")
    _add_common(each)
    each.set_defaults(run=run_function)
    each = tables.add_parser("official", help="compare with the official code of AOT and MiVOS, from checkouts")
    each.add_argument("--aot", type=Path, metavar="DIR", help="checkout of github.com/yoxu515/aot-benchmark")
    each.add_argument("--mivos", type=Path, metavar="DIR", help="checkout of github.com/hkchengrex/MiVOS")
    each.add_argument("--variant", action="append", help="AOT variant; default: aott and r50_aotl")
    _add_common(each)
    each.set_defaults(run=run_official)


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--size", default="480x854", metavar="HxW", help="frame size (default: 480x854)")
    parser.add_argument("--repeat", type=positive, default=5, help="take the fastest of this many runs (default: 5)")
    parser.add_argument(
        "--clock", choices=("wall", "cpu"), default="wall", help="cpu measures this process's processor time"
    )
    parser.add_argument("--threads", type=positive, help="threads for the network (default: what the container allows)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="also write the table to DIR, as .md, .csv and .png")
    add_json_argument(parser)


def run_model(arguments: argparse.Namespace) -> None:
    """Measure one model."""
    from siaf.bench import codecs, network, session
    from siaf.bench.clock import Clock

    measure: dict[str, Callable[[Engine, Clock, int, int], Iterable[Row]]] = {
        "objects": network.objects,
        "parts": network.parts,
        "sizes": network.sizes,
        "interacted": network.interacted,
        "rounds": session.rounds,
        "references": session.references,
        "memory": session.memory,
        "codecs": codecs.codecs,
    }
    model = _model(arguments)
    _set_threads(arguments.threads)
    clock = Clock(arguments.clock, arguments.repeat)
    _show(arguments, measure[arguments.table](model, clock, *_size(arguments.size)))


def run_function(arguments: argparse.Namespace) -> None:
    """Measure the function's calls."""
    script = Path(__file__).parents[2] / "benchmarks" / "function_calls.py"
    if not script.is_file():
        raise InputError("needs a clone of the repository, in which benchmarks/ is", field="function")
    _set_threads(arguments.threads)
    try:
        measure = runpy.run_path(str(script))["function"]
    except ImportError as error:
        raise SiafError(f"the function's packages are missing ({error}); pip install 'siaf-cvat[serve]'") from None
    _show(arguments, measure(*_size(arguments.size), arguments.repeat))


def run_official(arguments: argparse.Namespace) -> None:
    """Compare with AOT, with MiVOS, or with both."""
    from siaf.bench.clock import Clock
    from siaf.bench.official import VARIANTS, against_aot, against_mivos

    if arguments.aot is None and arguments.mivos is None:
        raise InputError("name a checkout with --aot or --mivos", field="official")
    _set_threads(arguments.threads)
    clock = Clock(arguments.clock, arguments.repeat)
    if arguments.aot is not None:
        _show(arguments, against_aot(arguments.aot, clock, tuple(arguments.variant or VARIANTS)), "aot")
    if arguments.mivos is not None:
        _show(arguments, against_mivos(arguments.mivos, clock), "mivos")


def _model(arguments: argparse.Namespace) -> Engine:
    from siaf.model.folding import for_inference
    from siaf.weights import build_model

    if arguments.random and arguments.model in ENGINE_NAMES:
        from siaf.engines.sam2.loading import build_engine

        return sized(build_engine(arguments.model, device=arguments.device), arguments)
    if not arguments.random:
        return chosen_model(arguments)
    model = build_model(arguments.model, device=arguments.device)
    for_inference(model.interaction)
    for_inference(model.propagation)
    return sized(model, arguments)


def _set_threads(threads: int | None) -> None:
    import torch

    if threads is not None:
        torch.set_num_threads(threads)


def _size(text: str) -> tuple[int, int]:
    try:
        height, width = map(int, text.split("x"))
    except ValueError:
        raise InputError(f"{text!r} is not a size such as 480x854", field="--size") from None
    if min(height, width) < 32:
        raise InputError(f"{text} is too small; give at least 32x32", field="--size")
    return height, width


def _show(arguments: argparse.Namespace, measured: Iterable[Row], name: str = "") -> None:
    """Print rows as they come; write them where asked."""
    if arguments.out is not None:
        try:
            arguments.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"cannot make {arguments.out} ({error.strerror})", field="--out") from None
    rows: list[Row] = []
    lines: list[str] = []
    for row in measured:
        lines.append(markdown(row, header=not rows))
        rows.append(row)
        if not arguments.json:
            print(lines[-1], flush=True)
    if arguments.json:
        print(json.dumps(rows))
    if arguments.out is not None:
        path = arguments.out / f"{name or arguments.table}.csv"
        write_csv(path, rows)
        path.with_suffix(".md").write_text("\n".join(lines) + "\n", encoding="utf-8")
        _plot(rows, path.with_suffix(".png"))


def _plot(rows: Sequence[Row], path: Path) -> None:
    """The milliseconds of a table over its first column."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise SiafError("plots need matplotlib; pip install 'siaf-cvat[evaluation]'") from None
    names = list(rows[0])
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    counted = isinstance(rows[0][names[0]], int)
    across = [row[names[0]] if counted else str(row[names[0]]) for row in rows]
    for column in names[1:]:
        if column.endswith(("ms", " s", "MB")):
            values = [row[column] for row in rows]
            axes.plot(across, values, marker="o", label=column) if counted else axes.barh(across, values, label=column)
    axes.set_xlabel(names[0] if counted else "")
    axes.legend()
    figure.savefig(path, dpi=120)
