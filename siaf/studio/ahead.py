"""Frames that are encoded while the labeler draws, so that the round waits less for them."""

import logging
from collections.abc import Iterator

from siaf.session.session import Session

_NEAR = 3
"""So many frames to each side of one that was drawn on."""
_REMEMBERED = 16
log = logging.getLogger("siaf.studio")


class Ahead:
    """Which frames to encode next: those that are drawn on, and their neighbours, nearest first."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._drawn: tuple[int, ...] = ()
        self._done: set[int] = set()
        self._full = False

    def drawn_on(self, frame: int) -> None:
        """A frame that the next round will be about."""
        if frame not in self._drawn and 0 <= frame < len(self._session.frames):
            self._drawn = (frame, *self._drawn)[:_REMEMBERED]

    def embed(self, frame: int) -> None:
        """Encode a frame for the segmenter, which draws the first preview there."""
        segmenter = self._session.model.segmenter
        if segmenter is not None:
            segmenter.embed(self._session.frames[frame])

    @property
    def wanted(self) -> bool:
        """Whether there is something to do."""
        return not self._full and any(True for _ in self._due())

    def step(self) -> None:
        """Encode one frame."""
        frame = next(self._due(), None)
        if frame is None:
            return
        self._done.add(frame)
        try:
            self._full = not self._session.prepare(frame)
        except Exception:  # whoever needs the frame will say what is wrong
            log.debug("frame %d", frame, exc_info=True)

    def _due(self) -> Iterator[int]:
        for away in range(_NEAR + 1):
            for drawn in self._drawn:
                for frame in sorted({drawn - away, drawn + away}):
                    if frame not in self._done and 0 <= frame < len(self._session.frames):
                        yield frame
