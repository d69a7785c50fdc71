"""What a round was, and how a session stood before it."""

from dataclasses import dataclass

import numpy as np

from siaf.objects import ObjectTable
from siaf.results import MaskStore
from siaf.scribbles import Scribble


@dataclass
class Standing:
    """All that a user's actions have led to; propagated masks and memories follow from it.

    `masks`: index masks of the interacted frames. `interacted`: frame → round that touched it last. `known`: frame →
    tags that its mask speaks for (an object added later is unknown there until it was looked for). `human`: frames
    whose mask a human made.
    """

    masks: MaskStore
    known: dict[int, frozenset[int]]
    interacted: dict[int, int]
    human: frozenset[int]
    objects: ObjectTable

    def copy(self) -> "Standing":
        """An independent standing."""
        return Standing(self.masks.copy(), dict(self.known), dict(self.interacted), self.human, self.objects.copy())


@dataclass
class Round:
    """What the user gave in one round: strokes by frame, frames given as masks; and the standing before it, for
    undo.
    """

    scribbles: dict[int, list[Scribble]]
    references: list[int]
    before: Standing


def erase_other_tags(store: MaskStore, keep: list[int]) -> None:
    """Make pixels of all tags but `keep` background, in every mask."""
    for frame in store:
        mask = store[frame]
        gone = ~np.isin(mask, [0, *keep])
        if gone.any():
            store[frame] = np.where(gone, 0, mask).astype(np.uint8)
