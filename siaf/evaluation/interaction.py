"""The interaction network alone: the robot's strokes on one frame, corrected on the same frame, without propagation."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from siaf.engines.base import Engine
from siaf.evaluation.metrics import jaccard
from siaf.evaluation.robot import robot_scribbles
from siaf.masks import IndexMask
from siaf.scribbles import Scribble
from siaf.session.session import Session

Answer = Callable[[Sequence[Scribble]], IndexMask]
"""New strokes on the frame → its index mask; it remembers the strokes before."""


def siaf_answer(model: Engine, frame: NDArray[np.uint8]) -> Answer:
    """A session of one frame."""
    session = Session(model, [frame])

    def answer(strokes: Sequence[Scribble]) -> IndexMask:
        return session.interact({0: strokes})[0] if strokes else session.mask(0)

    return answer


def stroke_rounds(answer: Answer, truth: IndexMask, rounds: int) -> list[float]:
    """J (mean over objects) after each round: first strokes on nothing, then corrections of the errors."""
    tags = [int(t) for t in np.unique(truth) if t]
    mask, scores = np.zeros_like(truth), []
    for _ in range(rounds):
        mask = answer(robot_scribbles(mask, truth, tags))
        scores.append(float(np.mean([jaccard(mask == t, truth == t) for t in tags])))
    return scores
