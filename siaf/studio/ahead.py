"""What is computed while the labeler looks and draws, so that what comes next is waited for less."""

import logging
from collections.abc import Callable, Iterator

from siaf.session.session import Session

_NEAR = 20
"""So many frames to each side of one that was drawn on: objects walk over them to the next drawn one."""
_REMEMBERED = 16
_PASSED = 64
"""Frames that are passed after a round at most: if nobody propagates, they were for nothing."""
log = logging.getLogger("siaf.studio")


class Ahead:
    """Work in small parts, the most urgent first. None changes a mask: everything is there to be found when it is
    needed, or made then. Frames that another machine has are left until somebody else fetched them.

    First the shown frame is encoded for the segmenter, which draws the first preview there. Then frames that are drawn
    on, and others nearest first, are encoded for the propagation; and that begins, as far as it only passes frames.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._shown: int | None = None
        self._drawn: tuple[int, ...] = ()
        self._done: set[int] = set()
        self._full = False
        self._to_pass = 0

    def shown(self, frame: int) -> None:
        """A frame that somebody looks at, and may draw on."""
        if self._session.model.segmenter is not None:
            self._shown = frame

    def drawn_on(self, frame: int) -> None:
        """A frame that the next round will be about."""
        if frame not in self._drawn and 0 <= frame < len(self._session.frames):
            self._drawn = (frame, *self._drawn)[:_REMEMBERED]

    def round_taken(self) -> None:
        """There is something to propagate."""
        self._to_pass = _PASSED

    @property
    def urgent(self) -> bool:
        """Whether the next part is of a frame on which a stroke may begin any moment."""
        return self._shown is not None

    @property
    def wanted(self) -> bool:
        """Whether there is something to do."""
        return self._next() is not None

    def step(self) -> None:
        """Do one part."""
        work = self._next()
        if work is None:
            return
        try:
            work()
        except Exception:  # whoever needs the frame will say what is wrong
            log.debug("ahead", exc_info=True)

    def _next(self) -> Callable[[], None] | None:
        if self._shown is not None:
            return self._embed
        if not self._full and any(True for _ in self._due()):
            return self._encode
        ahead = self._session.plan.remaining_frames if self._to_pass else []
        return self._pass if ahead and self._session.frames.at_hand(ahead[0]) else None

    def _embed(self) -> None:
        frame, segmenter, more = self._shown, self._session.model.segmenter, False
        try:
            if frame is not None and segmenter is not None:
                more = segmenter.embed_part(self._session.frames[frame])
        finally:
            if not more and self._shown == frame:
                self._shown = None

    def _encode(self) -> None:
        frame = next(self._due())
        self._done.add(frame)
        self._full = not self._session.prepare(frame)

    def _pass(self) -> None:
        left, self._to_pass = self._to_pass - 1, 0
        if self._session.pass_frame():
            self._to_pass = left

    def _due(self) -> Iterator[int]:
        frames = self._session.frames
        for away in range(_NEAR + 1):
            for drawn in self._drawn:
                for frame in sorted({drawn - away, drawn + away}):
                    if frame not in self._done and 0 <= frame < len(frames) and frames.at_hand(frame):
                        yield frame
