"""Whose turn it is to compute, where one process has several sessions: as many threads as there are would only slow
each other down.
"""

import heapq
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

CALL, STEP = 0, 1
"""What somebody waits for goes before a step of a propagation; within each, who asked first is first."""


class Turns:
    """One at a time."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: list[tuple[int, int]] = []
        self._asked = 0
        self._taken = False

    @contextmanager
    def take(self, urgency: int, unless: Callable[[], bool] = lambda: False) -> Iterator[bool]:
        """Wait for a turn, and have it within the block. False, and no turn, once `unless` holds (see `nudge`)."""
        with self._changed:
            self._asked += 1
            own = urgency, self._asked
            heapq.heappush(self._waiting, own)
            self._changed.wait_for(lambda: unless() or (not self._taken and self._waiting[0] == own))
            self._waiting.remove(own)
            heapq.heapify(self._waiting)
            self._changed.notify_all()
            mine = not unless()
            self._taken = self._taken or mine
        try:
            yield mine
        finally:
            if mine:
                self._give_back()

    @contextmanager
    def spare(self) -> Iterator[bool]:
        """A turn if nobody computes or waits; False if somebody does."""
        with self._changed:
            mine = not self._taken and not self._waiting
            self._taken = self._taken or mine
        try:
            yield mine
        finally:
            if mine:
                self._give_back()

    def nudge(self) -> None:
        """What `unless` tells may be another."""
        with self._changed:
            self._changed.notify_all()

    def _give_back(self) -> None:
        with self._changed:
            self._taken = False
            self._changed.notify_all()
