"""Which frame is propagated from where (paper §III-C, "truncated propagation").

First come *walks*: an object that was scribbled on some interacted frames only is carried to the others, so that
every interacted frame speaks for every object. Otherwise a frame that was scribbled for one object would teach the
memory that all others are background there.

Then every frame without a user's mask belongs to its nearest interacted frame, over the interacted frames of all
rounds. An exact tie goes to the frame of the more recent round, then to the earlier frame. From every interacted
frame two chains run outwards, one forward, one backward, until the next interacted frame's territory or the end of
the video.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, groupby, pairwise

CARRIED = -1  # the source of a chain that starts from another clip's memory
LANES = 4  # chains side by side: each holds its memory, in the process and in a state file


@dataclass(frozen=True)
class Chain:
    """Frames to propagate in this order, each from the one before it, the first from `source`.

    A chain with `adopts` is a walk: its last frame is an interacted one and takes over these tags; the frames
    between are only passed.
    """

    source: int
    frames: tuple[int, ...]
    adopts: frozenset[int] = frozenset()


class Plan:
    """The frames of a round in order, and how far that has come: `at` is the next entry of `order`.

    `stages` are done one after the other; the chains of a stage advance side by side, one frame each in turn. An entry
    of `order` is (stage, chain in the stage, step of the chain). Chains only pass frames that are not in `within`.
    `results`: frames that get a mask, in order: interacted ones that take over an object drawn elsewhere, then others.
    """

    def __init__(self, stages: Sequence[Sequence[Chain]] = (), at: int = 0, within: range | None = None) -> None:
        self.stages = [list(stage) for stage in stages]
        self.within = within
        self.order = [
            (number, lane, step)
            for number, stage in enumerate(self.stages)
            for step in range(max(len(chain.frames) for chain in stage))
            for lane, chain in enumerate(stage)
            if step < len(chain.frames)
        ]
        self.at = at
        chains = [self.stages[number][lane] for number, lane, _ in self.order]
        ends = [step == len(c.frames) - 1 for c, (_, _, step) in zip(chains, self.order, strict=True)]
        self._frames = [c.frames[step] for c, (_, _, step) in zip(chains, self.order, strict=True)]
        filled = [not c.adopts and self.fills(f) for c, f in zip(chains, self._frames, strict=True)]
        settled = [fill or bool(c.adopts and end) for fill, c, end in zip(filled, chains, ends, strict=True)]
        self._done, self._results_done = [0, *accumulate(map(int, filled))], [0, *accumulate(map(int, settled))]
        self.results = [frame for frame, one in zip(self._frames, settled, strict=True) if one]

    def fills(self, frame: int) -> bool:
        """Whether a chain gives the frame a mask."""
        return self.within is None or frame in self.within

    @property
    def total(self) -> int:
        """Frames to propagate in all, walks not counted."""
        return self._done[-1]

    @property
    def done(self) -> int:
        """Frames propagated so far, walks not counted."""
        return self._done[self.at]

    @property
    def results_done(self) -> int:
        """How many of `results`, the frames that get a mask in order, have theirs: walks count with their last."""
        return self._results_done[self.at]

    @property
    def passes(self) -> bool:
        """Whether the next frame is only passed: no mask comes of it."""
        return not self.finished and self._results_done[self.at + 1] == self._results_done[self.at]

    @property
    def remaining_frames(self) -> list[int]:
        """Frames that are still to be looked at, in order."""
        return self._frames[self.at :]

    @property
    def finished(self) -> bool:
        """No frame is left."""
        return self.at >= len(self.order)

    @property
    def stage(self) -> list[Chain]:
        """The chains that run side by side now."""
        return self.stages[self.order[self.at][0]]

    def next(self) -> tuple[int, int]:
        """The chain of the running stage whose turn it is, and its step."""
        _, lane, step = self.order[self.at]
        return lane, step

    def advance(self) -> bool:
        """Count the entry of `next` as done; True if that ended its stage."""
        before = self.order[self.at][0]
        self.at += 1
        return self.finished or self.order[self.at][0] != before


def stages(walks: Sequence[Chain], chains: Sequence[Chain], interacted: Mapping[int, int]) -> list[list[Chain]]:
    """Walks one by one, as each starts where others ended; then chains side by side, at most LANES.

    Those of the newest round share no stage with others: the frames next to a correction come first.
    """
    result = [[walk] for walk in walks]
    for _, part in groupby(chains, key=lambda chain: interacted[chain.source]):
        same = list(part)
        result += [same[i : i + LANES] for i in range(0, len(same), LANES)]
    return result


def walks(annotated: Mapping[int, frozenset[int]], tags: Collection[int]) -> list[Chain]:
    """Walks that bring every tag to every interacted frame: one sweep forward, then one backward.

    `annotated`: interacted frame → the tags that its mask speaks for. A tag comes from the nearest frame that knows
    it, the earlier one of two, by way of the interacted frames between, which adopt it too; so both sweeps together
    pass every frame at most twice, however many objects there are.
    """
    order = sorted(annotated)
    sources = {
        (frame, tag): min((f for f in order if tag in annotated[f]), key=lambda f: (abs(f - frame), f), default=frame)
        for frame in order
        for tag in set(tags) - annotated[frame]
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


def limited(chains: Sequence[Chain], within: range) -> list[Chain]:
    """Chains as far as their last frame of a range; the frames before its first are passed, as the masks would be
    others without them.
    """
    ends = [max((i for i, frame in enumerate(chain.frames, 1) if frame in within), default=0) for chain in chains]
    return [replace(chain, frames=chain.frames[:end]) for chain, end in zip(chains, ends, strict=True) if end]


def _border(left: int, right: int, interacted: Mapping[int, int]) -> int:
    """First frame between two neighbouring interacted frames that belongs to the right one."""
    middle, tie = divmod(left + right, 2)
    if tie:
        return middle + 1
    return middle if interacted[right] > interacted[left] else middle + 1
