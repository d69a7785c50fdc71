"""DAVIS-interactive JSON: the strokes of one round, as the DAVIS interactive challenge writes them."""

import json
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from siaf.errors import InputError
from siaf.files import atomic_write
from siaf.scribbles import FAR_OUTSIDE, Scribble, check_scribbles


def read_davis(
    source: str | PathLike[str] | Mapping[str, Any], *, n_frames: int, height: int, width: int
) -> dict[int, list[Scribble]]:
    """Strokes by frame from DAVIS-interactive JSON, a file or its content; empty frames are left out.

    `scribbles` holds one list per frame. A stroke has a `path` of (x, y) in 0…1 times (width − 1, height − 1)
    and an `object_id`, 0 = background ("1" and 1.0 count as 1). Two keys of our own are optional: `width` in pixels and
    `polarity`. Others are ignored. Raises InputError naming the place, such as "scribbles[3][0].path".
    """
    document = source if isinstance(source, Mapping) else _load_json(Path(source))
    frames = document.get("scribbles") if isinstance(document, Mapping) else None
    if not isinstance(frames, list):
        raise InputError('DAVIS-interactive JSON has a list "scribbles"', field="scribbles")
    if len(frames) != n_frames:
        raise InputError(f"has {len(frames)} frames, but the video has {n_frames}", field="scribbles")
    found = {}
    for n, strokes in enumerate(frames):
        if not isinstance(strokes, list):
            raise InputError("must be the list of the frame's strokes", field=f"scribbles[{n}]")
        if strokes:
            found[n] = [_read_stroke(stroke, height, width, f"scribbles[{n}][{i}]") for i, stroke in enumerate(strokes)]
    return found


def _load_json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        reason = str(error) or type(error).__name__
        raise InputError(f"{path} is not JSON: {reason}", field="scribbles") from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}", field="scribbles") from None


def _read_stroke(stroke: object, height: int, width: int, field: str) -> Scribble:
    if not isinstance(stroke, Mapping):
        raise InputError("must be an object with path and object_id", field=field)
    for key in ("path", "object_id"):
        if key not in stroke:
            raise InputError(f'has no "{key}"', field=field)
    extra = {key: stroke[key] for key in ("width", "polarity") if key in stroke}
    try:
        unit = Scribble(_whole(stroke["object_id"]), stroke["path"], **extra)
        _check_units(unit.points, height, width)
        scribble = Scribble(unit.tag, unit.points * (width - 1, height - 1), **extra)
        check_scribbles([scribble], height=height, width=width)
    except InputError as error:
        part = {"tag": "object_id", "width": "width", "polarity": "polarity"}.get(error.field, "path")
        raise InputError(error.message, field=f"{field}.{part}") from None
    return scribble


def _whole(tag: Any) -> Any:
    """A tag as a whole number, if a writer made it text or a float ("1", 1.0). Anything else stays as it is."""
    if isinstance(tag, str) and tag.strip().isdecimal():
        return int(tag)
    return int(tag) if isinstance(tag, float) and tag.is_integer() else tag


def _check_units(points: npt.NDArray[np.float64], height: int, width: int) -> None:
    """Raises InputError for points in pixels, the most common mistake."""
    if points.max(axis=0).min() > 1 + FAR_OUTSIDE and points.min() >= 0 and (points <= (width, height)).all():
        x, y = points[0]
        raise InputError(
            f"point 0 at x {x:g}, y {y:g} seems to be in pixels: x and y go from 0 to 1 here; divide x by {width - 1}"
            f" and y by {height - 1}",
            field="points",
        )


def davis_document(
    scribbles: Mapping[int, Sequence[Scribble]],
    *,
    n_frames: int,
    height: int,
    width: int,
    sequence: str = "",
) -> dict[str, Any]:
    """DAVIS-interactive JSON of one round's strokes by frame: what `read_davis` reads back.

    Raises InputError for a frame outside 0 to n_frames − 1.
    """
    frames: list[list[dict[str, Any]]] = [[] for _ in range(n_frames)]
    for n, strokes in scribbles.items():
        if not 0 <= n < n_frames:
            raise InputError(f"there is no frame {n}, only 0 to {n_frames - 1}", field=f"scribbles[{n}]")
        frames[n] = [_stroke_document(stroke, height, width) for stroke in strokes]
    return {"scribbles": frames, "sequence": sequence}


def _stroke_document(scribble: Scribble, height: int, width: int) -> dict[str, Any]:
    path = scribble.points / (max(1, width - 1), max(1, height - 1))
    document: dict[str, Any] = {
        "path": path.tolist(),
        "object_id": scribble.tag,
        "start_time": 0,
        "end_time": 0,
        "width": scribble.width,
    }
    if scribble.polarity == "negative":  # other readers of the format would take it for a positive stroke
        document["polarity"] = scribble.polarity
    return document


def write_davis(
    path: str | PathLike[str],
    scribbles: Mapping[int, Sequence[Scribble]],
    *,
    n_frames: int,
    height: int,
    width: int,
    sequence: str = "",
) -> None:
    """Write `davis_document` to a file."""
    document = davis_document(scribbles, n_frames=n_frames, height=height, width=width, sequence=sequence)
    with atomic_write(path) as file:
        file.write(json.dumps(document).encode())
