"""What commands are called on."""

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from segment_runs import ROUND_1, ROUND_2

Frames = NDArray[np.uint8]


@pytest.fixture
def folder(clip: Frames, tmp_path: Path) -> Path:
    """A clip of twelve pictures, and the strokes of two rounds on it."""
    frames = tmp_path / "clip"
    frames.mkdir()
    for n, frame in enumerate(clip):
        Image.fromarray(frame).save(frames / f"{n}.png")
    for number, content in enumerate((ROUND_1, ROUND_2), 1):
        (tmp_path / f"round{number}.json").write_text(json.dumps(content))
    return tmp_path
