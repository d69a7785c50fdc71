"""Frames that nothing crosses, as the cuts of a film: those before one and those from it on do not know each other."""

from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

from siaf.arguments import frame_number
from siaf.errors import InputError
from siaf.session.schedule import CARRIED, Chain, chains, limited, stages, walks


@dataclass(frozen=True)
class Barriers:
    """`at`: ascending frames, from 1 on, each the first of a new side. What another clip taught is before them all."""

    at: tuple[int, ...] = ()

    @classmethod
    def of(cls, frames: object, count: int) -> "Barriers":
        """Of a caller's frames of a video of `count`. Raises InputError naming "barriers"."""
        if isinstance(frames, str) or not isinstance(frames, Iterable):
            raise InputError(f"must be frame numbers, as [120, 300], not {frames!r}"[:200], field="barriers")
        at = sorted({frame_number(frame, count, "barriers") for frame in frames})
        if at and not at[0]:
            raise InputError("there is nothing before frame 0: it can be no barrier", field="barriers")
        return cls(tuple(at))

    def side(self, frame: int) -> int:
        """On which side a frame is, counted from 0."""
        return bisect_right(self.at, frame)

    def same_side(self, frame: int, others: Iterable[int]) -> list[int]:
        """Those on a frame's side, in their order."""
        own = self.side(frame)
        return [other for other in others if self.side(other) == own]

    def sides(self, frames: Iterable[int]) -> list[list[int]]:
        """Frames in groups that are together."""
        groups: dict[int, list[int]] = {}
        for frame in frames:
            groups.setdefault(self.side(frame), []).append(frame)
        return [groups[side] for side in sorted(groups)]

    def stretches(self, count: int) -> list[range]:
        """The sides of a video of `count` frames."""
        return [range(first, stop) for first, stop in pairwise((0, *self.at, count))]


def plan_stages(
    count: int,
    interacted: Mapping[int, int],
    annotated: Mapping[int, frozenset[int]],
    tags: Collection[int],
    carried: bool,
    barriers: Barriers,
    within: range | None,
) -> list[list[Chain]]:
    """The stages of a round on `count` frames (siaf.session.schedule), on every side by itself.

    `carried`: whether another clip's memory is there; a side without interacted frames starts from it, the first one.
    """
    outward: list[Chain] = []
    inward: list[Chain] = []
    for stretch in barriers.stretches(count):
        here = {frame: number for frame, number in interacted.items() if frame in stretch}
        first = stretch.start
        if here:
            shifted = chains(len(stretch), {frame - first: number for frame, number in here.items()})
            outward += [Chain(c.source + first, tuple(f + first for f in c.frames)) for c in shifted]
        elif carried and not first:
            outward.append(Chain(CARRIED, tuple(stretch)))
        inward += walks({frame: annotated[frame] for frame in here}, tags)
    order = {**interacted, CARRIED: 0}
    outward.sort(key=lambda chain: -order[chain.source])  # stable
    if within is not None:
        outward = limited(outward, within)
    return stages(inward, outward, order)
