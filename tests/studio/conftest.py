"""A studio with the tiny model, on a folder of pictures."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from studio_client import Page, Studio, studio_on

from siaf.model.loaded import Model


@pytest.fixture
def folder(tmp_path: Path, clip: NDArray[np.uint8]) -> Path:
    """The clip's twelve frames as pictures."""
    place = tmp_path / "squares"
    place.mkdir()
    for number, frame in enumerate(clip):
        Image.fromarray(frame).save(place / f"{number}.png")
    return place


@pytest.fixture
def studio(folder: Path, tiny_model: Model) -> Iterator[Studio]:
    """It listens, and holds the pictures."""
    with studio_on(folder, tiny_model) as running:
        yield running


@pytest.fixture
def page(studio: Studio) -> Page:
    """A tab that holds the desk."""
    return studio.page("first")
