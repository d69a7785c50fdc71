"""One moving layer of a synthetic clip: its motion, its warp to the output resolution, and compositing.

Coordinates are (x, y) in output pixels with the origin in the middle of the output; times are in frames of an
ordinary video. Sprites are uint8 [h, w, 4] RGB premultiplied by alpha.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Motion:
    """How a layer moves: x, y (px), rotation (rad), log scale, shear, two elastic coefficients."""

    velocity: Floats
    limit: Floats
    noise: Floats

    @classmethod
    def draw(cls, rng: np.random.Generator, length: int, unit: float, calm: float = 1.0) -> "Motion":
        """Mostly slow, sometimes fast, as real clips are.

        `unit` (px) scales the translation, `calm` < 1 slows everything down; `length` counts the frames.
        """
        pace = calm * float(np.exp(rng.normal(-0.2, 0.7)))
        spread = np.array([0.022 * unit, 0.016 * unit, 0.035, 0.025, 0.012, 0.3, 0.3], np.float32)
        limit = np.array([0.45 * unit, 0.35 * unit, 0.7, 0.5, 0.2, 1.1, 1.1], np.float32)
        velocity = np.clip(rng.standard_normal(7), -2.2, 2.2).astype(np.float32) * spread * pace
        jitter = rng.standard_normal((length, 7)).astype(np.float32) * spread * 0.3 * min(pace, 1.5)
        jitter[0] = 0
        walk = np.cumsum(jitter, 0) / np.sqrt(np.arange(1, length + 1))[:, None]
        return cls(velocity, limit, walk.astype(np.float32))

    def states(self, times: Floats) -> Floats:
        """float32 [T, 7]: straight on at first, at most `limit` away in the long run, plus a random walk."""
        steady = self.limit * np.tanh(np.outer(times, self.velocity / self.limit))
        return (steady + self.noise).astype(np.float32)


@dataclass
class Layer:
    """A sprite at about its output scale, its place in the first frame, its motion and its tag (0 = none)."""

    sprite: Bytes
    centre: tuple[float, float]
    motion: Motion
    tag: int
    elastic: Floats
    """Two control grids of smooth displacement, float32 [2, 4, 4, 2], at most about 1.6."""
    gain: float | Floats = 1.0
    hidden: range = range(0)
    """Frames in which the layer is not drawn."""
    drift: tuple[float, float] = (0.0, 0.0)
    """Additional way (px) made by the last frame."""
    smear: float = 0.0
    """Motion blur as a share of the way made in one frame time."""
    labels: Bytes | None = None
    """Index map of a canvas that shows its objects where they were photographed, of the sprite's size."""


def affine(state: Floats, centre: tuple[float, float]) -> NDArray[np.float64]:
    """3x3 matrix from coordinates around a layer's middle to those around the output's middle."""
    angle, scale, shear = float(state[2]), float(np.exp(state[3])), float(state[4])
    cos, sin = np.cos(angle) * scale, np.sin(angle) * scale
    return np.array(
        [
            [cos, -sin + shear * cos, centre[0] + state[0]],
            [sin, cos + shear * sin, centre[1] + state[1]],
            [0.0, 0.0, 1.0],
        ]
    )


def _elastic(layer: Layer, state: Floats, width: int, height: int) -> Floats:
    """Smooth displacement [height, width, 2] in sprite pixels, stretched over the layer's box."""
    control: Floats = layer.elastic[0] * state[5] + layer.elastic[1] * state[6]
    push = cv2.resize(control, (width, height), interpolation=cv2.INTER_CUBIC)
    return push.astype(np.float32, copy=False)


def _maps(
    matrix: NDArray[np.float64], sprite: Bytes, size: int, box: tuple[int, int, int, int]
) -> tuple[Floats, Floats]:
    """Sprite coordinates of every output pixel in `box` (x0, y0, x1, y1)."""
    inverse = np.linalg.inv(matrix)
    x0, y0, x1, y1 = box
    x = np.arange(x0, x1, dtype=np.float32) - (size - 1) / 2
    y = np.arange(y0, y1, dtype=np.float32) - (size - 1) / 2
    height, width = sprite.shape[:2]
    u = (inverse[0, 0] * x + inverse[0, 2] + (width - 1) / 2).astype(np.float32)
    v = (inverse[1, 0] * x + inverse[1, 2] + (height - 1) / 2).astype(np.float32)
    du = (inverse[0, 1] * y).astype(np.float32)
    dv = (inverse[1, 1] * y).astype(np.float32)
    return u[None] + du[:, None], v[None] + dv[:, None]


