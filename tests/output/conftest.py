"""A small finished session as plain data: two objects, one of which comes later, two rounds."""

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from strokes import stroke

from siaf.frames.source import ArrayFrames
from siaf.output import Results

N, HEIGHT, WIDTH = 8, 41, 63


def mask(frame: int) -> np.ndarray:
    """Object 3 in every frame, object 200 from frame 4 on, touching it."""
    index = np.zeros((HEIGHT, WIDTH), np.uint8)
    index[5 : 15 + frame, 10:30] = 3
    if frame >= 4:
        index[8:20, 30:40] = 200
    return index


def rounds() -> Sequence[Any]:
    first = {0: [stroke(3, (12, 7), (20, 10)), stroke(0, (50, 30))], 4: [stroke(200, (32, 10), (36, 16))]}
    second = {4: [stroke(200, (15, 8), polarity="negative")]}
    return [
        SimpleNamespace(scribbles=first, references=[]),
        SimpleNamespace(scribbles=second, references=[6]),
    ]


@pytest.fixture
def results() -> Callable[..., Results]:
    def make(**changes: Any) -> Results:
        rng = np.random.default_rng(0)
        given = {
            "name": "street.mp4",
            "frames": ArrayFrames(rng.integers(0, 255, (N, HEIGHT, WIDTH, 3), dtype=np.uint8), fps=12.5),
            "mask": mask,
            "labels": {3: "person", 200: "bag"},
            "rounds": rounds(),
            "confidence": {n: {3: 0.9, 200: 0.5 + n / 20} for n in (1, 2, 3, 5, 7)},
            "suggested": [1, 7],
            "model": "siaf-t",
        }
        return Results(**(given | changes))

    return make
