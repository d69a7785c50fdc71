"""Strokes and clicks as a hand draws them inside a region."""

import cv2
import numpy as np
from numpy.typing import NDArray

Strokes = NDArray[np.int16]
"""Stroke map [H, W]: -1 = not scribbled, 0 = background stroke, k = stroke of tag k."""
_Depth = NDArray[np.float32]
_Points = NDArray[np.float64]


def draw_inside(
    strokes: Strokes,
    region: NDArray[np.bool_],
    tag: int,
    rng: np.random.Generator,
    *,
    clicks: bool,
    count: int,
) -> None:
    """Draw `count` strokes, or up to three times as many clicks, inside `region` into `strokes`."""
    mask = region.astype(np.uint8)
    x, y, w, h = cv2.boundingRect(mask)
    if not w:
        return
    # The picture's border counts as outside, so that strokes keep away from it as a hand does.
    part = cv2.copyMakeBorder(mask[y : y + h, x : x + w], 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    depth = cv2.distanceTransform(part, cv2.DIST_L2, 3).astype(np.float32, copy=False)
    canvas = np.zeros(part.shape, np.uint8)
    if clicks:
        for column, row in _deep_points(depth, int(rng.integers(1, 3 * count + 1)), rng):
            cv2.circle(canvas, (int(column), int(row)), int(rng.integers(1, 5)), 1, -1)
    else:
        for _ in range(count):
            path = _path(depth, rng)
            cv2.polylines(canvas, [np.round(path).astype(np.int32)], False, 1, int(rng.integers(2, 6)))
    if not cv2.bitwise_and(canvas, part).any():
        column, row = _deep_points(depth, 1, rng)[0]
        cv2.circle(canvas, (int(column), int(row)), 1, 1, -1)
    target = strokes[y : y + h, x : x + w]
    target[(canvas[1:-1, 1:-1] > 0) & (part[1:-1, 1:-1] > 0)] = tag


def _path(depth: _Depth, rng: np.random.Generator) -> _Points:
    """A curve inside the region of inner distances `depth`: smooth, along the middle or along the outline."""
    kind = rng.random()
    if kind < 0.34:
        return _curve(depth, rng)
    path = _ridge(depth, rng) if kind < 0.70 else _parallel(depth, rng)
    return path if path is not None else _curve(depth, rng)


def _deep_points(depth: _Depth, count: int, rng: np.random.Generator) -> _Points:
    """_Points (x, y) [count, 2], the deeper the more likely."""
    weight = np.cumsum(depth.ravel(), dtype=np.float64)
    flat = np.searchsorted(weight, rng.random(count) * weight[-1], side="right")
    flat = np.minimum(flat, depth.size - 1)
    return np.stack([flat % depth.shape[1], flat // depth.shape[1]], 1).astype(np.float64)


def _curve(depth: _Depth, rng: np.random.Generator) -> _Points:
    """Bezier curve near three or four inner points, in the order of their main direction."""
    points = _deep_points(depth, int(rng.integers(3, 5)), rng)
    direction = points[-1] - points[0]
    points = points[np.argsort(points @ direction)]
    t = np.linspace(0, 1, 24)[:, None, None]
    control = np.broadcast_to(points, (24, *points.shape))
    while control.shape[1] > 1:
        control = control[:, :-1] * (1 - t) + control[:, 1:] * t
    return control[:, 0]


def _ridge(depth: _Depth, rng: np.random.Generator) -> _Points | None:
    """A random part of the smoothed line through the deepest points along the region's main axis."""
    rows, columns = np.nonzero(depth > 0.3 * depth.max())
    if rows.size < 12:
        return None
    points = np.stack([columns, rows], 1).astype(np.float64)
    centred = points - points.mean(0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    along = centred @ axes[:, 1]
    bins = int(np.clip((along.max() - along.min()) / 5, 3, 40))
    place = np.minimum(((along - along.min()) / (np.ptp(along) + 1e-6) * bins).astype(int), bins - 1)
    order = np.lexsort((depth[rows, columns], place))
    last = np.flatnonzero(np.diff(place[order], append=bins))
    path = points[order[last]]
    if len(path) < 3:
        return None
    padded = np.concatenate([path[:1], path, path[-1:]])
    path = (padded[:-2] + padded[1:-1] + padded[2:]) / 3
    share = rng.uniform(0.4, 1.0)
    start = int(rng.uniform(0, 1 - share) * len(path))
    part: _Points = path[start : start + max(2, int(np.ceil(share * len(path))))]
    return part


def _parallel(depth: _Depth, rng: np.random.Generator) -> _Points | None:
    """Part of a line that follows the outline from inside."""
    inner = (depth > depth.max() * rng.uniform(0.25, 0.7)).astype(np.uint8)
    contours, _ = cv2.findContours(inner, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    outline = max(contours, key=len)[:, 0].astype(np.float64)
    if len(outline) < 12:
        return None
    length = max(6, int(len(outline) * rng.uniform(0.2, 0.6)))
    part: _Points = np.roll(outline, int(rng.integers(len(outline))), 0)[:length:2]
    return part
