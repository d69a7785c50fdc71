"""The across-round memory U (paper Eq. 7): what the interacted frames of all rounds look like, and who is where.

Permanent entries (the user's frames) and transient ones (frames predicted on the way) live apart: a user's frame is
never evicted, and re-annotating it replaces its entry.
"""

from collections.abc import Collection
from dataclasses import dataclass, field

from siaf.lru import LruCache
from siaf.model.probabilities import Window
from siaf.model.propagation import FrameMemory, concatenate
from siaf.model.trail import Trace
from siaf.session.barriers import Barriers

MAX_PERMANENT = 8  # user's frames read at once; more cost time and hardly change a result
MAX_TRANSIENT = 10  # predicted frames of a chain, whatever its engine
_TRANSIENT_BESIDE_SEVERAL = 1  # more change nothing then (docs/training.md), and cost a tenth of a frame's time
_KEPT_JOINED = 4  # joined entries kept for the next frames of the chains that run side by side
MAX_CARRIED = 4  # frames of another clip, its last interacted ones


@dataclass
class AcrossRoundMemory:
    """Keys and values of the interacted frames, by frame number; `carried` are those of another clip, always read.

    Nothing is read across `barriers`.
    """

    entries: dict[int, FrameMemory] = field(default_factory=dict)
    carried: list[FrameMemory] = field(default_factory=list)
    barriers: Barriers = field(default_factory=Barriers)
    _joined: LruCache[tuple[int, ...], tuple[FrameMemory, list[FrameMemory]]] = field(
        default_factory=lambda: LruCache(_KEPT_JOINED)
    )

    def put(self, frame: int, memory: FrameMemory) -> None:
        """Remember an interacted frame, replacing what was known of it."""
        self.entries[frame] = memory
        self._joined.clear()

    def forget(self, frame: int) -> None:
        """Drop a frame, if it is there."""
        self.entries.pop(frame, None)
        self._joined.clear()

    def carry(self, memories: list[FrameMemory]) -> None:
        """Take over what another clip remembered; only its last frames are kept."""
        self.carried = memories[-MAX_CARRIED:]
        self._joined.clear()

    def select(self, frame: int, among: Collection[int] | None = None) -> tuple[int, ...]:
        """Entries to read for `frame`: nearest before, nearest after, then the closest others.

        At most MAX_PERMANENT; `among` restricts the choice to these frames.
        """
        candidates = [f for f in self.barriers.same_side(frame, self.entries) if among is None or f in among]
        before = max((f for f in candidates if f <= frame), default=None)
        after = min((f for f in candidates if f > frame), default=None)
        first = [f for f in (before, after) if f is not None]
        others = sorted((f for f in candidates if f not in first), key=lambda f: (abs(f - frame), f))
        return tuple(sorted([*first, *others][:MAX_PERMANENT]))

    def permanent(self, frame: int, among: Collection[int] | None = None) -> list[FrameMemory]:
        """Interacted frames' entries that are read for `frame`, and another clip's, which `among` leaves out."""
        return [self.entries[f] for f in self.select(frame, among)] + (self.taught(frame) if among is None else [])

    def taught(self, frame: int) -> list[FrameMemory]:
        """Another clip's entries, as far as they are read for `frame`."""
        return [] if self.barriers.side(frame) else self.carried

    def read(self, frame: int, transient: list[FrameMemory], among: Collection[int] | None = None) -> FrameMemory:
        """The long-term memory for `frame`: interacted frames (`permanent`), then predicted ones (`beside`)."""
        permanent = self.permanent(frame, among)
        return self.joined([*permanent, *beside(permanent, transient)])

    def joined(self, parts: list[FrameMemory]) -> FrameMemory:
        """Several entries as one."""
        key = tuple(id(part) for part in parts)
        # The parts are kept beside what was joined, so that their ids stay theirs.
        kept = self._joined.get(key)
        if kept is None:
            kept = concatenate(parts), parts
            self._joined.put(key, kept)
        return kept[0]


def beside(permanent: list[FrameMemory], transient: list[FrameMemory]) -> list[FrameMemory]:
    """The predicted frames of a chain that are read beside these interacted ones."""
    return transient[-room(len(permanent)) :]


def room(permanent: int, kept: int = MAX_TRANSIENT) -> int:
    """How many predicted frames, of `kept` at most, a chain needs that reads so many interacted ones."""
    return kept if permanent == 1 else min(kept, _TRANSIENT_BESIDE_SEVERAL)


@dataclass
class ChainMemory:
    """What a chain carries along: the previous frame (short-term), and a few predicted ones (transient).

    `taken`: how many frames it has passed. `trail`: what else is known of the previous frame. `windows`: chains that
    follow its small objects in parts of the frame (siaf.session.window_chains).
    """

    short: FrameMemory
    transient: list[FrameMemory] = field(default_factory=list)
    since_transient: int = 0
    taken: int = 0
    trail: Trace | None = None
    windows: tuple["WindowChain", ...] = ()

    def advance(self, memory: FrameMemory, gap: int, trail: Trace | None = None, *, kept: int = MAX_TRANSIENT) -> None:
        """Take the frame just propagated; every `gap`-th also enters the transient memory (0 = never), whose newest
        `kept` stay.
        """
        self.short, self.trail = memory, trail
        self.taken += 1
        self.since_transient += 1
        if gap and self.since_transient >= gap:
            self.transient = [*self.transient, memory][-kept:]
            self.since_transient = 0

    def amend(self, memory: FrameMemory, trail: Trace | None) -> None:
        """Take another memory and trail of the frame that was just taken."""
        if self.transient and self.transient[-1] is self.short:
            self.transient = [*self.transient[:-1], memory]
        self.short, self.trail = memory, trail


@dataclass(frozen=True)
class WindowChain:
    """A chain that sees a window of the frames and follows these `tags` there.

    `memory` has no windows of its own. `unseen`: on how many frames one after the other none of its objects was found.
    """

    window: Window
    tags: frozenset[int]
    memory: ChainMemory
    unseen: int = 0
