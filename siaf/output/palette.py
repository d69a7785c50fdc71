"""Colours by tag, and index masks as palette PNGs: those of DAVIS and PASCAL VOC."""

from collections.abc import Mapping
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


def brighter(colours: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Colours, uint8 N×3 RGB, of the same hues as light as they get."""
    most = np.maximum(colours.max(axis=1, keepdims=True), 1)
    lighter: npt.NDArray[np.uint8] = np.round(0.7 * 255 * colours / most + 0.3 * 255).astype(np.uint8)
    return lighter


PALETTE = _palette()
"""uint8 256×3 RGB by tag; tag 0, background, is black."""

BRIGHT = brighter(PALETTE)
"""uint8 256×3: for thin lines on a picture."""

COLOR = "color"
"""Under this name an object's own note in a session has the colour, "#rrggbb", that a person chose."""


def palette_with(chosen: Mapping[int, str]) -> npt.NDArray[np.uint8]:
    """The palette with other colours, "#rrggbb", for some tags."""
    palette = PALETTE.copy()
    for tag, text in chosen.items():
        palette[tag] = list(bytes.fromhex(text.removeprefix("#")))
    return palette


def colour(tag: int) -> Colour:
    """RGB of a tag."""
    red, green, blue = PALETTE[tag].tolist()
    return red, green, blue


def write_mask_png(path: Path, mask: IndexMask) -> None:
    """An index mask as PNG with a palette: a pixel's value is its tag, viewers show its colour."""
    image = Image.fromarray(mask)
    image.putpalette(PALETTE.tobytes())
    image.save(path, format="PNG")
