"""Colours by tag are those of DAVIS and PASCAL VOC."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from siaf.output.palette import BRIGHT, PALETTE, colour, write_mask_png


@pytest.mark.parametrize(
    ("tag", "rgb"),
    [
        (0, (0, 0, 0)),
        (1, (128, 0, 0)),
        (2, (0, 128, 0)),
        (3, (128, 128, 0)),
        (4, (0, 0, 128)),
        (7, (128, 128, 128)),
        (8, (64, 0, 0)),
        (20, (0, 64, 128)),
        (255, (224, 224, 192)),
    ],
)
def test_published_colours(tag: int, rgb: tuple[int, int, int]) -> None:
    assert colour(tag) == rgb


def test_no_two_tags_share_a_colour() -> None:
    assert len(np.unique(PALETTE, axis=0)) == 256


def test_bright_colours_are_light_in_every_tag() -> None:
    assert (BRIGHT[1:].max(axis=1) > 240).all()


def test_png_holds_tags_and_colours(tmp_path: Path) -> None:
    mask = np.arange(256, dtype=np.uint8).reshape(16, 16)
    write_mask_png(tmp_path / "a.png", mask)
    image = Image.open(tmp_path / "a.png")
    assert np.array_equal(np.asarray(image), mask)
    assert np.array_equal(np.asarray(image.convert("RGB")), PALETTE[mask])
