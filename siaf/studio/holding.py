"""Which tab of the page may change the session."""

import threading
import time
from collections.abc import Callable

HELD_S = 15.0
"""How long a tab keeps the desk without being heard of."""


class Holder:
    """One tab at a time; a tab that was heard of lately keeps it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._tab: str | None = None
        self._heard = 0.0
        self._lock = threading.Lock()

    def hear(self, tab: str | None) -> bool:
        """A tab made a call; whether it is the one that holds the desk."""
        with self._lock:
            if tab is None or tab != self._tab:
                return False
            self._heard = self._clock()
            return True

    def ask(self, tab: str, *, take: bool = False) -> bool:
        """A tab wants the desk; whether it has it now. `take`: also from another one."""
        with self._lock:
            if take or self._tab in (None, tab) or self._clock() - self._heard > HELD_S:
                self._tab, self._heard = tab, self._clock()
            return self._tab == tab
