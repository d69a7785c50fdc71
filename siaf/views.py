"""Further views of an annotated picture: moved as by a camera, or its objects moved over their background."""

import cv2
import numpy as np
from numpy.typing import NDArray

from siaf.masks import IndexMask
from siaf.training.regions import fill_hole
from siaf.video import Frame

Matrix = NDArray[np.float64]

WHOLE, OCCLUDED, MIRRORED = 0.45, 0.25, 0.5


def moved(picture: Frame, mask: IndexMask, rng: np.random.Generator, o={}) -> tuple[Frame, IndexMask]:
    """A view of a picture uint8 H×W×3 and its index mask."""
    if rng.random() < o.get("whole", WHOLE) or not mask.any():
        view = _warp(rng, mask.shape, (mask.shape[1] / 2, mask.shape[0] / 2), 1.0)
        seen, labels = _apply(picture, view, cv2.INTER_LINEAR), _apply(mask, view, cv2.INTER_NEAREST)
    else:
        seen, labels = _over_background(picture, mask, rng)
    if rng.random() < o.get("mirror", MIRRORED):
        seen, labels = seen[:, ::-1], labels[:, ::-1]
    gain = np.exp(rng.normal(0, 0.08) + rng.normal(0, 0.03, 3))
    seen = np.clip(seen * gain + rng.normal(0, 4), 0, 255).astype(np.uint8)
    return np.ascontiguousarray(seen), np.ascontiguousarray(labels)


def _over_background(picture, mask, rng):
    empty = fill_hole(picture, (mask > 0).astype(np.uint8), rng)
    height, width = mask.shape
    view = _warp(rng, mask.shape, (width / 2, height / 2), 0.5)
    seen, labels = _apply(empty, view, cv2.INTER_LINEAR), np.zeros_like(mask)
    for tag in rng.permutation(np.unique(mask[mask > 0])):
        own = (mask == tag).astype(np.uint8)
        x, y, w, h = cv2.boundingRect(own)
        way = _warp(rng, (h, w), (x + w / 2, y + h / 2), 1.5)
        alpha = _apply(cv2.GaussianBlur(own.astype(np.float32), (0, 0), 0.7), way, cv2.INTER_LINEAR, cv2.BORDER_CONSTANT)
        thing = _apply(picture, way, cv2.INTER_LINEAR)
        seen = (seen * (1 - alpha[..., None]) + thing * alpha[..., None]).astype(np.uint8)
        labels[alpha > 0.5] = tag
    if rng.random() < OCCLUDED:
        h, w = int(height * rng.uniform(0.1, 0.35)), int(width * rng.uniform(0.06, 0.25))
        from_y, from_x = int(rng.integers(0, height - h)), int(rng.integers(0, width - w))
        ys, xs = np.nonzero(labels)
        at = int(rng.integers(len(ys))) if len(ys) else 0
        y, x = (int(ys[at]), int(xs[at])) if len(ys) else (h, w)
        y, x = int(np.clip(y - h / 2, 0, height - h)), int(np.clip(x - w / 2, 0, width - w))
        seen[y : y + h, x : x + w] = empty[from_y : from_y + h, from_x : from_x + w]
        labels[y : y + h, x : x + w] = 0
    return seen, labels


def _warp(rng, size, centre, strength) -> Matrix:
    height, width = size
    angle = np.deg2rad(rng.normal(0, 6 * strength))
    scale = np.exp(rng.normal(0, 0.08 * strength))
    shear = rng.normal(0, 0.04 * strength)
    cos, sin = np.cos(angle) * scale, np.sin(angle) * scale
    turn = np.array([[cos, -sin + shear * cos], [sin, cos + shear * sin]])
    shift = rng.normal(0, 0.06 * strength, 2) * [width, height]
    at = np.array(centre)
    return np.hstack([turn, (at + shift - turn @ at)[:, None]])


def _apply(image, matrix, interpolation, border=cv2.BORDER_REFLECT_101):
    return cv2.warpAffine(image, matrix, image.shape[1::-1], flags=interpolation, borderMode=border)
