"""When a session is saved, and what becomes of it where that fails."""

import logging
import tempfile
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from siaf.errors import SiafError
from siaf.session.session import Session
from siaf.studio.clip import Clip

SAVED_EVERY_S = 20.0
"""How much of a propagation a killed process loses at most; and how soon a save that failed is tried again."""
log = logging.getLogger("siaf.studio")


@dataclass(frozen=True)
class Saved:
    """Where the session is kept, when it was last (ISO time, None: not by this process), and what went wrong since."""

    path: str
    at: str | None = None
    error: str | None = None


class Keeper:
    """Saves a session, for the thread that owns it. `saved` may be read by any thread."""

    def __init__(self, clip: Clip, session: Session, every_s: float) -> None:
        self._clip, self._session, self._every_s = clip, session, every_s
        self.saved = Saved(clip.place)
        self._unsaved = False
        self._tried = time.monotonic()

    def changed(self) -> None:
        """There is something to save, before long."""
        self._unsaved = True

    def due_in(self) -> float | None:
        """Seconds until the session should be saved; None if it is."""
        return max(0.0, self._tried + self._every_s - time.monotonic()) if self._unsaved else None

    def save(self) -> None:
        """Keep the session; where that fails, `saved` tells it, and it is due again."""
        self._unsaved = True
        try:
            self._clip.save(self._session)
        except Exception as error:
            if not isinstance(error, OSError | SiafError):
                log.exception("saving")
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            self.saved = replace(self.saved, error=reason or type(error).__name__)
        else:
            self.saved = Saved(self._clip.place, datetime.now(UTC).isoformat(timespec="seconds"))
            self._unsaved = False
        self._tried = time.monotonic()

    def save_at_last(self) -> None:
        """The process ends: a session that has no place is kept where there is room."""
        if self._unsaved:
            self.save()
        if not self._unsaved:
            return
        lost = f"the session could not be saved in {self._clip.place} ({self.saved.error})"
        try:
            place = Path(tempfile.mkdtemp(prefix="siaf-")) / "session.siaf"
            self._session.save(place)
        except Exception as error:
            log.error("%s, nor elsewhere: %s", lost, error)
        else:
            log.error("%s; it is kept in %s", lost, place)
