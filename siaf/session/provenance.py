"""What every propagated mask was made from, so that a round does not make again what would come out the same."""

import hashlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from siaf.masks import MAX_TAG
from siaf.model.identity import Slots
from siaf.session.annotations import Annotations
from siaf.session.mask_store import MaskStore
from siaf.session.schedule import Chain


class Provenance:
    """Fingerprints of inputs: by frame of what its mask was propagated from, by walk of what it carried."""

    def __init__(self) -> None:
        self.frames: dict[int, str] = {}
        self.walks: dict[str, str] = {}
        self._running: dict[int, str] = {}
        self._walking = ""
        self._annotated: dict[int, tuple[bytes, frozenset[int], bytes]] = {}

    def same(
        self,
        chain: Chain,
        versions: Mapping[int, str],
        slots: Slots,
        select: Callable[[int], Sequence[int]] | None,
        results: MaskStore,
        carried: int,
        decoder: str = "",
    ) -> bool:
        """Whether all masks of a chain are there and were made from just this.

        `versions`: of every memory entry, by frame, something that changes with it. `select` says which entries a
        frame reads; None leaves that out: then only the chain's source counts. `decoder`: version of an adapted one. If
        the answer is no, the fingerprints are kept for `record`.
        """
        chained = hashlib.blake2b(digest_size=12)
        chained.update(f"{slots}|{carried}|{versions.get(chain.source)}|{select is None}{decoder}".encode())
        prints = {}
        for frame in chain.frames:
            if select is not None:
                chained.update("".join(versions[f] for f in select(frame)).encode())
            prints[frame] = chained.copy().hexdigest()
        if all(frame in results and self.frames.get(frame) == found for frame, found in prints.items()):
            return True
        self._running |= prints
        return False

    def record(self, frame: int) -> None:
        """The frame's mask has been made, from what `same` was last told; after a reload that is not known."""
        known = self._running.pop(frame, None)
        if known is None:
            self.forget(frame)
        else:
            self.frames[frame] = known

    def forget(self, frame: int) -> None:
        """The frame's mask comes from somewhere else."""
        self.frames.pop(frame, None)

    def walked(self, chain: Chain, now: Annotations, near_only: bool, decoder: str = "") -> bool:
        """Whether a walk would carry what it carried before to a frame that is as it was then."""
        adopts, place = chain.adopts, chain.frames[-1]
        among = [chain.source] if near_only else sorted(f for f, known in now.annotated_tags.items() if adopts <= known)
        read = [self._annotated_part(now, f) for f in [chain.source, *among]]
        self._walking = _hash(f"{now.objects.channels()[0]}|{sorted(adopts)}|{chain.source}|{among}|{read}{decoder}")
        return self.walks.get(_walk(chain)) == self._walking + self._target(now, place, adopts)

    def record_walk(self, chain: Chain, now: Annotations) -> None:
        """The walk that `walked` was told of has been done, and its last frame has taken over its tags."""
        self.walks[_walk(chain)] = self._walking + self._target(now, chain.frames[-1], chain.adopts)

    def _annotated_part(self, now: Annotations, frame: int) -> bytes:
        """Digest of a mask's pixels of tags that it speaks for."""
        packed, tags = now.masks.packed(frame), now.annotated_tags[frame]
        kept = self._annotated.get(frame)
        if kept is None or kept[:2] != (packed, tags):
            kept = self._annotated[frame] = (packed, tags, _pixels(now, frame, tags))
        return kept[2]

    @staticmethod
    def _target(now: Annotations, frame: int, adopts: frozenset[int]) -> str:
        return _pixels(now, frame, now.annotated_tags[frame] | adopts).hex()


def _pixels(now: Annotations, frame: int, tags: frozenset[int]) -> bytes:
    table = np.zeros(MAX_TAG + 1, np.uint8)
    table[list(tags)] = list(tags)
    return hashlib.blake2b(table[now.masks[frame]].tobytes(), digest_size=12).digest()


def _walk(chain: Chain) -> str:
    return f"{chain.source}>{chain.frames[-1]}"


def _hash(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()
