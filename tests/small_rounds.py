"""A stroke and a propagation, for tests of rounds on the small clip."""

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
