"""Interactive evaluation: the scribble robot plays the labeler, f frames per round, r rounds (DAVIS interactive)."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from siaf.evaluation.curve import RoundScore
from siaf.evaluation.metrics import jaccard, sequence_boundary_f, sequence_jaccard
from siaf.evaluation.robot import first_frames, next_frames, robot_scribbles
from siaf.network import Model
from siaf.session import Session


@dataclass(frozen=True)
class InteractiveResult:
    """Scores of every round, J of the interacted frames' masks before propagation, and how many frames were
    scribbled.
    """

    rounds: list[RoundScore]
    interacted_jaccard: list[float]
    scribbled_frames: int


def evaluate_interactive(
    model: Model,
    frames: Sequence[NDArray[np.uint8]],
    truth: NDArray[np.uint8],
    *,
    per_round: int,
    rounds: int,
) -> InteractiveResult:
    """Play `rounds` rounds on one sequence. `truth`: index masks uint8 N×H×W.

    The first round's frames are the middles of equal parts of the clip, later ones the worst by J&F that have
    not been used. The clock runs from handing out the strokes to having all masks; the robot and the scores
    are not counted.
    """
    tags = [int(t) for t in np.unique(truth) if t]
    session = Session(model, frames)
    masks = np.zeros_like(truth)
    scores: list[RoundScore] = []
    interacted: list[float] = []
    used: list[int] = []
    for number in range(rounds):
        if number == 0:
            chosen = first_frames(truth, per_round)
        else:
            quality = sum(f(masks, truth, tags).mean(axis=1) for f in (sequence_jaccard, sequence_boundary_f)) / 2
            chosen = next_frames(np.asarray(quality), per_round, used)
        used += chosen
        strokes = {f: robot_scribbles(masks[f], truth[f], tags) for f in chosen}
        strokes = {f: s for f, s in strokes.items() if s}
        started = time.perf_counter()
        if strokes:
            found = session.interact(strokes)
            for _ in session.propagate():
                pass
            interacted += [jaccard(found[f] == t, truth[f] == t) for f in found for t in tags]
        masks = np.stack([session.mask(i) for i in range(len(truth))])
        seconds = time.perf_counter() - started
        scores.append(
            RoundScore(
                seconds,
                sequence_jaccard(masks, truth, tags).mean(axis=0),
                sequence_boundary_f(masks, truth, tags).mean(axis=0),
            )
        )
    return InteractiveResult(scores, interacted, len(set(used)))
