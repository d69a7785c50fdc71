"""Scribbles: strokes that a labeler draws, and stroke maps that a network reads."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from siaf.errors import InputError
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


def stroke_pixels(scribbles: Iterable[Scribble], height: int, width: int) -> npt.NDArray[np.bool_]:
    """Pixels of strokes, whatever they say, bool H×W. Raises InputError as `check_scribbles`."""
    lines = [Scribble(1, scribble.points, scribble.width) for scribble in scribbles]
    drawn: npt.NDArray[np.bool_] = rasterize(lines, height, width) == 1
    return drawn


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


def is_seen(scribble: Scribble, *, height: int, width: int) -> bool:
    """Whether any part of a stroke falls on a frame of height × width."""
    drawn = np.zeros((height, width), np.uint8)
    _draw(drawn, scribble, np.ones(2), 1)
    return bool(drawn.any())


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)
