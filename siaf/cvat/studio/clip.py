"""A CVAT job as the studio opens it: read as a sync reads it, kept where a sync keeps it, written as a sync writes."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from hashlib import blake2b
from http import HTTPStatus

import numpy as np

from siaf.cvat.job.clip import open_job
from siaf.cvat.job.frames import JobFrames
from siaf.cvat.job.labels import LabelBook
from siaf.cvat.job.ledger import Ledger
from siaf.cvat.job.reading import HumanMask, Reading, read_job
from siaf.cvat.job.strokes import shape_name
from siaf.cvat.rounds.advice import Advisor
from siaf.cvat.rounds.control_report import ControlReport
from siaf.cvat.rounds.intake import Intake, look_at, take_in
from siaf.cvat.rounds.questions import Unanswered
from siaf.cvat.rounds.report import ignored_lines
from siaf.cvat.rounds.undone import unseen
from siaf.cvat.rounds.writer import JobWriter
from siaf.cvat.server.connection import Refusal, Server
from siaf.cvat.sessions.local import LocalSession
from siaf.cvat.storage.store import JobStore
from siaf.cvat.studio.following import Following
from siaf.cvat.writing.used_scribbles import plan_return
from siaf.engines.base import Engine
from siaf.errors import Busy, Conflict, InputError
from siaf.session.session import Session
from siaf.session.state_file import dump_session, read_masks
from siaf.studio.clip import Clip, JobInfo, Label

_WAIT_S = 2.0
"""How long a save waits for another sync on the job; what could not be saved is tried again later."""


class StudioJob(Clip):
    """A job. Its session and its ledger are those of `siaf cvat sync`: both may take turns, rounds of one are the
    other's. The lease is held while something is read or written, not while the studio is open.

    Raises InputError saying why the job cannot be opened, ServerFault.
    """

    frames: JobFrames

    def __init__(self, server: Server, number: int, jobs: JobStore) -> None:
        self._server, self._jobs = server, jobs
        self._clip = open_job(server, number, to_write=False)
        self._book = LabelBook(server.labels(job_id=number))
        self._book.check_names()
        self._refused = self._why_not_to_write()
        self._written_at: str | None = None
        self._stored = b""
        self._following: Following | None = None
        self._notes: list[str] = []
        self.frames = JobFrames(server, self._clip)
        self.name = f"job-{number}"
        self.key = blake2b(f"{server.url}|{number}".encode(), digest_size=12).hexdigest()
        self.place = jobs.place
        self.labels = [Label(label.name, label.color) for label in self._book.objects]

    @property
    def notes(self) -> Sequence[str]:
        """Why nothing can be written, what of the job is not used, and how CVAT counts its frames."""
        lines = [f"Read only: {self._refused}. What you draw here is not kept."] if self._refused else []
        if self._clip.start:
            lines.append(f"Frame 0 here is frame {self._clip.start} in CVAT.")
        if self._clip.deleted:
            shown = ", ".join(str(self._clip.to_clip(frame)) for frame in sorted(self._clip.deleted)[:12])
            lines.append(f"Deleted in CVAT, so nothing is written there: frames {shown}.")
        return [*lines, *self._notes]

    @property
    def job(self) -> JobInfo:
        """The job as the page shows it."""
        number, task = self._clip.id, self._clip.task_id
        url = f"{self._server.url}/tasks/{task}/jobs/{number}"
        return JobInfo(number, task, self._server.url, url, self._refused is not None, self._written_at)

    def kept_frames(self, tags: Collection[int]) -> Collection[int]:
        """Frames with masks of people in CVAT, which stay these objects'."""
        human = self._following.ledger.human.values() if self._following is not None else ()
        return {self._clip.to_clip(mask.frame) for mask in human if mask.tag in tags}

    def load(self, model: Engine) -> Session:
        """The job's session, with what people drew in CVAT since the last round as one round more."""
        with nullcontext() if self._refused else self._jobs.locked(wait_s=_WAIT_S):
            ledger = self._jobs.ledger()
            self._stored = ledger.dump()
            intake = look_at(self._server, self._clip, self._book, self._jobs, ledger)
            if intake.planned.questions:
                raise Unanswered(self._clip.id, intake.planned.questions)
            ledger = intake.ledger
            local = LocalSession(model, self.frames, self._jobs.state(ledger), ledger.digests)
            ledger.propagated = ledger.propagated and not local.restarted
            if ledger.within or ledger.barriers:
                local.limit(range(*ledger.within) if ledger.within else None, ledger.barriers)
            if not intake.planned.empty:
                self._take(local, intake)
            self._notes = [*intake.notes, *ignored_lines(intake.ignored)]
            if local.restarted:
                self._notes.append(
                    "The session was made with another model: it begins again from its annotated frames."
                )
        session = local.session
        for tag in session.objects.tags:
            if tag in ledger.objects:
                session.objects[tag].label = ledger.objects[tag].label
        self._following = Following(ledger, session, self._clip, self._book, self._jobs, self._read)
        return session

    def save(self, session: Session) -> None:
        """Into the store, with the ledger. Raises InputError where nothing may be written, Busy while a sync runs, and
        Conflict if one changed the session since.
        """
        self._check_may_write()
        report = ControlReport(self._clip.id, "write")
        with self._changing() as (following, still_mine):
            self._keep(following, session, self._writer(report, still_mine))

    def write(self, session: Session) -> list[str]:
        """As a sync writes: only siaf's own masks change. Also raises InputError if masks are not finished, or an
        object has no label.
        """
        self._check_may_write()
        if session.pending:
            raise InputError(f"{session.pending} frames wait for the propagation: propagate first", field="round")
        report = ControlReport(self._clip.id, "write")
        with self._changing() as (following, still_mine):
            writer = self._writer(report, still_mine)
            self._keep(following, session, writer)
            ledger = following.ledger
            unlabelled = following.unlabelled(session)
            if unlabelled:
                raise InputError(f"object {unlabelled[0]} has no label: choose one", field="objects")
            for known in ledger.objects.values():
                self._book.check_writable(known.label, ledger.write_as)  # type: ignore[arg-type]
            state = self._jobs.state(ledger)
            masks = None if state is None else read_masks(state)
            if ledger.undone:
                annotations = self._server.annotations(self._clip.id)
                reading = read_job(annotations, self._clip, self._book, ledger)
                writer.update(plan_return(reading.strokes, ledger.strokes, self._book), annotations)
            writer.write(ledger, masks, ledger.write_as)  # type: ignore[arg-type]
            advisor = Advisor(self._server, self._clip, self._book, lambda: self._jobs.save(ledger))
            report.notes += advisor.update(ledger, ledger.advise, masks)
            self._tell(report, ledger, session)
            if following.returned:
                report.notes.append(f"{following.returned} used scribbles are back in the job")
                following.returned = 0
        self._written_at = datetime.now(UTC).isoformat(timespec="seconds")
        return report.lines()

    def close(self) -> None:
        """Delete the frames that were fetched."""
        self.frames.close()

    # -- inside ---------------------------------------------------------------------------------------------------

    def _why_not_to_write(self) -> str | None:
        """Why nothing may be written to the job, None if it may."""
        if self._clip.state == "completed":
            return 'the job is completed; set its state to "in progress" to continue'
        try:
            self._server.check_may_write(self._clip.id)
        except Refusal as refusal:
            if refusal.status != HTTPStatus.FORBIDDEN:
                raise
            return refusal.message
        return None

    def _check_may_write(self) -> None:
        if self._refused is not None:
            raise InputError(self._refused, field=f"job {self._clip.id}")

    def _take(self, local: LocalSession, intake: Intake) -> None:
        if self._refused is not None:
            take_in(local, intake)
            return
        self._jobs.keep_before(intake.ledger.round + 1)
        take_in(local, intake)
        self._jobs.save(intake.ledger, local.state())
        self._stored = intake.ledger.dump()

    @contextmanager
    def _changing(self) -> Iterator[tuple[Following, Callable[[], None]]]:
        """The ledger, while nobody else changes it. What fails leaves it as the store has it."""
        following = self._following
        assert following is not None, "load comes first"
        with self._jobs.locked(wait_s=_WAIT_S) as still_mine:
            if self._jobs.ledger().dump() != self._stored:
                raise Conflict(
                    f"somebody else ran a round on job {self._clip.id} since it was opened here, and nothing of that "
                    "is overwritten: download this session to keep it, then open the job again"
                )
            try:
                yield following, still_mine
            except Busy:
                following.ledger = Ledger.parse(self._stored, self.place)
                raise
            except BaseException:
                following.ledger = self._jobs.ledger()
                raise
            finally:
                self._stored = following.ledger.dump()

    def _writer(self, report: ControlReport, still_mine: Callable[[], None]) -> JobWriter:
        return JobWriter(self._server, self._clip, self._book, self._jobs, report, still_mine)

    def _keep(self, following: Following, session: Session, writer: JobWriter) -> None:
        following.follow(session, writer.create)
        self._jobs.save(following.ledger, dump_session(session))
        following.saved(session)

    def _read(self, ledger: Ledger) -> Reading:
        return read_job(self._server.annotations(self._clip.id), self._clip, self._book, ledger)

    def _tell(self, report: ControlReport, ledger: Ledger, session: Session) -> None:
        """What is in the job now, and what of it is not the studio's."""
        reading = self._read(ledger)
        report.round = ledger.round
        report.objects = {tag: known.label for tag, known in sorted(ledger.objects.items())}
        new = unseen(reading, ledger) - set(ledger.undone)
        if new:
            report.notes.append(f"{len(new)} scribbles and masks by people are new: open the job again to take them")
        for mask in reading.human.values():
            known = ledger.human.get(mask.key)
            if known is None or known.mark != mask.mark:
                continue
            shown = session.mask(self._clip.to_clip(mask.frame)) == known.tag
            if not np.array_equal(shown, mask.bitmap(self._clip)):
                report.kept.append(f"{_name(mask)} (object {known.tag})")


def _name(mask: HumanMask) -> str:
    return f"track on frame {mask.frame}" if mask.figure is None else shape_name(mask.figure)
