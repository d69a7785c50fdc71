"""The desk: one thread that owns the session and does everything on it, one thing after another."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import nullcontext
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Generic, TypeVar

from function.http.messages import ApiError, stale
from siaf.errors import SiafError
from siaf.session.mask_store import MaskStore
from siaf.session.session import Session
from siaf.studio.ahead import Ahead
from siaf.studio.clip import Clip
from siaf.studio.keeping import SAVED_EVERY_S, Keeper, Saved
from siaf.studio.turns import CALL, STEP, Turns
from siaf.studio.view import Propagation, View, said_by

T = TypeVar("T")
_REST_S = 0.3
"""How long nobody must have asked for anything before frames are encoded ahead of time."""
_BEFORE_ROUNDS = 3
"""For so many rounds back the masks of before are kept, for after an undo."""
log = logging.getLogger("siaf.studio")


@dataclass
class _Job(Generic[T]):
    """Something to do on the session; `key`: a newer one of the same key takes its place while it waits.

    One that does not compute, as it waits for others, needs no turn.
    """

    work: Callable[[Session], T]
    future: "Future[T]"
    changes: bool = False
    key: str | None = None
    computes: bool = True


class Desk:
    """A session, and what is done on it. `view` and `saved` may be read by any thread at any time, without waiting.

    Calls queue up; a propagation goes on frame by frame whenever none waits. A call that changes something is answered
    once the session is saved, or it was tried. `turns`: shared by desks that must not compute at once.
    """

    def __init__(
        self, clip: Clip, session: Session, *, turns: Turns | None = None, saved_every_s: float = SAVED_EVERY_S
    ) -> None:
        self.clip, self._session = clip, session
        self._turns = Turns() if turns is None else turns
        self.model = session.model.identity.name
        self._keeper = Keeper(clip, session, saved_every_s)
        self.writing = False
        self._befores: dict[int, MaskStore] = {}
        self._accepted = session.revision
        self._propagating: Iterator[bool] | None = None
        self._propagation = Propagation()
        self._steps_s, self._steps = 0.0, 0
        self._asked = time.monotonic()
        self._ahead = Ahead(session)
        self._queue: deque[_Job[object]] = deque()
        self._wake = threading.Condition()
        self._closing = False
        self.view = View.of(session, clip.labels)
        self._thread = threading.Thread(target=self._work, name="desk", daemon=True)  # a second Ctrl-C ends it at once
        self._thread.start()

    @property
    def saved(self) -> Saved:
        """How saving went."""
        return self._keeper.saved

    # -- asked by others ------------------------------------------------------------------------------------------

    def look(self, work: Callable[[Session], T], key: str | None = None) -> "Future[T]":
        """Do something that leaves the session as it is. A waiting job of the same `key` gets ApiError 409 instead."""
        return self._put(_Job(work, Future(), key=key))

    def change(self, revision: int | None, work: Callable[[Session], T]) -> "Future[T]":
        """Change the session, which is then saved; a propagation ends, its masks stay. ApiError 409 unless `revision`
        is what the page saw since the last change. What `work` raises must leave the session as it was.
        """

        def checked(session: Session) -> T:
            self.check(revision)
            return work(session)

        return self._put(_Job(checked, Future(), changes=True))

    def propagate(self, revision: int) -> "Future[None]":
        """Begin to propagate, or go on; it goes on in the background. It comes after an adaptation, where that pays."""

        def begin(session: Session) -> None:
            self.check(revision)
            self._propagating = _steps(session, session.adapt() if session.adapts else iter(()))
            self._propagation = Propagation(running=True)
            self._steps_s, self._steps = 0.0, 0
            self._show()

        return self._put(_Job(begin, Future()))

    def stop(self) -> "Future[None]":
        """Stop propagating before the next frame."""

        def end(session: Session) -> None:
            if self._propagating is not None:
                self._end()

        return self._put(_Job(end, Future()))

    def write(self) -> "Future[list[str]]":
        """Write the masks to where the clip came from; what was done."""

        def send(session: Session) -> list[str]:
            self.writing = True
            try:
                return self.clip.write(session)
            finally:
                self.writing = False

        return self._put(_Job(send, Future(), computes=False))

    def shown(self, frame: int) -> None:
        """A frame is looked at: what a first preview needs of it is made once nobody asks for anything."""
        self._ahead.shown(frame)
        with self._wake:
            self._wake.notify()

    def drawn_on(self, frame: int) -> None:
        """A frame is drawn on: so is what the next round needs of it."""
        self._ahead.drawn_on(frame)

    def check(self, revision: int | None) -> None:
        """ApiError 409 unless a page of this revision knows all that people did; frames may have been done since."""
        if revision is not None and not self._accepted <= revision <= self._session.revision:
            raise stale(f"the session is at revision {self._session.revision}, not {revision}")

    def close(self) -> None:
        """Do what was asked for, save and end."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join()

    # -- the thread -----------------------------------------------------------------------------------------------

    def _put(self, job: _Job[T]) -> "Future[T]":
        with self._wake:
            if self._closing:
                raise ApiError(HTTPStatus.SERVICE_UNAVAILABLE, "closing", "the studio is being closed")
            for waiting in [each for each in self._queue if job.key is not None and each.key == job.key]:
                self._queue.remove(waiting)
                if waiting.future.set_running_or_notify_cancel():
                    waiting.future.set_exception(_replaced())
            self._queue.append(job)  # type: ignore[arg-type]
            self._wake.notify()
        self._turns.nudge()
        return job.future

    def _next(self) -> _Job[object] | None:
        """The next job; None after a while in which nobody asked, which is no while where there is work to go on."""
        with self._wake:
            if not self._queue and not self._closing and self._propagating is None and self.view.whole:
                rest = self._rest() if self._ahead.wanted else self._keeper.due_in()
                if rest is None or rest > 0:
                    self._wake.wait(rest)
            return self._queue.popleft() if self._queue else None

    def _rest(self) -> float:
        """Seconds until something may be computed ahead."""
        return 0.0 if self._ahead.urgent else self._asked + _REST_S - time.monotonic()

    def _work(self) -> None:
        ending = False
        while not ending:
            try:
                ending = self._turn()
            except Exception as error:  # no memory for a view: the session itself is whole
                log.exception("desk")
                self._propagating, self._propagation = None, Propagation(error=str(error) or type(error).__name__)
                time.sleep(_REST_S)
        self._keeper.save_at_last()
        self.clip.close()

    def _turn(self) -> bool:
        """Do the next thing, if there is one; True at the end."""
        job = self._next()
        if job is not None:
            self._do(job)
        elif self._closing:
            return True
        elif self._propagating is not None:
            with self._turns.take(STEP, unless=lambda: bool(self._queue)) as mine:
                if mine:
                    self._step()
        elif not self.view.whole:
            self._show()
        elif self._ahead.wanted and self._rest() <= 0:
            self._use_spare_time()
        if self._keeper.due_in() == 0:
            self._keeper.save()
        return False

    def _use_spare_time(self) -> None:
        with self._turns.spare() as mine:
            if mine:
                self._ahead.step()
        if not mine:  # another session computes
            with self._wake:
                if not self._queue:
                    self._wake.wait(_REST_S)

    def _do(self, job: _Job[object]) -> None:
        """Run a job and answer it."""
        if not job.future.set_running_or_notify_cancel():
            return
        rounds, revision = len(self._session.rounds), self._session.revision
        try:
            with self._turns.take(CALL) if job.computes else nullcontext():
                result = job.work(self._session)
            if job.changes:
                self._keeper.changed()
                if self._session.revision == revision:  # a name, say: frames go on as they were
                    self.view = replace(self.view, said=said_by(self._session, self.clip.labels))
                else:
                    self._show_change(rounds)
                self._keeper.save()
        except BaseException as error:
            job.future.set_exception(error)
        else:
            job.future.set_result(result)
        self._asked = time.monotonic()

    def _show_change(self, rounds_before: int) -> None:
        """What people said is another; what was propagated before stays until it is propagated again."""
        self._propagating, self._propagation = None, Propagation()
        self._accepted = self._session.revision
        rounds = len(self._session.rounds)
        self._ahead.round_taken()
        if rounds > rounds_before:
            self._befores[rounds] = self.view.now
        self._befores = {n: store for n, store in self._befores.items() if rounds - _BEFORE_ROUNDS < n <= rounds}
        self.view = View.of(self._session, self.clip.labels, self._befores.get(rounds), self.view)

    def _step(self) -> None:
        """One step of the propagation."""
        assert self._propagating is not None
        begun = time.monotonic()
        try:
            adapting = next(self._propagating)
        except StopIteration:
            self._end()
            return
        except Exception as error:  # a frame that cannot be read, no memory: the session is whole between two steps
            if not isinstance(error, SiafError):
                log.exception("propagation")
            self._end(str(error) or type(error).__name__)
            return
        self._keeper.changed()
        if adapting:
            self._propagation = replace(self._propagation, adapting=True)
        else:
            self._steps, self._steps_s = self._steps + 1, self._steps_s + time.monotonic() - begun
            left = self._steps_s / self._steps * len(self._session.plan.remaining_frames)
            self._propagation = replace(self._propagation, adapting=False, seconds_left=round(left, 1))
        self._show()

    def _end(self, error: str | None = None) -> None:
        """The propagation is over, or was stopped."""
        self._propagating, self._propagation = None, Propagation(error=error)
        if self._keeper.due_in() is not None:
            self._keeper.save()
        self._show()

    def _show(self) -> None:
        self.view = self.view.updated(self._session, self._propagation)


def _steps(session: Session, adaptation: Iterator[tuple[int, int]]) -> Iterator[bool]:
    """Steps of an adaptation, then of the propagation; True for the former."""
    for _ in adaptation:
        yield True
    for _ in session.propagate():
        yield False


def _replaced() -> ApiError:
    return ApiError(HTTPStatus.CONFLICT, "replaced", "a newer one was asked for", "strokes")
