"""Index masks and their other forms: CVAT run lengths, polygons, boxes.

An *index mask* is uint8 H×W (row, column): 0 = background, k = the object with tag k, 1 to 255. A *bitmap*
is bool H×W, one object. CVAT's form of a bitmap (contract section 4.3) is a flat list: run lengths inside the
bounding box, row by row, alternating and beginning with zeros; then left, top, right, bottom, inclusive, in
pixels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from siaf.errors import InputError
from siaf.tags import MAX_TAG as MAX_TAG  # known from here to all who have masks

IndexMask = npt.NDArray[np.uint8]
Bitmap = npt.NDArray[np.bool_]

_OUTLINE_TOLERANCE = 0.75
"""Pixels by which an outline's corners may leave the mask's border."""
_LARGEST = 2**31  # no picture has more pixels; below it, sums of run lengths cannot overflow


@dataclass(frozen=True, eq=False)
class Polygon:
    """One connected part of a bitmap as the centres of its border pixels.

    `points` is float N×2 (x, y), N ≥ 3, in pixels, closed implicitly. `holes` are rings of the same form; a
    hole's ring runs over the object's own pixels around the hole. CVAT's polygons have no holes: whoever
    drops them fills them.
    """

    points: npt.NDArray[np.float64]
    holes: tuple[npt.NDArray[np.float64], ...] = ()


def distance_to_outside(mask: Bitmap) -> npt.NDArray[np.float32]:
    """Pixels from every pixel of a bitmap to the nearest one that is not in it, float32 H×W; 0 outside, and for all of
    them the same on every call.

    OpenCV's distances differ in their last bit with the array's place in memory. Their squares are whole numbers.
    """
    away = cv2.distanceTransform(np.ascontiguousarray(mask, np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    exact: npt.NDArray[np.float32] = np.sqrt(np.rint(np.square(away))).astype(np.float32)
    return exact


def as_index_mask(array: npt.ArrayLike, *, height: int, width: int, field: str = "mask") -> IndexMask:
    """`array` (H×W, any integer type or bool) as an index mask.

    Raises InputError, naming `field`, if it is not two-dimensional, not height × width, or has values outside
    0 to 255.
    """
    mask = np.asarray(array)
    if mask.ndim != 2:
        raise InputError(f"an index mask has 2 dimensions, this array has {mask.ndim}", field=field)
    if mask.shape != (height, width):
        raise InputError(
            f"the mask is {mask.shape[1]}×{mask.shape[0]} pixels, the frame is {width}×{height}", field=field
        )
    if mask.dtype.kind not in "bui":
        raise InputError(f"an index mask holds whole numbers, not {mask.dtype}", field=field)
    if mask.dtype != np.uint8 and mask.dtype.kind != "b":
        low, high = int(mask.min()), int(mask.max())
        if low < 0 or high > MAX_TAG:
            raise InputError(f"tags are 0 to {MAX_TAG}, found {low if low < 0 else high}", field=field)
    return mask.astype(np.uint8)


def bounding_box(mask: Bitmap) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of the set pixels, inclusive. Raises InputError for an empty mask."""
    rows = np.flatnonzero(mask.any(axis=1))
    if not rows.size:
        raise InputError("the mask is empty", field="mask")
    columns = np.flatnonzero(mask[rows[0] : rows[-1] + 1].any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1])


def encode_rle(mask: Bitmap) -> list[int]:
    """A bitmap as CVAT's `points` of a mask shape.

    Raises InputError for an empty mask, which CVAT's server stores and its user interface then cannot open.
    """
    left, top, right, bottom = bounding_box(mask)
    flat = mask[top : bottom + 1, left : right + 1].ravel()
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    runs = np.diff(changes, prepend=0, append=flat.size).tolist()
    return [*([0] if flat[0] else []), *runs, left, top, right, bottom]