def warp_canvas(layer: Layer, view: NDArray[np.float64], state: Floats, size: int) -> tuple[Bytes, Bytes]:
    """The bottom layer as the camera sees it, mirrored at its edges: picture and index map, both size x size."""
    place = np.array([[1, 0, layer.centre[0]], [0, 1, layer.centre[1]], [0, 0, 1.0]])
    u, v = _maps(view @ place, layer.sprite, size, (0, 0, size, size))
    push = _elastic(layer, state, size, size) * (0.02 * size)
    u, v = u + push[:, :, 0], v + push[:, :, 1]
    picture = cv2.remap(layer.sprite, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    if layer.labels is None:
        return picture.astype(np.uint8, copy=False), np.zeros((size, size), np.uint8)
    labels = cv2.remap(layer.labels, u, v, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REFLECT_101)
    return picture.astype(np.uint8, copy=False), labels.astype(np.uint8, copy=False)


def composite(
    picture: Bytes,
    label: Bytes,
    layer: Layer,
    view: NDArray[np.float64],
    state: Floats,
    speed: Floats | None,
    flicker: float,
) -> None:
    """Draw one layer over `picture` and `label`, both changed in place."""
    size = picture.shape[0]
    height, width = layer.sprite.shape[:2]
    matrix = view @ affine(state, layer.centre)
    reach = 0.06 * max(height, width)
    w, h = width / 2 + reach, height / 2 + reach
    corners = matrix[:2, :2] @ np.array([[-w, w, w, -w], [-h, -h, h, h]]) + matrix[:2, 2:] + (size - 1) / 2
    margin = 4
    x0, y0 = np.maximum(np.floor(corners.min(1)).astype(int) - margin, 0)
    x1, y1 = np.minimum(np.ceil(corners.max(1)).astype(int) + margin, size)
    if x1 - x0 < 2 or y1 - y0 < 2:
        return
    u, v = _maps(matrix, layer.sprite, size, (x0, y0, x1, y1))
    # Not more than the visible part can take without folding.
    strength = 0.045 * float(min(max(height, width), max(x1 - x0, y1 - y0)))
    push = _elastic(layer, state, x1 - x0, y1 - y0) * strength
    patch = cv2.remap(
        layer.sprite, u + push[:, :, 0], v + push[:, :, 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT
    )
    if layer.smear and speed is not None:
        patch = _smear(patch.astype(np.uint8, copy=False), speed * layer.smear)
    alpha = patch[:, :, 3].astype(np.float32) * np.float32(1 / 255)
    region = picture[y0:y1, x0:x1]
    gain = np.asarray(layer.gain * flicker, np.float32)
    mixed = region * (1 - alpha)[:, :, None] + patch[:, :, :3] * gain
    np.copyto(region, np.minimum(mixed, 255).astype(np.uint8))
    label[y0:y1, x0:x1][alpha > 0.5] = layer.tag


def _smear(patch: Bytes, shift: Floats) -> Bytes:
    """Motion blur along `shift` (px), at most 9 px long."""
    length = int(min(np.hypot(*shift), 9.0))
    if length < 2:
        return patch
    kernel = np.zeros((length | 1, length | 1), np.float32)
    middle = kernel.shape[0] // 2
    direction = shift / np.hypot(*shift) * (length / 2)
    start = (round(float(middle - direction[0])), round(float(middle - direction[1])))
    end = (round(float(middle + direction[0])), round(float(middle + direction[1])))
    cv2.line(kernel, start, end, 1.0)
    return cv2.filter2D(patch, -1, kernel / kernel.sum()).astype(np.uint8, copy=False)


def draw_elastic(rng: np.random.Generator) -> Floats:
    """Two control grids of smooth displacement, float32 [2, 4, 4, 2], about unit size."""
    control = np.clip(rng.standard_normal((2, 4, 4, 2)), -1.6, 1.6)
    return (control * rng.uniform(0, 1)).astype(np.float32)


def rescale(image: Bytes, scale: float) -> Bytes:
    size = (max(2, round(image.shape[1] * scale)), max(2, round(image.shape[0] * scale)))
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return cv2.resize(image, size, interpolation=interpolation).astype(np.uint8, copy=False)


def soften(sprite: Bytes, sigma: float) -> Bytes:
    """Blur only the edge: the alpha, and the premultiplied colour with it where the alpha is not full."""
    blurred = cv2.GaussianBlur(sprite, (0, 0), sigma)
    full = blurred[:, :, 3] == 255
    blurred[full] = sprite[full]
    return blurred.astype(np.uint8, copy=False)
