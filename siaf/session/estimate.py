"""The mask of a frame as far as it is known: the user's, a propagated one, or what the memory alone finds."""

from siaf.masks import IndexMask
from siaf.session.annotations import Annotations
from siaf.session.propagation import Propagator
from siaf.session.schedule import CARRIED


def known_mask(frame: int, now: Annotations, running: Propagator) -> IndexMask | None:
    """A frame's index mask, uint8 H×W: the user's, else the newest propagated one; None if there is neither."""
    for store in (now.masks, running.results):
        if frame in store:
            return store[frame]
    return None


def estimated_mask(frame: int, now: Annotations, running: Propagator) -> IndexMask | None:
    """A frame's mask as `known_mask`; if it has none, what the memory finds there; None if there is no memory."""
    mask, memory = known_mask(frame, now, running), running.memory
    near = memory.barriers.same_side(frame, now.interacted)
    if mask is None and (near or memory.taught(frame)):
        nearest = min(near, key=lambda f: (abs(f - frame), f), default=CARRIED)
        features = running.encoded.features([frame])
        chain = running.chain(nearest, now, near=abs(nearest - frame) == 1)
        way = 1 if frame > nearest else -1
        mask = running.step(features, [frame], [chain], [way], now.objects)[0][0]
    return mask