def decode_rle(
    points: Sequence[float], *, height: int, width: int, clip: bool = False, field: str = "points"
) -> Bitmap:
    """CVAT's `points` of a mask shape as a bitmap, bool height × width; the inverse of `encode_rle`.

    CVAT's server stores masks unchecked, even if they stick out of the picture. `clip` cuts those off
    instead of refusing them. Raises InputError, naming `field`, if the numbers are not a mask.
    """
    numbers = _whole_numbers(points, field)
    runs = numbers[:-4]
    left, top, right, bottom = (int(side) for side in numbers[-4:])
    if runs.min() < 0:
        raise InputError(f"run lengths cannot be negative, found {int(runs.min())}", field=field)
    if right < left or bottom < top:
        raise InputError(f"the box {left},{top} to {right},{bottom} has no pixels", field=field)
    columns, rows = right - left + 1, bottom - top + 1
    total = int(runs.sum())
    if total != rows * columns:
        raise InputError(f"run lengths sum to {total}, the box has {rows * columns} pixels", field=field)

    mask = np.zeros((height, width), bool)
    if left >= 0 and top >= 0 and right < width and bottom < height:
        values = np.arange(runs.size) % 2 == 1
        mask[top : bottom + 1, left : right + 1] = np.repeat(values, runs).reshape(rows, columns)
        return mask
    if not clip:
        raise InputError(f"the box {left},{top} to {right},{bottom} leaves the {width}×{height} frame", field=field)
    # Only the visible pixels are looked up: the box itself may be too large for memory.
    x = np.arange(max(left, 0), min(right, width - 1) + 1)
    y = np.arange(max(top, 0), min(bottom, height - 1) + 1)
    if x.size and y.size:
        offsets = (y[:, None] - top) * columns + (x - left)
        run = np.searchsorted(runs.cumsum(), offsets, side="right")
        mask[y[0] : y[-1] + 1, x[0] : x[-1] + 1] = run % 2 == 1
    return mask


def _whole_numbers(points: Sequence[float], field: str) -> npt.NDArray[np.int64]:
    if len(points) < 5:
        raise InputError(f"a mask has at least 5 numbers, this one {len(points)}", field=field)
    try:
        numbers = np.asarray(points)
    except ValueError:
        numbers = np.asarray(None)
    if numbers.ndim != 1 or numbers.dtype.kind not in "uif":
        raise InputError("a mask is a flat list of numbers", field=field)
    # NaN fails the first comparison, infinity the second.
    wrong = ~((numbers == np.floor(numbers)) & (abs(numbers.astype(np.float64)) < _LARGEST))
    if wrong.any():
        raise InputError(f"a mask holds whole pixel counts, found {numbers[wrong][0]}", field=field)
    return numbers.astype(np.int64)


def index_mask_to_rles(mask: IndexMask) -> dict[int, list[int]]:
    """Tag → CVAT run lengths, ascending, for every tag that has a pixel in the index mask.

    Each is what `encode_rle` gives, but one pass over the picture serves all tags.
    """
    width = mask.shape[1]
    changes = np.ones(mask.shape, bool)  # a run ends with its row
    np.not_equal(mask[:, 1:], mask[:, :-1], out=changes[:, 1:])
    starts = np.flatnonzero(changes)
    values, lengths = mask.ravel()[starts], np.diff(starts, append=mask.size)
    rows, columns = np.divmod(starts, width)
    result = {}
    for tag in np.unique(values[values > 0]):
        own = np.flatnonzero(values == tag)
        result[int(tag)] = _rle_of_runs(rows[own], columns[own], lengths[own])
    return result


def _rle_of_runs(
    rows: npt.NDArray[np.int64], columns: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]
) -> list[int]:
    """CVAT's points from a bitmap's horizontal runs, in order: row, first column and length of each."""
    left, top, right, bottom = columns.min(), rows[0], (columns + lengths).max() - 1, rows[-1]
    across = right - left + 1
    begins = (rows - top) * across + columns - left
    ends = begins + lengths
    apart = begins[1:] != ends[:-1]  # a run that fills the box to its border goes on in the next row
    edges = np.stack((begins[np.append(True, apart)], ends[np.append(apart, True)]), axis=1).ravel()
    runs = np.diff(edges, prepend=0, append=across * (bottom - top + 1)).tolist()
    if not runs[-1]:  # the box's last pixel is set
        runs.pop()
    return [*runs, int(left), int(top), int(right), int(bottom)]


