"""Strokes, propagation and masks of rounds on the small clip, for tests."""

import numpy as np
from numpy.typing import NDArray

from siaf import Scribble, Session

Frames = NDArray[np.uint8]


def stroke(tag: int, x: float, y: float, length: float = 10) -> Scribble:
    return Scribble(tag=tag, points=np.array([[x, y], [x + length, y]]))


def run(session: Session) -> dict[int, NDArray[np.uint8]]:
    for _ in session.propagate():
        pass
    return {f: session.mask(f) for f in range(len(session.frames))}


def advance(session: Session, steps: int) -> None:
    for _, __ in zip(range(steps), session.propagate(), strict=False):
        pass


def masks(session: Session) -> list[NDArray[np.uint8]]:
    return [session.mask(f) for f in range(len(session.frames))]
