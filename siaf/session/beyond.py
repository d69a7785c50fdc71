"""Steps onto pictures that are none of a session's frames: what comes after them, say."""

import numpy as np
from numpy.typing import NDArray

from siaf.masks import IndexMask
from siaf.session.annotations import Annotations
from siaf.session.confidence import Confidence
from siaf.session.memory import ChainMemory
from siaf.session.propagation import Propagator


class Beyond:
    """What a session finds on other pictures, as it is `now`."""

    def __init__(self, propagator: Propagator, now: Annotations) -> None:
        self._propagator, self._now = propagator, now

    def chain(self, source: int) -> ChainMemory:
        """A chain that starts at an interacted frame; the session's memory is brought up to date for it."""
        return self._propagator.chain(source, self._now)

    def step(
        self, picture: NDArray[np.uint8], digest: str, chain: ChainMemory, near: int
    ) -> tuple[IndexMask, Confidence]:
        """One step of a chain onto a picture, uint8 H×W×3; the chain advances.

        `digest` is the picture's content digest, `near` the frame of the session that it is nearest to. Returns its
        index mask and confidence.
        """
        features = self._propagator.encoded.encode([digest], [lambda: picture])
        away, objects = chain.taken + 1, self._now.objects
        return self._propagator.step(features, [near], [chain], [1], objects, beyond=away, picture=picture)[0]
