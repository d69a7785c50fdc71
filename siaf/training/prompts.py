"""What a user would have drawn: simulated strokes, clicks, boxes and previous masks for training.

A stroke map is int16 [H, W]: -1 = not scribbled, 0 = background stroke, k = stroke of tag k. A previous mask
is uint8 [H, W]: 0 = background, k = tag k, and 255 everywhere = there is none. Points are (x, y) in pixels.
The mix follows the scribble-to-mask training of MiVOS: strokes along a smooth curve, the middle line or the
outline of a region; previous masks of IoU 0.4 to 0.95, a quarter of them of a wrong object.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from siaf.training.strokes import Strokes, draw_inside

Bytes = NDArray[np.uint8]

NO_MASK = 255
"""Value of every pixel of a previous mask that does not exist."""

_FIRST, _BOX = 0.45, 0.15
"""Share of frames without a previous mask, and with boxes as one; the others have a damaged mask."""
_BACKGROUND = 0.30
_CLICKS = 0.40
_WHOLE_REGION = 0.30
_WRONG_OBJECT = 0.25
_FORGOTTEN = 0.08
_IOU = (0.4, 0.95)


def simulate_interaction(
    label: Bytes,
    rng: np.random.Generator,
    *,
    objects_with_prompts: set[int] | None = None,
    previous: Bytes | None = None,
) -> tuple[Strokes, Bytes]:
    """Strokes on a frame whose true tags are `label` (uint8 [H, W], 0..K), and the mask they are drawn on.

    `objects_with_prompts` limits which tags are touched (default: all present); the others get no stroke.
    With `previous` (a network's own result, or 255 everywhere for none) the strokes belong to that; otherwise
    one of three situations is drawn: no previous mask, boxes, or a damaged mask.
    """
    present = _tags(label)
    prompted = [tag for tag in present if objects_with_prompts is None or tag in objects_with_prompts]
    if previous is None:
        kind = rng.random()
        if kind < _FIRST:
            return first_strokes(label, prompted, rng), np.full(label.shape, NO_MASK, np.uint8)
        if kind < _FIRST + _BOX and prompted:
            return box_prompt(label, rng, tags=prompted)
        previous = perturb_mask(label, rng)
    if (previous == NO_MASK).all():
        return first_strokes(label, prompted, rng), previous
    claimed = [tag for tag in _tags(previous) if objects_with_prompts is None or tag in objects_with_prompts]
    return correcting_strokes(label, previous, prompted, claimed, rng), previous


def first_strokes(label: Bytes, tags: list[int], rng: np.random.Generator) -> Strokes:
    """One to three strokes or some clicks on every object of `tags`, sometimes also on the background."""
    strokes = np.full(label.shape, -1, np.int16)
    clicks = rng.random() < _CLICKS
    for tag in tags:
        draw_inside(strokes, label == tag, tag, rng, clicks=clicks, count=_few(rng))
    if rng.random() < _BACKGROUND:
        draw_inside(strokes, label == 0, 0, rng, clicks=clicks, count=_few(rng))
    return strokes


def correcting_strokes(
    label: Bytes, previous: Bytes, tags: list[int], claimed: list[int], rng: np.random.Generator
) -> Strokes:
    """Strokes on the largest errors of `previous`, with the true tag of the place.

    Objects of `tags` are drawn where they are missed, background where one of `claimed` takes too much.
    """
    strokes = np.full(label.shape, -1, np.int16)
    clicks = rng.random() < _CLICKS
    wrong = label != previous
    smallest = max(12, label.size // 2000)
    for tag in [0, *tags]:
        errors = wrong & (label == tag)
        if tag == 0:
            errors &= np.isin(previous, claimed)
        elif rng.random() < _WHOLE_REGION:
            draw_inside(strokes, label == tag, tag, rng, clicks=clicks, count=1)
            continue
        count, parts, stats, _ = cv2.connectedComponentsWithStats(errors.view(np.uint8), connectivity=8)
        areas = stats[1:, cv2.CC_STAT_AREA] if count > 1 else np.zeros(0, np.int32)
        for rank, part in enumerate(np.argsort(-areas)[:4]):
            if areas[part] < smallest or (rank and rng.random() < 0.5):
                break
            draw_inside(strokes, parts == part + 1, tag, rng, clicks=clicks, count=1)
    if tags and (strokes < 0).all():
        tag = tags[int(rng.integers(len(tags)))]
        draw_inside(strokes, label == tag, tag, rng, clicks=clicks, count=1)
    return strokes


def box_prompt(label: Bytes, rng: np.random.Generator, *, tags: list[int] | None = None) -> tuple[Strokes, Bytes]:
    """Boxes as the network sees them: a previous mask of filled boxes, background strokes around them.

    The boxes are up to 4 % too small or 10 % too large on every side; smaller ones lie on top of larger ones.
    """
    height, width = label.shape
    boxes = []
    for tag in _tags(label) if tags is None else tags:
        x, y, w, h = cv2.boundingRect((label == tag).view(np.uint8))
        spread = rng.uniform(-0.04, 0.10, 4) * np.array([w, h, w, h])
        x0, y0 = max(round(x - spread[0]), 0), max(round(y - spread[1]), 0)
        x1, y1 = min(round(x + w + spread[2]), width), min(round(y + h + spread[3]), height)
        boxes.append(((x1 - x0) * (y1 - y0), tag, x0, y0, x1, y1))
    previous = np.zeros(label.shape, np.uint8)
    outline = np.zeros(label.shape, np.uint8)
    thickness = int(rng.integers(2, 5))
    for _, tag, x0, y0, x1, y1 in sorted(boxes, reverse=True):
        previous[y0:y1, x0:x1] = tag
        margin = thickness // 2 + 1
        cv2.rectangle(outline, (x0 - margin, y0 - margin), (x1 - 1 + margin, y1 - 1 + margin), 1, thickness)
    strokes = np.full(label.shape, -1, np.int16)
    strokes[(outline > 0) & (previous == 0) & (label == 0)] = 0
    return strokes, previous


def perturb_mask(label: Bytes, rng: np.random.Generator) -> Bytes:
    """`label` as an imperfect network would have given it (same shape and tags, some may be missing)."""
    tags = _tags(label)
    damaged = np.zeros_like(label)
    for tag in rng.permutation(tags).astype(int) if tags else []:
        if rng.random() < _FORGOTTEN:
            continue
        source = int(tag)
        others = [other for other in tags if other != tag]
        mask = (label == source).astype(np.uint8)
        if rng.random() < _WRONG_OBJECT:
            if others:
                mask = (label == others[int(rng.integers(len(others)))]).astype(np.uint8)
            else:
                mask = _moved(mask, rng.uniform(-0.4, 0.4, 2) * label.shape[0])
        damaged[_damaged(mask, rng) > 0] = tag
    return damaged


def _tags(label: Bytes) -> list[int]:
    counts = np.bincount(label.ravel(), minlength=NO_MASK)[:NO_MASK]
    return [int(tag) for tag in np.flatnonzero(counts) if tag]


def _few(rng: np.random.Generator) -> int:
    return 1 + int(rng.random() < 0.35) + int(rng.random() < 0.15)


def _damaged(mask: Bytes, rng: np.random.Generator) -> Bytes:
    """Random damage of one kind after the other, until the IoU with `mask` (0/1) falls to a random target."""
    target = rng.uniform(*_IOU)
    reach = max(cv2.boundingRect(mask)[2:])
    result = mask
    for _ in range(8):
        kind = int(rng.integers(6))
        step = max(1, round(reach * rng.uniform(0.02, 0.08)))
        if kind == 0:
            changed = _bytes(cv2.erode(result, _disc(step)))
        elif kind == 1:
            changed = _bytes(cv2.dilate(result, _disc(step)))
        elif kind == 2:
            changed = _moved(result, rng.normal(0, 0.06, 2) * reach)
        elif kind == 3:
            changed = _bent(result, reach, rng)
        elif kind == 4:
            changed = _bitten(result, mask, reach, rng)
        else:
            changed = _polygon(result, reach * rng.uniform(0.01, 0.06))
        overlap = _iou(changed, mask)
        if overlap < target - 0.1:
            continue
        result = changed
        if overlap <= target:
            break
    return result


def _disc(radius: int) -> Bytes:
    shape = (2 * radius + 1, 2 * radius + 1)
    return _bytes(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, shape))


def _moved(mask: Bytes, shift: NDArray[np.float64]) -> Bytes:
    matrix = np.array([[1, 0, shift[0]], [0, 1, shift[1]]], np.float64)
    return _bytes(cv2.warpAffine(mask, matrix, mask.shape[::-1], flags=cv2.INTER_NEAREST))


def _bent(mask: Bytes, reach: float, rng: np.random.Generator) -> Bytes:
    height, width = mask.shape
    control = rng.standard_normal((6, 6, 2)).astype(np.float32) * np.float32(0.06 * reach)
    push = cv2.resize(control, (width, height), interpolation=cv2.INTER_CUBIC)
    x = np.arange(width, dtype=np.float32)[None] + push[:, :, 0]
    y = np.arange(height, dtype=np.float32)[:, None] + push[:, :, 1]
    return _bytes(cv2.remap(mask, x, y, cv2.INTER_NEAREST))


def _bitten(result: Bytes, mask: Bytes, reach: float, rng: np.random.Generator) -> Bytes:
    """Without the part in an ellipse on the outline, or with that ellipse added."""
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not contours:
        return result
    outline = contours[int(rng.integers(len(contours)))]
    x, y = (int(value) for value in outline[int(rng.integers(len(outline))), 0])
    axes = (max(2, int(reach * rng.uniform(0.1, 0.35))), max(2, int(reach * rng.uniform(0.1, 0.35))))
    changed = result.copy()
    cv2.ellipse(changed, (x, y), axes, float(rng.uniform(0, 180)), 0, 360, int(rng.integers(2)), -1)
    return changed


def _polygon(mask: Bytes, tolerance: float) -> Bytes:
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    corners = [cv2.approxPolyDP(contour, tolerance, True) for contour in contours]
    changed = np.zeros_like(mask)
    cv2.fillPoly(changed, [corner for corner in corners if len(corner) >= 3], 1)
    return changed


def _iou(one: Bytes, other: Bytes) -> float:
    union = np.count_nonzero(one | other)
    return np.count_nonzero(one & other) / union if union else 1.0


def _bytes(image: NDArray[Any]) -> Bytes:
    """OpenCV's result as what it is; its stubs leave the element type open."""
    return image.astype(np.uint8, copy=False)
