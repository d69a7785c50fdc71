"""Semi-supervised evaluation: the ground truth of the first frame, or of some, is given; all others are propagated."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from siaf.engines.base import Engine
from siaf.errors import InputError
from siaf.evaluation.baselines import Frame, Masks, Method
from siaf.evaluation.metrics import sequence_boundary_f, sequence_jaccard, swapped_objects
from siaf.masks import IndexMask
from siaf.session.session import Session


@dataclass(frozen=True)
class Score:
    """Means over a sequence's objects and frames; `last` is J over the last quarter of the frames.

    `union`: J of all `objects` taken as one: how well they are found, whoever is who. `swaps`: how often, over objects
    and frames, one carries another's tag (`swapped_objects`).
    """

    objects: int
    jaccard: float
    union: float
    swaps: int
    boundary: float
    last: float


def siaf_method(model: Engine, *, adapt: bool | None = None) -> Method:
    """Propagation by a SIAF session from the references. `adapt`: first learn from them, as `Session.adapt` (None:
    where it pays).
    """

    def propagate(frames: Sequence[Frame], references: Mapping[int, IndexMask]) -> Masks:
        session = Session(model, frames)
        session.interact(references=references)
        for _ in session.adapt() if (session.adapts if adapt is None else adapt) else ():
            pass
        for _ in session.propagate():
            pass
        return np.stack([session.mask(i) for i in range(len(frames))])

    return propagate


def reference_frames(length: int, count: int) -> list[int]:
    """The first frame, or `count` frames spread evenly from the first of a clip of `length` frames to the last.

    Raises InputError naming `references` if no frame would be left to score.
    """
    if count == 1:
        return [0]
    if count >= length:
        raise InputError(f"must be fewer than the clip's {length} frames, is {count}", field="references")
    return [round(i) for i in np.linspace(0, length - 1, count)]


def score_masks(masks: Masks, truth: Masks, given: Collection[int] = (0,)) -> Score:
    """DAVIS's semi-supervised rule: the first and the last frame are left out, objects count equally.

    `masks`, `truth`: index masks N×H×W. `given`: frames whose truth was given; they are left out too, and the objects
    are those that they show.
    """
    tags = [int(t) for t in np.unique(truth[[*given]]) if t]
    inner = [i for i in range(1, len(truth) - 1) if i not in given]
    jaccard = sequence_jaccard(masks[inner], truth[inner], tags)
    boundary = sequence_boundary_f(masks[inner], truth[inner], tags)
    quarter = max(1, len(jaccard) // 4)
    found, there = (np.isin(x[inner], tags).astype(np.uint8) for x in (masks, truth))
    together = sequence_jaccard(found, there, [1])
    return Score(
        objects=len(tags),
        jaccard=float(jaccard.mean()),
        union=float(together.mean()),
        swaps=int(swapped_objects(masks[inner], truth[inner], tags).sum()),
        boundary=float(boundary.mean()),
        last=float(jaccard[-quarter:].mean()),
    )
