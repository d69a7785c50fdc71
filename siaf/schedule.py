"""Which frame is propagated from where (paper §III-C, "truncated propagation").

Every frame without a user's mask belongs to its nearest interacted frame, over the interacted frames of all rounds. An exact tie
goes to the frame of the more recent round, then to the earlier frame. From every interacted frame two chains run outwards,
one forward, one backward, until the next interacted frame's territory or the end of the video.
"""

from collections.abc import Mapping
from dataclasses import dataclass


CARRIED = -1  # the source of a chain that starts from another clip's memory


@dataclass(frozen=True)
class Chain:
    """Frames to propagate in this order, each from the one before it, the first from `source`."""

    source: int
    frames: tuple[int, ...]


def chains(n_frames: int, interacted: Mapping[int, int]) -> list[Chain]:
    """All chains of a round; those at the most recently interacted frames come first, so that corrections show early.

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
