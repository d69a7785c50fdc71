"""Which frame is propagated from where (paper §III-C, "truncated propagation").

First come *walks*: an object that was scribbled on some interacted frames only is carried to the others, so that
every interacted frame speaks for every object. Otherwise a frame that was scribbled for one object would teach the
memory that all others are background there.

Then every frame without a user's mask belongs to its nearest interacted frame, over the interacted frames of all
rounds. An exact tie goes to the frame of the more recent round, then to the earlier frame. From every interacted
frame two chains run outwards, one forward, one backward, until the next interacted frame's territory or the end of
the video.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

CARRIED = -1  # the source of a chain that starts from another clip's memory


@dataclass(frozen=True)
class Chain:
    """Frames to propagate in this order, each from the one before it, the first from `source`.

    A chain with `adopts` is a walk: its last frame is an interacted one and takes over these tags; the frames
    between are only passed.
    """

    source: int
    frames: tuple[int, ...]
    adopts: frozenset[int] = frozenset()

    @property
    def results(self) -> tuple[int, ...]:
        """Frames that get a mask: of a walk only its last."""
        return self.frames[-1:] if self.adopts else self.frames


@dataclass
class Plan:
    """The chains of a round and how far they have run: `chain` is the running one, `step` its next frame."""

    chains: list[Chain] = field(default_factory=list)
    chain: int = 0
    step: int = 0

    @property
    def total(self) -> int:
        """Frames to propagate in all, walks not counted."""
        return sum(len(c.frames) for c in self.chains if not c.adopts)

    @property
    def done(self) -> int:
        """Frames propagated so far, walks not counted."""
        running = 0 if self.finished or self.chains[self.chain].adopts else self.step
        return sum(len(c.frames) for c in self.chains[: self.chain] if not c.adopts) + running

    @property
    def results(self) -> list[int]:
        """Frames that get a mask, in order: those that walks end at, then all that are propagated."""
        return [frame for chain in self.chains for frame in chain.results]

    @property
    def settled(self) -> int:
        """How many of `results` have theirs."""
        running = 0 if self.finished or self.chains[self.chain].adopts else self.step
        return sum(len(chain.results) for chain in self.chains[: self.chain]) + running

    @property
    def ahead(self) -> list[int]:
        """Frames that are still to be looked at, in order."""
        if self.finished:
            return []
        running, *others = self.chains[self.chain :]
        return [*running.frames[self.step :], *(frame for chain in others for frame in chain.frames)]

    @property
    def finished(self) -> bool:
        """No frame is left."""
        return self.chain >= len(self.chains)

    def next(self) -> tuple[Chain, int]:
        """The running chain and the frame to propagate."""
        chain = self.chains[self.chain]
        return chain, chain.frames[self.step]

    def advance(self) -> bool:
        """Count the frame of `next` as done; True if that ended its chain."""
        self.step += 1
        if self.step < len(self.chains[self.chain].frames):
            return False
        self.chain, self.step = self.chain + 1, 0
        return True


def walks(known: Mapping[int, frozenset[int]], tags: Collection[int]) -> list[Chain]:
    """Walks that bring every tag to every interacted frame: one sweep forward, then one backward.

    `known` maps each interacted frame to the tags its mask speaks for. A tag comes from the nearest frame that knows
    it, the earlier one of two, by way of the interacted frames between, which adopt it too; so both sweeps together
    pass every frame at most twice, however many objects there are.
    """
    order = sorted(known)
    sources = {
        (frame, tag): min((f for f in order if tag in known[f]), key=lambda f: (abs(f - frame), f), default=frame)
        for frame in order
        for tag in set(tags) - known[frame]
    }
    result = []
    for direction, path in ((1, order), (-1, order[::-1])):
        for source, frame in pairwise(path):
            due = frozenset(
                tag for (f, tag), origin in sources.items() if f == frame and (origin - frame) * direction < 0
            )
            if due:
                result.append(Chain(source, tuple(range(source + direction, frame + direction, direction)), due))
    return result


def chains(n_frames: int, interacted: Mapping[int, int]) -> list[Chain]:
    """All chains of a round; those at the newest round's frames come first, so that corrections show early.

    Chains are independent of each other: they read the same memory, and no frame is in two of them.
    """
    if not interacted:
        return []
    order = sorted(interacted)
    result = []
    for position, source in enumerate(order):
        before = order[position - 1] if position else None
        after = order[position + 1] if position + 1 < len(order) else None
        stop = n_frames if after is None else _border(source, after, interacted)
        start = -1 if before is None else _border(before, source, interacted) - 1
        result.append(Chain(source, tuple(range(source + 1, stop))))
        result.append(Chain(source, tuple(range(source - 1, start, -1))))
    # Stable: equal rounds stay in the order of the video.
    return sorted((c for c in result if c.frames), key=lambda c: -interacted[c.source])


def _border(left: int, right: int, interacted: Mapping[int, int]) -> int:
    """First frame between two neighbouring interacted frames that belongs to the right one."""
    middle, tie = divmod(left + right, 2)
    if tie:
        return middle + 1
    return middle if interacted[right] > interacted[left] else middle + 1
