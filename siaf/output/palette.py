"""Colours by tag, and index masks as palette PNGs: those of DAVIS and PASCAL VOC."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from siaf.masks import IndexMask

Colour = tuple[int, int, int]


def _palette() -> npt.NDArray[np.uint8]:
    """Three bits of the tag at a time give the top bits of red, green and blue, then the next ones."""
    tags = np.arange(256)
    colours = np.zeros((256, 3), np.uint8)
    for place in range(8):
        for channel in range(3):
            colours[:, channel] |= ((tags >> (3 * place + channel) & 1) << (7 - place)).astype(np.uint8)
    return colours


PALETTE = _palette()
"""uint8 256×3 RGB by tag; tag 0, background, is black."""

BRIGHT = np.round(0.7 * 255 * PALETTE / np.maximum(PALETTE.max(axis=1, keepdims=True), 1) + 0.3 * 255).astype(np.uint8)
"""uint8 256×3: the same hues as light as they get, for thin lines on a picture."""


def colour(tag: int) -> Colour:
    """RGB of a tag."""
    red, green, blue = PALETTE[tag].tolist()
    return red, green, blue


def write_mask_png(path: Path, mask: IndexMask) -> None:
    """An index mask as PNG with a palette: a pixel's value is its tag, viewers show its colour."""
    image = Image.fromarray(mask)
    image.putpalette(PALETTE.tobytes())
    image.save(path, format="PNG")
