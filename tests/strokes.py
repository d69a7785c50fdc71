"""Strokes through given points, for tests."""

from typing import Any

import numpy as np

from siaf import Scribble


def stroke(tag: int, *points: tuple[float, float], **more: Any) -> Scribble:
    return Scribble(tag, np.array(points, float), **more)
