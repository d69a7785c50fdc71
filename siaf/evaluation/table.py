"""Rows of measurements, shown as they come, with means at the end; CSV; the curve of an interactive evaluation."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from siaf.evaluation.curve import THRESHOLD_SECONDS, Summary
from siaf.files import atomic_write

Row = dict[str, Any]
"""Column → text, count or float. The columns of all rows of a table are the same."""


def means(rows: Sequence[Row], over: str = "sequence") -> list[Row]:
    """Mean rows: one for each combination of the other text columns, in order of appearance, NaN left out."""
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        key = tuple(value for name, value in row.items() if isinstance(value, str) and name != over)
        groups.setdefault(key, []).append(row)
    return [{name: _mean(name, over, [row[name] for row in group]) for name in group[0]} for group in groups.values()]


def _mean(name: str, over: str, values: list[Any]) -> Any:
    if name == over:
        return "mean"
    if isinstance(values[0], str):
        return values[0]
    known = np.array(values, float)
    known = known[~np.isnan(known)]
    return float(known.mean()) if known.size else float("nan")


def markdown(row: Row, *, header: bool = False) -> str:
    """A row as a line of a Markdown table, after the two header lines if asked for."""
    line = "| " + " | ".join(_cell(value) for value in row.values()) + " |"
    if header:
        names = "| " + " | ".join(row) + " |"
        return "\n".join((names, "|" + "---|" * len(row), line))
    return line


def _cell(value: object) -> str:
    if not isinstance(value, float):
        return str(value)
    return "–" if np.isnan(value) else f"{value:.3f}"


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """All rows with full precision, by rename."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    with atomic_write(path) as file:
        file.write(text.getvalue().encode())


def plot_curves(path: Path, summaries: Mapping[str, Summary]) -> None:
    """J&F against seconds, one line per method, by rename. The file's ending says which format (png, svg, pdf)."""
    from matplotlib.figure import Figure  # an extra: only who plots needs it

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot()
    for name, summary in summaries.items():
        label = f"{name}: {summary.at_threshold:.3f} at {THRESHOLD_SECONDS:g} s, AUC {summary.auc:.3f}"
        axes.plot(summary.curve_seconds, summary.curve_quality, marker="o", markersize=3, label=label)
    axes.axvline(THRESHOLD_SECONDS, color="grey", linewidth=0.8, linestyle=":")
    axes.set(xlabel="seconds since the first scribbles", ylabel="J&F", ylim=(0, 1), xlim=(0, None))
    axes.legend(loc="lower right", fontsize="small")
    with atomic_write(path) as file:
        figure.savefig(file, format=path.suffix.lstrip(".") or "png", dpi=120)
