"""One round on a job: read, interact, propagate, write. Stopped anywhere, the next call ends where this one would."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from siaf.cvat.job.adopting import imported_frames
from siaf.cvat.job.clip import JobClip, open_job
from siaf.cvat.job.frames import JobFrames
from siaf.cvat.job.labels import LabelBook, WriteAs
from siaf.cvat.job.ledger import Ledger
from siaf.cvat.rounds.advice import Advise, Advisor, check_advice
from siaf.cvat.rounds.intake import Intake, look_at, take_in
from siaf.cvat.rounds.questions import Unanswered
from siaf.cvat.rounds.report import SyncReport, ignored_lines
from siaf.cvat.rounds.writer import JobWriter
from siaf.cvat.server.connection import Server
from siaf.cvat.sessions.base import JobSession, Progress, SessionFactory
from siaf.cvat.storage.store import JobStore
from siaf.cvat.writing.used_scribbles import Scribbles
from siaf.errors import InputError, SiafError
from siaf.masks import IndexMask
from siaf.session.shrinking import summarise
from siaf.session.state_file import read_masks, read_summary

_STARTED_ADOPTED = "this round started from adopted masks"
_STARTED_AGAIN = "the session had another model or input size, so this round started from the annotated frames' masks"
Overlap = Literal["both", "once"]
_LOOK_S = 5.0
"""Between looks at the lease while nothing is written."""

Carried = Callable[[JobClip, Ledger, Callable[[], JobSession]], Mapping[int, IndexMask]]
"""Gives a job what another job has for it: may open the session and let it inherit; returns references by the
session's frame.
"""


class NothingDrawn(InputError):
    """People have not worked on the job yet."""

    def __init__(self, job: int, book: LabelBook, ignored: Mapping[str, list[str]]) -> None:
        how = f"draw lines with the label {book.scribble_name!r} on one or more frames, or a mask, save, and sync again"
        first = "" if book.scribble is not None else " (siaf cvat setup adds that label)"
        there = "".join(f"; {line}" for line in ignored_lines(ignored))
        self.ignored = dict(ignored)
        super().__init__(f"nothing is drawn: {how}{first}{there}", field=f"job {job}")


@dataclass
class SyncOptions:
    """How to run a round. `write_as` None = as this job was written before, at first masks. `yes` answers questions.

    `adapt`: whether the network is first adapted to verified masks (`Session.adapt`); None = where it pays, and no
    mask came from another job.
    `overlap`: whether masks on frames that two jobs share are in both, or only in the one that begins earlier; None =
    as before, at first both. `frames`: first and last task frame that the round fills; None = all. `barriers`: task
    frames that nothing crosses; None = as before. `advise`: how frames to look at next are noted in the job (None = as
    before, at first not at all).
    """

    write_as: WriteAs | None = None
    scribbles: Scribbles = "keep"
    dry_run: bool = False
    yes: bool = False
    wait_s: float = 0.0
    progress: Progress = lambda done, total: None
    adapt: bool | None = None
    overlap: Overlap | None = None
    frames: tuple[int, int] | None = None
    barriers: Sequence[int] | None = None
    advise: Advise | None = None


class JobSync:
    """One round on one job."""

    def __init__(
        self,
        server: Server,
        number: int,
        jobs: JobStore,
        sessions: SessionFactory,
        options: SyncOptions,
        carried: Carried | None = None,
    ) -> None:
        self._server = server
        self._jobs = jobs
        self._sessions = sessions
        self._options = options
        self._carried = carried
        self._started = time.monotonic()
        self._requests = server.requests
        self._received = server.received
        self._clip = open_job(server, number)
        self._book = LabelBook(server.labels(job_id=number))
        self._book.check_names()
        self._report = SyncReport(job=number, dry_run=options.dry_run)
        self._session: JobSession | None = None
        self._frames: JobFrames | None = None
        self._still_mine: Callable[[], None] = lambda: None
        self._looked = self._started
        self._limits_changed = False
        self._from_adopted = False

    def run(self) -> SyncReport:
        """The whole round. Raises InputError, Busy, ServerFault; after any of them the call may be repeated."""
        if self._options.dry_run:
            self._look(self._jobs.ledger())
            return self._finished()
        with self._jobs.locked(wait_s=self._options.wait_s) as self._still_mine:
            try:
                ledger = self._interact(self._look(self._jobs.ledger()))
                self._propagate(ledger)
                self._write(ledger)
                return self._finished(ledger)
            except SiafError:
                self._still_mine()  # what a sync that was overtaken stumbles over is nobody's fault
                raise
            finally:
                if self._frames is not None:
                    self._frames.close()

    # -- reading and interaction ----------------------------------------------------------------------------------

    def _look(self, ledger: Ledger) -> Intake:
        self._limit(ledger)
        check_advice(self._options.advise or ledger.advise, self._book)
        carried = None if self._carried is None else self._handed_over
        intake = look_at(self._server, self._clip, self._book, self._jobs, ledger, carried)
        ledger, planned = intake.ledger, intake.planned
        self._report.notes += intake.notes
        if planned.empty and ledger.state is None and carried is None and not intake.held:
            raise NothingDrawn(self._clip.id, self._book, intake.ignored)
        if planned.questions and not (self._options.yes or self._options.dry_run):
            raise Unanswered(self._clip.id, planned.questions)
        self._describe(intake)
        for known in planned.objects.values():
            self._book.check_writable(known.label, self._write_as(ledger))
        return intake

    def _handed_over(self, ledger: Ledger) -> Mapping[int, IndexMask]:
        assert self._carried is not None
        return self._carried(self._clip, ledger, lambda: self._open(ledger))

    def _limit(self, ledger: Ledger) -> None:
        """Where this round goes. What was filled in part, or across a barrier, is not finished any more."""
        within, barriers = [], ledger.barriers
        if self._options.frames is not None:
            first, last = self._options.frames
            if not self._clip.start <= first <= last <= self._clip.stop:
                shown = f"the job has {self._clip.start} to {self._clip.stop}"
                raise InputError(f"{first}-{last} is no range of its frames: {shown}", field="frames")
            within = [self._clip.to_clip(first), self._clip.to_clip(last) + 1]
        if self._options.barriers is not None:
            wrong = [f for f in self._options.barriers if not self._clip.start < f <= self._clip.stop]
            if wrong:
                shown = f"{self._clip.start + 1} to {self._clip.stop}"
                raise InputError(f"{wrong[0]} is not one of the job's later frames, {shown}", field="barriers")
            barriers = sorted({self._clip.to_clip(frame) for frame in self._options.barriers})
        self._limits_changed = (within, barriers) != (ledger.within, ledger.barriers)
        ledger.propagated = ledger.propagated and not (self._limits_changed and ledger.state is not None)
        ledger.within, ledger.barriers = within, barriers

    def _interact(self, intake: Intake) -> Ledger:
        ledger = intake.ledger
        ledger.write_as = self._write_as(ledger)
        ledger.overlap = self._options.overlap or ledger.overlap
        if intake.planned.empty and not (self._session is not None and ledger.state is None):
            return ledger
        self._server.check_may_write(self._clip.id)  # now, not after minutes of propagation
        self._jobs.keep_before(ledger.round + 1)
        session = self._open(ledger)
        take_in(session, intake)
        self._jobs.save(ledger, session.state())
        return ledger

    def _open(self, ledger: Ledger) -> JobSession:
        if self._session is None:
            if self._frames is None:
                self._frames = JobFrames(self._server, self._clip)
            self._from_adopted = ledger.state is not None and not ledger.round
            self._session = self._sessions(self._frames, self._jobs.state(ledger), ledger.remote, ledger.digests)
            ledger.propagated = ledger.propagated and not self._session.restarted
            if self._limits_changed or ledger.within or ledger.barriers:
                self._session.limit(range(*ledger.within) if ledger.within else None, ledger.barriers)
        return self._session

    # -- propagation ----------------------------------------------------------------------------------------------

    def _propagate(self, ledger: Ledger) -> None:
        if ledger.propagated:
            return
        session = self._open(ledger)
        before = self._jobs.state(ledger)
        adapt = self._options.adapt
        if adapt is None and ledger.carried:
            adapt = False  # masks of another job are references here, and nobody may have seen them
        try:
            session.propagate(self._progress, adapt)
        except BaseException:  # also when somebody stops it: what is done is kept
            with suppress(SiafError):
                self._jobs.save(ledger, session.state())
            raise
        ledger.propagated = True
        ledger.suggest = session.suggest()
        state = session.state()
        self._jobs.save(ledger, state)
        adapted = read_summary(state).adapted
        if adapt or (adapt is None and adapted is not None):
            self._report.notes.append(_adaptation_note(adapted))
        if before is not None:
            lost = read_masks(state).lost_since(read_masks(before), ledger.objects)
            by_task = {self._clip.to_task(frame): tags for frame, tags in lost.items()}
            self._report.shrunk = [str(one) for one in summarise(by_task)]

    def _progress(self, done: int, total: int) -> None:
        if time.monotonic() - self._looked > _LOOK_S:
            self._still_mine()
            self._looked = time.monotonic()
        self._report.frames = total
        self._options.progress(done, total)

    # -- writing --------------------------------------------------------------------------------------------------

    def _write(self, ledger: Ledger) -> None:
        state = self._jobs.state(ledger)
        masks = None if state is None else read_masks(state)
        writer = JobWriter(self._server, self._clip, self._book, self._jobs, self._report, lambda: self._still_mine())
        writer.write(ledger, masks, self._write_as(ledger), self._options.scribbles)
        advisor = Advisor(self._server, self._clip, self._book, lambda: self._jobs.save(ledger))
        self._report.notes += advisor.update(ledger, self._options.advise or ledger.advise, masks)

    # -- the report -----------------------------------------------------------------------------------------------

    def _write_as(self, ledger: Ledger) -> WriteAs:
        return self._options.write_as or ledger.write_as  # type: ignore[return-value]

    def _describe(self, intake: Intake) -> None:
        ledger, planned, to_task = intake.ledger, intake.planned, self._clip.to_task
        self._report.ignored = intake.ignored
        given = sorted(planned.prompts.items())
        self._report.scribbles = {to_task(f): len(here.strokes) for f, here in given if here.strokes}
        self._report.boxes = {to_task(f): len(here.boxes) for f, here in given if here.boxes}
        self._report.references = [to_task(f) for f, here in given if here.mask is not None]
        self._report.removed = sorted(planned.removed)
        self._report.relabelled = planned.relabelled
        self._report.round = ledger.round if planned.empty else ledger.round + 1
        stopped = planned.empty and ledger.state is not None and not ledger.propagated
        self._report.resumed = stopped and not self._limits_changed
        self._report.objects = {tag: known.label for tag, known in sorted(planned.objects.items())}
        self._report.notes += planned.questions
        imported = imported_frames(intake.reading, ledger, self._clip)
        if imported:
            self._report.notes.append(
                f"masks on {imported} of {len(self._clip)} frames are human work for siaf, which changes none of them; "
                "if you imported them from siaf's annotations.xml, use either that or siaf cvat import-state, not both"
            )

    def _finished(self, ledger: Ledger | None = None) -> SyncReport:
        if self._session is not None and self._session.restarted:
            self._report.notes.append(_STARTED_ADOPTED if self._from_adopted else _STARTED_AGAIN)
        if ledger is not None:
            shown = [self._clip.to_task(frame) for frame in ledger.suggest]
            self._report.suggest = [frame for frame in shown if self._clip.shows(frame)]
            self._report.round = ledger.round
        self._report.seconds = round(time.monotonic() - self._started, 2)
        self._report.requests = self._server.requests - self._requests
        self._report.received = self._server.received - self._received
        self._report.calls = getattr(self._session, "calls", 0)
        self._report.uploaded = getattr(self._session, "uploaded", 0)
        self._report.uploaded_frames = getattr(self._session, "uploaded_frames", 0)
        return self._report


def _adaptation_note(adapted: bool | None) -> str:
    """What a round that was to adapt the network came to."""
    if adapted is None:
        return "not adapted: a mask that somebody has drawn, corrected or accepted is needed"
    if not adapted:
        return "not adapted: a mask that was left out for a trial came out worse"
    return "adapted to the masks that people have drawn, corrected or accepted"
