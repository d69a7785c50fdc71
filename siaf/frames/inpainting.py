"""Closing a hole in a picture."""

import cv2
import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]


def fill_hole(image: Bytes, hole: Bytes, rng: np.random.Generator) -> Bytes:
    """`image` with the hole covered by the colours beside it and texture from elsewhere."""
    height, width = image.shape[:2]
    grown = cv2.dilate(hole, np.ones((5, 5), np.uint8))
    small = (max(2, width // 8), max(2, height // 8))
    weight = cv2.resize((1 - grown).astype(np.float32), small, interpolation=cv2.INTER_AREA)
    kept = image * (1 - grown)[:, :, None]
    colour = cv2.resize(kept, small, interpolation=cv2.INTER_AREA).astype(np.float32)
    total, mass = np.zeros(colour.shape, np.float32), np.zeros(weight.shape, np.float32)
    for sigma, share in ((1.0, 1.0), (4.0, 1e-2), (16.0, 1e-4)):
        total += (cv2.GaussianBlur(colour, (0, 0), sigma) * share).astype(np.float32)
        mass += (cv2.GaussianBlur(weight, (0, 0), sigma) * share).astype(np.float32)
    smooth = cv2.resize(total / (mass[:, :, None] + 1e-6), (width, height), interpolation=cv2.INTER_LINEAR)
    shift = (int(rng.integers(height // 4, 3 * height // 4)), int(rng.integers(width // 4, 3 * width // 4)))
    elsewhere = np.roll(image, shift, (0, 1)).astype(np.float32)
    detail = elsewhere - cv2.blur(elsewhere, (15, 15))
    filled = np.clip(smooth + 0.7 * detail, 0, 255).astype(np.uint8)
    return np.where(grown[:, :, None] > 0, filled, image).astype(np.uint8, copy=False)
