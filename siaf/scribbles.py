"""Scribbles: strokes that a labeler draws, stroke maps that a network reads, DAVIS-interactive JSON."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt

from siaf.errors import InputError
from siaf.files import atomic_write
from siaf.masks import MAX_TAG, IndexMask, distance_to_outside

Polarity = Literal["positive", "negative"]
StrokeMap = npt.NDArray[np.int16]

UNSCRIBBLED = -1
DEFAULT_WIDTH = 3.0
MIN_DRAWN_WIDTH = 3
"""Strokes of the DAVIS robot are dilated 3×3 before a network sees them; thinner ones vanish at stride 4."""
FAR_OUTSIDE = 0.25
"""How far, in long sides of the frame, a point may lie outside: a hand slips over the edge, not further."""
_WIDEST = 1000


@dataclass(frozen=True, eq=False)
class Scribble:
    """One stroke on one frame.

    `points` is float N×2, N ≥ 1, (x, y) in pixels of the frame, (0, 0) being the centre of the top left
    pixel; one point is a click. `width` is the stroke's width in pixels. A positive stroke says "this is
    object `tag`", and with tag 0 "this is background, for every object". A negative stroke says "this is not
    object `tag`".

    Raises InputError, naming "tag", "points", "width" or "polarity", if one of them is invalid.
    """

    tag: int
    points: npt.NDArray[np.float64]
    width: float = DEFAULT_WIDTH
    polarity: Polarity = "positive"

    def __post_init__(self) -> None:
        object.__setattr__(self, "tag", _checked_tag(self.tag))
        object.__setattr__(self, "points", _checked_points(self.points))
        if not _is_number(self.width) or not 0 < self.width <= _WIDEST:
            raise InputError(f"must be above 0 and at most {_WIDEST} pixels, not {self.width!r}", field="width")
        object.__setattr__(self, "width", float(self.width))
        if self.polarity not in ("positive", "negative"):
            raise InputError(f'must be "positive" or "negative", not {self.polarity!r}', field="polarity")
        if self.polarity == "negative" and self.tag == 0:
            raise InputError("a negative stroke needs the tag of the object that it excludes, not 0", field="polarity")

    @classmethod
    def click(cls, tag: int, x: float, y: float, radius: float = DEFAULT_WIDTH / 2) -> "Scribble":
        """A disc of `radius` pixels around (x, y)."""
        return cls(tag, np.array([[x, y]], np.float64), width=2 * radius)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Scribble) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[int, bytes, float, str]:
        return self.tag, self.points.tobytes(), self.width, self.polarity


def _checked_tag(tag: object) -> int:
    if isinstance(tag, np.ndarray | list | tuple):
        raise InputError("must be a whole number, not points: Scribble(tag, points)", field="tag")
    if isinstance(tag, bool) or not isinstance(tag, int | np.integer):
        raise InputError(f"must be a whole number, not {tag!r}", field="tag")
    if not 0 <= tag <= MAX_TAG:
        raise InputError(f"must be 0 (background) to {MAX_TAG}, not {tag}", field="tag")
    return int(tag)


def _checked_points(points: npt.ArrayLike) -> npt.NDArray[np.float64]:
    try:
        raw = np.asarray(points)
    except ValueError:  # rows of different lengths
        raw = np.asarray("ragged")
    if raw.size == 0:
        raise InputError("the stroke is empty", field="points")
    if raw.dtype.kind not in "uif" or raw.ndim != 2 or raw.shape[1] != 2:
        raise InputError("a stroke is a list of (x, y) pairs of numbers", field="points")
    xy = np.array(raw, np.float64, order="C")
    if not np.isfinite(xy).all():
        at = int(np.flatnonzero(~np.isfinite(xy).all(axis=1))[0])
        raise InputError(f"point {at} is not finite: {xy[at].tolist()}", field="points")
    xy.setflags(write=False)
    return xy


def check_scribbles(scribbles: Iterable[Scribble], *, height: int, width: int, field: str = "scribbles") -> None:
    """Raises InputError, naming `field`[i].points, if a point lies far outside a frame of height × width."""
    for i, scribble in enumerate(scribbles):
        margin = FAR_OUTSIDE * max(height, width) + scribble.width
        far = (scribble.points < -margin) | (scribble.points > (width - 1 + margin, height - 1 + margin))
        outside = np.flatnonzero(far.any(axis=1))
        if outside.size:
            x, y = scribble.points[outside[0]]
            raise InputError(
                f"point {outside[0]} at x {x:g}, y {y:g} lies far outside the {width}×{height} frame",
                field=f"{field}[{i}].points",
            )


def rasterize(
    scribbles: Iterable[Scribble], height: int, width: int, *, size: tuple[int, int] | None = None
) -> StrokeMap:
    """Stroke map of a frame of height × width: −1 = no stroke, 0 = background stroke, k = stroke of object k.

    int16, of `size` (rows, columns), by default the frame's own. Later strokes lie on top. A negative stroke
    of object k becomes background, but leaves the strokes of other objects alone. Strokes are drawn at `size`
    itself, at least 3 pixels wide there, so that none is lost by shrinking. Raises InputError as
    `check_scribbles`.
    """
    scribbles = list(scribbles)
    check_scribbles(scribbles, height=height, width=width)
    rows, columns = size or (height, width)
    scale = np.array([columns / width, rows / height])
    strokes = np.full((rows, columns), UNSCRIBBLED, np.int16)
    for scribble in scribbles:
        if scribble.polarity == "positive":
            _draw(strokes, scribble, scale, scribble.tag)
        else:
            drawn = np.zeros((rows, columns), np.uint8)
            _draw(drawn, scribble, scale, 1)
            own = (strokes == UNSCRIBBLED) | (strokes == scribble.tag)
            strokes[(drawn > 0) & own] = 0
    return strokes


def erase_denied(mask: IndexMask, scribbles: Iterable[Scribble]) -> IndexMask:
    """A copy of a frame's index mask in which object k is gone where a negative stroke of k passes.

    Raises InputError as `check_scribbles`.
    """
    scribbles = list(scribbles)
    check_scribbles(scribbles, height=mask.shape[0], width=mask.shape[1])
    erased = mask.copy()
    for scribble in scribbles:
        if scribble.polarity == "negative":
            drawn = np.zeros(mask.shape, np.uint8)
            _draw(drawn, scribble, np.ones(2), 1)
            erased[(drawn > 0) & (mask == scribble.tag)] = 0
    return erased


def _draw(
    canvas: npt.NDArray[np.int16] | npt.NDArray[np.uint8],
    scribble: Scribble,
    scale: npt.NDArray[np.float64],
    value: int,
) -> None:
    """Every pixel nearer to the stroke's line than half its width becomes `value`.

    cv2's own thick lines differ in width between versions, so only thin ones are drawn with it.
    """
    reach = max(MIN_DRAWN_WIDTH, scribble.width * float(scale.mean())) / 2
    pixels = np.floor((scribble.points + 0.5) * scale).astype(np.int32)
    pad = math.ceil(reach)
    corner = pixels.min(axis=0) - pad
    columns, rows = (pixels.max(axis=0) + pad + 1 - corner).tolist()
    away = np.ones((rows, columns), np.uint8)
    path = pixels - corner
    cv2.polylines(away, [path if len(path) > 1 else np.repeat(path, 2, axis=0)], False, 0)
    distance = distance_to_outside(away > 0)

    left, top = np.maximum(corner, 0).tolist()
    part = canvas[top : max(0, corner[1] + rows), left : max(0, corner[0] + columns)]
    inside = distance[top - corner[1] :, left - corner[0] :][: part.shape[0], : part.shape[1]]
    part[inside < reach] = value


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


def is_seen(scribble: Scribble, *, height: int, width: int) -> bool:
    """Whether any part of a stroke falls on a frame of height × width."""
    drawn = np.zeros((height, width), np.uint8)
    _draw(drawn, scribble, np.ones(2), 1)
    return bool(drawn.any())


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


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)
