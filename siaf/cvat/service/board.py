"""Which rounds wait, run and have ended: one for each job, as many at once as the function has replicas."""

import logging
import threading
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from time import monotonic

from siaf.cvat.rounds.sync import SyncOptions
from siaf.cvat.server.connection import Server
from siaf.cvat.service.metrics import Metrics
from siaf.cvat.service.round import STOPPED, Round
from siaf.cvat.service.running import run_round
from siaf.cvat.service.wishes import Wish
from siaf.cvat.sessions.base import SessionFactory
from siaf.cvat.storage.store import StateStore
from siaf.errors import SiafError

MOST_WAITING = 100
"""Rounds in the queue; more are turned away."""
Replica = Callable[[Server], SessionFactory]
"""A replica of the function: opens sessions for rounds of the person whose CVAT session the server has."""
log = logging.getLogger("siaf.cvat.service")


class Taken(SiafError):
    """The job has a round already."""

    def __init__(self, round_: Round) -> None:
        super().__init__(
            f"job {round_.job} has a round that is {round_.state}: {round_.by} asked for it at {round_.asked_at}"
        )
        self.round = round_


class Full(SiafError):
    """Too many rounds wait."""


class NoRound(SiafError):
    """Nothing waits or runs on the job."""


class Board:
    """All rounds of one CVAT site. `close` stops them where a later round goes on.

    What became of a job's latest round is kept in the store too, so that it can be told after a restart; who asked is
    kept by name only, their session never leaves the memory.
    """

    def __init__(
        self, store: StateStore, site: str, replicas: Sequence[Replica], options: SyncOptions, metrics: Metrics
    ) -> None:
        self._store, self._site, self._options, self._metrics = store, site, options, metrics
        self._lock, self._notes = threading.Condition(), threading.Lock()
        self._latest: dict[int, Round] = {}
        self._queue: deque[tuple[Round, Server, Wish]] = deque()
        self._closed = False
        self._workers = [threading.Thread(target=self._work, args=(replica,), daemon=True) for replica in replicas]
        for worker in self._workers:
            worker.start()

    def ask(self, server: Server, job: int, by: str, wish: Wish) -> Round:
        """Put a round into the queue. Raises Taken, Full."""
        with self._lock:
            latest = self._latest.get(job)
            if latest is not None and latest.active:
                raise Taken(latest)
            if self._closed or len(self._queue) >= MOST_WAITING:
                raise Full("this service is stopping" if self._closed else f"{len(self._queue)} rounds wait already")
            asked = Round(uuid.uuid4().hex, job, by)
            self._latest[job] = asked
            self._queue.append((asked, server, wish))
            self._gauge()
            self._lock.notify()
        self._remember(asked)
        return asked

    def current(self, job: int) -> Round | None:
        """The round that waits or runs, else the last one; None if nobody ever asked for one here."""
        with self._lock:
            known = self._latest.get(job)
            if known is not None:
                known.ahead = next((i for i, item in enumerate(self._queue) if item[0] is known), 0)
                return known
        data = self._store.note(self._site, f"round-job-{job}").read()
        if data is None:
            return None
        found = Round.parse(data)
        if found is not None and found.active:  # the process that had it is gone
            found.end("interrupted", STOPPED)
        return found

    def cancel(self, job: int) -> Round:
        """Stop a round at its next frame. Raises NoRound."""
        with self._lock:
            latest = self._latest.get(job)
            if latest is None or not latest.active:
                raise NoRound(f"no round waits or runs on job {job}")
            latest.stop.set()
            waiting = next((item for item in self._queue if item[0] is latest), None)
            if waiting is not None:
                self._queue.remove(waiting)
                latest.end("cancelled", "cancelled before it began")
                self._metrics.ended("cancelled", 0.0)
                self._gauge()
        if waiting is not None:
            self._remember(latest)
        return latest

    def close(self, *, wait_s: float = 30.0) -> None:
        """Take no more; stop what runs at its next frame, and wait for that."""
        with self._lock:
            self._closed = True
            dropped = [item[0] for item in self._queue]
            self._queue.clear()
            for latest in self._latest.values():
                latest.stop.set()
            self._lock.notify_all()
        for waiting in dropped:
            waiting.end("interrupted", STOPPED)
            self._remember(waiting)
        until = monotonic() + wait_s
        for worker in self._workers:
            worker.join(max(0.0, until - monotonic()))

    # -- inside ---------------------------------------------------------------------------------------------------

    def _work(self, replica: Replica) -> None:
        while True:
            with self._lock:
                self._lock.wait_for(lambda: self._queue or self._closed)
                if self._closed:
                    return
                asked, server, wish = self._queue.popleft()
                asked.begin()
                self._gauge()
            self._remember(asked)
            began = monotonic()
            jobs = self._store.job(self._site, asked.job)
            run_round(asked, server, jobs, replica, self._options, wish, closing=lambda: self._closed)
            del server  # and with it the session of whoever asked
            self._metrics.ended(asked.state, monotonic() - began)
            self._remember(asked)
            with self._lock:
                self._gauge()

    def _gauge(self) -> None:
        running = sum(1 for latest in self._latest.values() if latest.state == "running")
        self._metrics.standing(waiting=len(self._queue), running=running)

    def _remember(self, round_: Round) -> None:
        try:
            with self._notes:  # dumped within, so that what is written last is newest
                self._store.note(self._site, f"round-job-{round_.job}").write(round_.dump())
        except SiafError as error:  # the round itself needs the store and says more; this is only its notice
            log.warning("job %s: %s", round_.job, error)