def rles_to_index_mask(
    rles: Mapping[int, Sequence[float]], *, height: int, width: int, clip: bool = False
) -> IndexMask:
    """The inverse of `index_mask_to_rles`. Where objects overlap, the later one in `rles` lies on top."""
    mask = np.zeros((height, width), np.uint8)
    for tag, points in rles.items():
        if not 1 <= tag <= MAX_TAG:
            raise InputError(f"tags are 1 to {MAX_TAG}, found {tag}", field="tag")
        mask[decode_rle(points, height=height, width=width, clip=clip, field=f"masks[{tag}]")] = tag
    return mask


def to_polygons(mask: Bitmap) -> list[Polygon]:
    """The connected parts (8-neighbourhood) of a bitmap, largest outline first; an empty mask has none."""
    bytes_ = np.ascontiguousarray(mask).view(np.uint8)
    rings, tree = cv2.findContours(bytes_, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    holes: dict[int, list[npt.NDArray[np.float64]]] = {i: [] for i in range(len(rings)) if tree[0][i][3] < 0}
    for ring, (_, _, _, parent) in zip(rings, tree[0] if len(rings) else (), strict=True):
        if parent >= 0:
            holes[parent].append(_ring(ring))
    outer = sorted(holes, key=lambda i: -cv2.contourArea(rings[i]))
    return [Polygon(_ring(rings[i]), tuple(holes[i])) for i in outer]


def outline(mask: Bitmap) -> npt.NDArray[np.float64]:
    """The largest part of a bitmap as one polygon with few corners, N×2 (x, y), N ≥ 3: what people edit. Holes are
    filled.

    Raises InputError for an empty mask.
    """
    parts = to_polygons(mask)
    if not parts:
        raise InputError("the mask is empty", field="mask")
    ring = parts[0].points
    simple = cv2.approxPolyDP(ring.astype(np.float32), _OUTLINE_TOLERANCE, True)
    return simple.reshape(-1, 2).astype(np.float64) if len(simple) >= 3 else ring


def _ring(contour: npt.NDArray[np.generic]) -> npt.NDArray[np.float64]:
    """A part one pixel wide has one or two corners. CVAT needs three, so corners repeat."""
    corners = contour.reshape(-1, 2).astype(np.float64)
    return np.resize(corners, (max(3, len(corners)), 2))


def from_polygon(
    points: npt.ArrayLike,
    *,
    height: int,
    width: int,
    holes: Sequence[npt.ArrayLike] = (),
    field: str = "points",
) -> Bitmap:
    """The pixels of a polygon, border included; the inverse of `to_polygons` for one part.

    `points` and every ring of `holes` are N×2 (x, y) in pixels; what lies outside the frame is cut off.
    Raises InputError, naming `field`, for fewer than 3 points or coordinates that are not numbers.
    """
    canvas = np.zeros((height, width), np.uint8)
    cv2.fillPoly(canvas, [_corners(points, field)], 1)
    for i, hole in enumerate(holes):
        ring = _corners(hole, f"{field}.holes[{i}]")
        border = np.zeros_like(canvas)
        cv2.polylines(border, [ring], True, 1)
        cv2.fillPoly(canvas, [ring], 0)
        canvas |= border  # a hole's ring belongs to the object
    return canvas.view(np.bool_)


def _corners(points: npt.ArrayLike, field: str) -> npt.NDArray[np.int32]:
    try:
        corners = np.asarray(points, np.float64)
    except (TypeError, ValueError):
        raise InputError("a polygon is a list of (x, y) pairs", field=field) from None
    if corners.ndim != 2 or corners.shape[1] != 2 or len(corners) < 3:
        raise InputError(f"a polygon has at least 3 (x, y) pairs, not shape {corners.shape}", field=field)
    if not (np.abs(corners) < 2**20).all():  # NaN too; cv2 fills wrongly far beyond that
        raise InputError("a polygon's coordinates are finite pixels", field=field)
    return np.floor(corners + 0.5).astype(np.int32)
