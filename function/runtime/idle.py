"""Work for the time between requests: a worker answers one event at a time, and mostly none."""

import atexit
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from queue import SimpleQueue

_LAST_TASK_S = 10.0


class Idle:
    """One thread for small tasks, in order, that never runs beside a request.

    A request waits at most for the one task that has begun, so that model, caches and store are never used by two
    threads at once, and results are what they are without. A task that fails is forgotten: it was only done ahead.
    """

    def __init__(self) -> None:
        self._tasks: SimpleQueue[Callable[[], object]] = SimpleQueue()
        self._turn = threading.Lock()
        self._unasked = threading.Event()
        self._unasked.set()
        threading.Thread(target=self._work, name="idle", daemon=True).start()
        # A thread must not be inside the network when the interpreter ends: its last turn is never given back.
        atexit.register(self._turn.acquire, timeout=_LAST_TASK_S)

    def add(self, task: Callable[[], object]) -> None:
        """Do this when nobody asks anything."""
        self._tasks.put(task)

    @contextmanager
    def interrupted(self) -> Iterator[None]:
        """For the length of a request: no task runs."""
        self._unasked.clear()
        try:
            with self._turn:
                yield
        finally:
            self._unasked.set()

    def _work(self) -> None:
        while True:
            task = self._tasks.get()
            self._unasked.wait()
            with self._turn, suppress(Exception):
                task()
