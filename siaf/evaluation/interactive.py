"""Interactive evaluation: the scribble robot plays the labeler, f frames per round, r rounds (DAVIS interactive)."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from siaf.engines.base import Engine
from siaf.evaluation.baselines import Method
from siaf.evaluation.curve import RoundScore
from siaf.evaluation.davis import LabelledSequence
from siaf.evaluation.metrics import jaccard, sequence_boundary_f, sequence_jaccard, swapped_objects
from siaf.evaluation.robot import first_frames, next_frames, robot_scribbles
from siaf.scribbles import Scribble
from siaf.session.feature_cache import FeatureCache
from siaf.session.schedule import chains
from siaf.session.session import Session

Fill = Callable[[Session], None]
"""Gives the frames that were not interacted with a mask, after a round's interaction."""
Strokes = Mapping[int, Sequence[Scribble]]


@dataclass(frozen=True)
class PlayedRound:
    """The result of one round.

    `drawn`: J of the frames that were scribbled on in this round, as the interaction network gave them, before
    propagation; mean over frames and objects, NaN if nothing was left to draw. `scribbled_frames`: how many frames the
    robot has scribbled on so far. `swaps`: pairs of frame and object that carry another object's tag now and did not
    before the round; 0 in the first one.
    """

    score: RoundScore
    drawn: float
    scribbled_frames: int
    swaps: int


def repropagate(session: Session) -> None:
    """The paper's way: every round, all frames that were not interacted with are propagated again."""
    for _ in session.propagate():
        pass


def propagate_newest(session: Session) -> None:
    """Without re-propagation: only frames whose nearest interacted frame is of this round; others keep theirs."""
    latest = {f: n for n, past in enumerate(session.rounds) for f in (*past.scribbles, *past.references)}
    newest = len(session.rounds) - 1
    due = sum(len(c.frames) for c in chains(len(session.frames), latest) if latest[c.source] == newest)
    if due:
        for done, _ in session.propagate():  # the newest round's chains come first
            if done >= due:
                break


def fill_by(method: Method) -> Fill:
    """A baseline instead of propagation: from the masks of all interacted frames to those of the others."""

    def fill(session: Session) -> None:
        known = {frame: session.mask(frame) for frame in session.interacted}
        for i, mask in enumerate(method(session.frames, known)):
            if i not in known:
                session.set_propagated_mask(i, mask)

    return fill


def first_strokes(sequence: LabelledSequence, per_round: int) -> list[Strokes | None]:
    """The first rounds to start from, one sample of the evaluation each.

    With human scribbles in the folder, sample k has the sets k, k + 1, …, as many as frames are scribbled per round
    (all of them if there are fewer); windows that hold the same sets are one sample. Otherwise there is one sample,
    None, for which the robot draws.
    """
    sets = sequence.scribbles
    windows = {frozenset((k + i) % len(sets) for i in range(per_round)): None for k in range(len(sets))}
    merged: list[Strokes | None] = []
    for window in windows:
        strokes: dict[int, list[Scribble]] = {}
        for number in sorted(window):
            for frame, drawn in sets[number].items():
                strokes.setdefault(frame, []).extend(drawn)
        merged.append(strokes)
    return merged or [None]


def robot_sets(sequence: LabelledSequence, count: int = 3) -> LabelledSequence:
    """The sequence with `count` sets of first scribbles by the robot, as DAVIS 2017 has three by humans.

    Set k is on the k-th frame of `first_frames`.
    """
    nothing = np.zeros_like(sequence.masks)
    frames = first_frames(sequence.masks, count)
    sets = tuple(_robot(nothing, sequence.masks, sequence.tags, [frame]) for frame in frames)
    return replace(sequence, scribbles=sets)


def play(
    model: Engine,
    sequence: LabelledSequence,
    *,
    per_round: int,
    rounds: int,
    first: Strokes | None = None,
    fill: Fill = repropagate,
    cache: FeatureCache | None = None,
) -> list[PlayedRound]:
    """Play `rounds` rounds of `per_round` frames on one sequence.

    The first round is `first`, or the robot draws on the middles of equal parts of the clip. Later rounds go to the
    worst frames by J&F that the robot has not used. The clock runs from handing out the strokes to having all masks;
    the robot and the scores are not counted. `cache` may hold encoded frames of earlier plays, which shortens that
    time.
    """
    truth, tags = sequence.masks, sequence.tags
    session = Session(model, sequence.frames, cache=cache)
    masks = np.zeros_like(truth)
    swapped = np.ones((len(truth), len(tags)), bool)
    jaccards = boundaries = np.zeros((len(truth), len(tags)))
    played: list[PlayedRound] = []
    used: set[int] = set()  # by the robot, as in the challenge; frames of human scribbles may come again
    scribbled: set[int] = set()
    for number in range(rounds):
        if number == 0 and first is not None:
            strokes = first
        else:
            quality = (jaccards + boundaries).mean(axis=1) / 2
            chosen = next_frames(quality, per_round, used) if number else first_frames(truth, per_round)
            used.update(chosen)
            strokes = _robot(masks, truth, tags, chosen)
        scribbled.update(strokes)
        started = time.perf_counter()
        found = session.interact(strokes) if strokes else {}
        if strokes:
            fill(session)
        masks = np.stack([session.mask(i) for i in range(len(truth))])
        seconds = time.perf_counter() - started
        jaccards, boundaries = sequence_jaccard(masks, truth, tags), sequence_boundary_f(masks, truth, tags)
        before, swapped = swapped, swapped_objects(masks, truth, tags)
        drawn = [jaccard(found[f] == t, truth[f] == t) for f in found for t in tags]
        played.append(
            PlayedRound(
                RoundScore(seconds, jaccards.mean(axis=0), boundaries.mean(axis=0)),
                float(np.mean(drawn)) if drawn else float("nan"),
                len(scribbled),
                int(np.count_nonzero(swapped & ~before)),
            )
        )
    return played


def _robot(
    masks: NDArray[np.uint8], truth: NDArray[np.uint8], tags: Sequence[int], frames: Collection[int]
) -> dict[int, list[Scribble]]:
    """The robot's strokes on the given frames; frames without an error are left out."""
    strokes = {frame: robot_scribbles(masks[frame], truth[frame], tags) for frame in frames}
    return {frame: drawn for frame, drawn in strokes.items() if drawn}
