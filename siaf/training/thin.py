"""Thin things for synthetic clips: tubes, twigs and wheels a few pixels wide, which photos with masks rarely show."""

import cv2
import numpy as np
from numpy.typing import NDArray

from siaf.training.regions import premultiply

Bytes = NDArray[np.uint8]
_SIDE = 192
"""Side of the sprite in pixels."""


def thin_thing(texture: Bytes, rng: np.random.Generator) -> Bytes:
    """Premultiplied RGBA sprite, uint8 [192, 192, 4]: bars and rings 2 to 6 pixels wide in the colours of `texture`."""
    alpha = np.zeros((_SIDE, _SIDE), np.uint8)
    corners = rng.uniform(0.08, 0.92, (int(rng.integers(3, 8)), 2)) * _SIDE
    width = int(rng.integers(2, 7))
    cv2.polylines(alpha, [corners.astype(np.int32)], bool(rng.random() < 0.5), 255, width, cv2.LINE_AA)
    for corner in corners[: int(rng.integers(0, 3))]:
        radius = int(rng.uniform(0.08, 0.22) * _SIDE)
        middle = np.clip(corner, radius, _SIDE - radius).astype(int).tolist()
        cv2.circle(alpha, middle, radius, 255, width, cv2.LINE_AA)
    height, breadth = texture.shape[:2]
    y, x = int(rng.integers(max(1, height - 48))), int(rng.integers(max(1, breadth - 48)))
    patch = cv2.resize(texture[y : y + 48, x : x + 48], (_SIDE, _SIDE), interpolation=cv2.INTER_LINEAR)
    tint = rng.uniform(0.15, 1.3, 3)  # tubes and twigs are mostly darker or lighter than what is behind
    return premultiply(np.clip(patch * tint, 0, 255).astype(np.uint8), alpha)
