"""Keep what is done when a command ends early: after Ctrl-C, with a full disk, or with a fault."""

import os
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

from siaf.errors import InputError, SiafError
from siaf.session.session import Session

SESSION, BEFORE = "session.siaf", "session.before.siaf"
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """Whether the user asked to stop. Work ends between two frames, where a session is whole."""

    asked = False

    def check(self) -> None:
        """Raises KeyboardInterrupt if so."""
        if self.asked:
            raise KeyboardInterrupt


@contextmanager
def stopping() -> Iterator[Stop]:
    """Ctrl-C and SIGTERM ask the Stop first; a second one ends the process at once."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def ask(number: int, frame: FrameType | None) -> None:
        if stop.asked:
            raise KeyboardInterrupt
        stop.asked = True

    former = {number: signal.signal(number, ask) for number in _SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


class KeptSession:
    """A session's file in the folder of the results, written before the pictures and when work ends early.

    A file that an earlier run left there is kept beside it, as session.before.siaf, until this run is done. `begun` is
    the state that this session goes on from, if any. `again(file)` is the command that goes on.
    """

    def __init__(self, session: Session, out: Path, begun: Path | None, again: Callable[[Path], str] | None) -> None:
        self._session, self._out, self._begun, self._again = session, out, begun, again
        self._at_first = self._standing()
        self._place: Path | None = None
        self._aside = False

    def save(self) -> None:
        """Write the session; OSErrors pass."""
        place, before = self._out / SESSION, self._out / BEFORE
        if self._place is None and place.exists() and not (self._begun and place.samefile(self._begun)):
            if not before.exists():
                os.replace(place, before)
            self._aside = True
        self._session.save(place)
        self._place = place

    def done(self) -> None:
        """Everything is written: drop the earlier run's session."""
        if self._aside:
            (self._out / BEFORE).unlink(missing_ok=True)

    def fail(self, error: BaseException) -> NoReturn:
        """Keep what is done, and raise `error` with the place and how to resume."""
        if self._place is None and self._standing() != self._at_first:
            self._save_somewhere()
        if self._place is None:
            raise error
        kept = f"your work is kept in {self._place}"
        if self._again is not None:
            kept += f"; resume with: {self._again(self._place)}"
        if isinstance(error, KeyboardInterrupt):
            raise KeyboardInterrupt(f"stopped; {kept}") from None
        if isinstance(error, InputError):
            raise InputError(f"{error.message}; {kept}", field=error.field) from None
        if isinstance(error, SiafError):
            raise SiafError(f"{error}; {kept}") from None
        if isinstance(error, OSError):
            raise SiafError(f"{error.strerror or error}; {kept}") from None
        error.add_note(f"siaf: {kept}")
        raise error

    def _save_somewhere(self) -> None:
        """Save in the results' folder or, if that fails because the disk is full, in the system's temporary one."""
        with suppress(OSError, SiafError):
            return self.save()
        with suppress(OSError, SiafError):
            place = Path(tempfile.mkdtemp(prefix="siaf-")) / SESSION
            self._session.save(place)
            self._place = place
        return None

    def _standing(self) -> tuple[int, int, int]:
        return len(self._session.rounds), self._session.revision, self._session.pending
