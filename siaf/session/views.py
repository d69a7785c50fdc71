"""Further views of an annotated picture: as another camera might show it, or with its objects moved over what is
behind them, and often with something in it that was never there."""

import cv2
import numpy as np
from numpy.typing import NDArray

from siaf.frames.inpainting import fill_hole
from siaf.frames.source import Frame
from siaf.masks import IndexMask

_WHOLE, _MIRRORED, _OCCLUDED, _STRANGE = 0.45, 0.5, 0.25, 0.5
_TURN, _GROWTH, _SHEAR, _WAY = np.deg2rad(6.0), 0.08, 0.04, 0.06
"""Standard deviations of a camera's motion; `_WAY` in sides of the picture."""
_CALM, _LIVELY = 0.5, 1.5
"""How much less the background moves, and how much more an object, where they move apart."""
_GAIN, _TINT, _NOISE = 0.08, 0.03, 4.0
_LEAST, _MOST = 0.08, 0.35
"""A stranger's height and width, in those of the picture."""

Matrix = NDArray[np.float64]


def draw_view(picture: Frame, mask: IndexMask, rng: np.random.Generator) -> tuple[Frame, IndexMask]:
    """A view of a picture, uint8 H×W×3, and of its index mask; both of the same size."""
    height, width = mask.shape
    if rng.random() < _WHOLE or not mask.any():
        matrix = _motion(rng, (height, width), (width / 2, height / 2))
        seen, labels = _moved(picture, matrix), _moved(mask, matrix, cv2.INTER_NEAREST)
    else:
        seen, labels = _apart(picture, mask, rng)
    if rng.random() < _STRANGE:
        for _ in range(int(rng.integers(1, 3))):
            seen, labels = _with_stranger(seen, labels, rng)
    if rng.random() < _MIRRORED:
        seen, labels = seen[:, ::-1], labels[:, ::-1]
    gain = np.exp(rng.normal(0, _GAIN) + rng.normal(0, _TINT, 3))
    seen = np.clip(seen * gain + rng.normal(0, _NOISE), 0, 255).astype(np.uint8)
    return np.ascontiguousarray(seen), np.ascontiguousarray(labels)


def _apart(picture: Frame, mask: IndexMask, rng: np.random.Generator) -> tuple[Frame, IndexMask]:
    """Objects and background, each with a motion of its own; sometimes a piece of background covers something."""
    height, width = mask.shape
    empty = fill_hole(picture, (mask > 0).astype(np.uint8), rng)
    seen = _moved(empty, _motion(rng, (height, width), (width / 2, height / 2), _CALM))
    labels = np.zeros_like(mask)
    for tag in rng.permutation(np.unique(mask[mask > 0])):
        shape = (mask == tag).astype(np.uint8)
        x, y, w, h = cv2.boundingRect(shape)
        matrix = _motion(rng, (h, w), (x + w / 2, y + h / 2), _LIVELY)
        soft = cv2.GaussianBlur(shape.astype(np.float32), (0, 0), 0.7)
        alpha = cv2.warpAffine(soft, matrix, (width, height))
        seen = (seen * (1 - alpha[..., None]) + _moved(picture, matrix) * alpha[..., None]).astype(np.uint8)
        labels[alpha > 0.5] = tag
    if rng.random() < _OCCLUDED and labels.any():
        h, w = max(1, int(height * rng.uniform(0.1, 0.35))), max(1, int(width * rng.uniform(0.06, 0.25)))
        top, left = int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1))
        rows, cols = np.nonzero(labels)
        at = int(rng.integers(len(rows)))
        y, x = (
            int(np.clip(p, 0, most)) for p, most in ((rows[at] - h // 2, height - h), (cols[at] - w // 2, width - w))
        )
        seen[y : y + h, x : x + w] = empty[top : top + h, left : left + w]
        labels[y : y + h, x : x + w] = 0
    return seen, labels


def _with_stranger(picture: Frame, mask: IndexMask, rng: np.random.Generator) -> tuple[Frame, IndexMask]:
    """With a blob in front that has the texture of some part of the picture in other colours.

    A decoder that has only seen what the picture shows takes whatever comes into the clip later for one of its objects.
    """
    height, width = mask.shape
    rows, cols = rng.uniform(_LEAST, _MOST, 2) * (height, width) / 2
    y, x = rng.uniform(0, 1, 2) * (height, width)
    oval = np.zeros((height, width), np.float32)
    axes = max(2, int(cols)), max(2, int(rows))
    cv2.ellipse(oval, (int(x), int(y)), axes, float(rng.uniform(0, 180)), 0, 360, 1.0, -1)
    blurred = cv2.GaussianBlur(oval, (0, 0), max(1.0, min(height, width) / 40))
    dents = cv2.resize(rng.normal(0, 0.15, (5, 5)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    shape = (blurred + dents * (blurred > 0.02) > 0.5).astype(np.float32)
    alpha = cv2.GaussianBlur(shape, (0, 0), 0.7)
    way = rng.uniform(-0.5, 0.5, 2) * (width, height)
    other = _moved(picture, np.array([[1.0, 0.0, way[0]], [0.0, 1.0, way[1]]])).astype(np.float32)
    if rng.random() < 0.5:
        other = 255 - other
    other = other[..., rng.permutation(3)]
    paint = rng.uniform(10, 220) + rng.normal(0, 15, 3)
    other = (other - other.mean((0, 1))) * rng.uniform(0.2, 1.0) + paint
    seen = np.clip(picture * (1 - alpha[..., None]) + other * alpha[..., None], 0, 255).astype(np.uint8)
    return seen, np.where(alpha > 0.5, 0, mask).astype(np.uint8)


def _motion(
    rng: np.random.Generator, size: tuple[int, int], centre: tuple[float, float], strength: float = 1.0
) -> Matrix:
    """2×3 matrix of pixel coordinates for something of `size` (rows, columns) around `centre` (x, y)."""
    angle, growth, shear = rng.normal(0, [_TURN, _GROWTH, _SHEAR]) * strength
    cos, sin = np.cos(angle) * np.exp(growth), np.sin(angle) * np.exp(growth)
    turn = np.array([[cos, -sin + shear * cos], [sin, cos + shear * sin]])
    way = rng.normal(0, _WAY * strength, 2) * size[::-1]
    return np.hstack([turn, (centre + way - turn @ centre)[:, None]])


def _moved(image: NDArray[np.uint8], matrix: Matrix, interpolation: int = cv2.INTER_LINEAR) -> NDArray[np.uint8]:
    """An image mirrored at its edges, as the camera sees it after a motion."""
    size = (image.shape[1], image.shape[0])
    moved = cv2.warpAffine(image, matrix, size, flags=interpolation, borderMode=cv2.BORDER_REFLECT_101)
    return moved.astype(np.uint8, copy=False)
