"""What people do about rounds of a job besides drawing: take the last one back; swap, merge and split objects.

None of it needs a model: a session's file and the ledger change, and the job's automatic masks with them. Shapes of
people stay.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Literal, get_args

from siaf.cvat.job.clip import open_job
from siaf.cvat.job.frames import JobFrames
from siaf.cvat.job.labels import LabelBook
from siaf.cvat.job.ledger import LabeledObject, Ledger, OwnShape
from siaf.cvat.job.reading import Reading, Spot, read_job
from siaf.cvat.job.strokes import shape_name
from siaf.cvat.rounds.advice import Advisor
from siaf.cvat.rounds.control_report import ControlReport
from siaf.cvat.rounds.returning import Returning
from siaf.cvat.rounds.undone import unseen
from siaf.cvat.rounds.writer import JobWriter
from siaf.cvat.server.connection import Server
from siaf.cvat.storage.store import KEPT_ROUNDS, JobStore
from siaf.cvat.writing.used_scribbles import plan_return
from siaf.errors import InputError
from siaf.masks import MAX_TAG
from siaf.session import editing
from siaf.session.mask_store import MaskStore
from siaf.session.snapshot import SessionMasks, SessionSnapshot
from siaf.session.state_file import edit_state, read_masks, read_summary
from siaf.session.state_writing import dump_masks

Action = Literal["undo", "swap", "merge", "split"]
_OBJECTS = {"undo": 0, "swap": 2, "merge": 2, "split": 1}
Look = Callable[[], None]


@dataclass(frozen=True)
class Control:
    """One of these actions; the last three name objects, and the task frame from which on they are others."""

    do: Action
    objects: tuple[int, ...] = ()
    from_frame: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.do, str) or self.do not in get_args(Action):
            raise InputError(f"is {self.do!r}, not one of {', '.join(get_args(Action))}", field="do")
        count = _OBJECTS[self.do]
        if len(self.objects) != count:
            raise InputError(f"{self.do} needs {count or 'no'} objects, not {len(self.objects)}", field="objects")
        for tag in self.objects:
            if isinstance(tag, bool) or not isinstance(tag, int) or not 1 <= tag <= MAX_TAG:
                raise InputError(f"an object's number is 1 to {MAX_TAG}, not {tag!r}", field="objects")
        frame = self.from_frame
        if (frame is None) != (self.do == "undo") or isinstance(frame, bool) or not isinstance(frame, int | None):
            needed = "has no use for a frame" if self.do == "undo" else "needs the number of a frame"
            raise InputError(f"{self.do} {needed}", field="from_frame")


class JobControl:
    """Takes one such action on one job."""

    def __init__(self, server: Server, number: int, jobs: JobStore, *, wait_s: float = 0.0) -> None:
        self._server, self._jobs, self._wait_s = server, jobs, wait_s
        self._clip = open_job(server, number)
        self._book = LabelBook(server.labels(job_id=number))
        self._book.check_names()
        self._still_mine: Look = lambda: None

    def run(self, control: Control) -> ControlReport:
        """The whole of it. Raises InputError naming what is in the way, Busy, ServerFault; the call may be repeated."""
        with self._jobs.locked(wait_s=self._wait_s) as self._still_mine:
            ledger = self._jobs.ledger()
            if ledger.data_version != self._clip.data_version:
                ledger.data_version, ledger.digests = self._clip.data_version, {}
            ledger.follow_labels(self._book.names)
            annotations = self._server.annotations(self._clip.id)
            reading = read_job(annotations, self._clip, self._book, ledger)
            self._server.check_may_write(self._clip.id)
            report = ControlReport(self._clip.id, control.do)
            if control.do == "undo":
                return self._undo(ledger, report)
            return self._edit(control, ledger, reading, report)

    # -- undo -----------------------------------------------------------------------------------------------------

    def _undo(self, now: Ledger, report: ControlReport) -> ControlReport:
        number = now.round
        field = f"job {self._clip.id}"
        if not number:
            raise InputError("there is no round to take back", field=field)
        ledger = self._jobs.before(number)
        if ledger is None:
            raise InputError(
                f"how it stood before round {number} is not in this store, which keeps the last {KEPT_ROUNDS} rounds",
                field=field,
            )
        take_over(ledger, now)
        masks = self._masks(ledger)
        annotations = self._server.annotations(self._clip.id)
        reading = read_job(annotations, self._clip, self._book, ledger)
        returning = Returning.of(self._jobs.scribbles(number), ledger, self._book)
        waiting = unseen(reading, ledger) | returning.marks
        ledger.undone = sorted(waiting)
        writer = self._writer(report)
        returning.bring(reading, writer.create)  # first, as this call may be stopped before the ledger is saved
        if len(returning):
            report.notes.append(f"{len(returning)} used scribbles are back in the job")
        self._jobs.save(ledger)  # from here on a sync goes on where this is stopped
        writer.update(plan_return(reading.strokes, ledger.strokes, self._book), annotations)
        writer.write(ledger, masks, ledger.write_as)  # type: ignore[arg-type]
        self._advise(ledger, masks, report)
        self._jobs.forget_before(number, ledger)
        if waiting:
            report.notes.append(
                f"{len(waiting)} scribbles and masks of people are as if no round had taken them: they count again "
                "once something is drawn, changed or deleted"
            )
        return self._told(report, ledger)

    def _masks(self, ledger: Ledger) -> SessionMasks:
        state = self._jobs.state(ledger)
        if state is not None:
            return read_masks(state)
        empty = MaskStore(self._clip.height, self._clip.width)
        return SessionMasks(masks=empty, interacted=[], confidence={}, frames=len(self._clip))

    # -- objects --------------------------------------------------------------------------------------------------

    def _edit(self, control: Control, ledger: Ledger, reading: Reading, report: ControlReport) -> ControlReport:
        field = f"job {self._clip.id}"
        state = self._jobs.state(ledger)
        if state is None:
            raise InputError("no round has been run on it yet", field=field)
        if not ledger.propagated:
            raise InputError("the last round was stopped before its end: sync first", field=field)
        frame = control.from_frame
        if frame is None or not self._clip.shows(frame):
            raise InputError(
                f"{frame} is not a frame of the job ({self._clip.start} to {self._clip.stop}, without deleted ones)",
                field="from_frame",
            )
        for tag in control.objects:
            if tag not in ledger.objects:
                there = ", ".join(map(str, sorted(ledger.objects))) or "none"
                raise InputError(f"there is no object {tag} in the job; there are: {there}", field="objects")
        edit = self._planned(control, ledger, reading, state)
        human = {spot for spot in reading.human_at() if spot[0] >= frame and spot[1] in edit.tags}
        report.kept = self._names(reading, human)
        keep = {self._clip.to_clip(kept) for kept, _ in human}
        try:
            if read_summary(state).weights is None:
                changed = dump_masks(editing.apply_to_masks(read_masks(state), edit, keep))
            else:
                changed = edit_state(state, lambda snapshot: self._apply(snapshot, edit, ledger, keep, report))
        except InputError as error:
            if error.field == "from_frame":  # in the session's count
                which = " and ".join(map(str, sorted(edit.renamed)))
                raise InputError(
                    f"there is no automatic mask of {which} from frame {frame} on", field="from_frame"
                ) from None
            raise
        self._jobs.keep_before(ledger.round + 1)
        masks = read_masks(changed)
        self._rename(ledger, edit, {kept for kept, _ in human}, masks)
        ledger.round += 1
        ledger.undone = []
        ledger.remote.clear()  # a function's session is the one before the change
        self._jobs.save(ledger, changed)
        self._writer(report).write(ledger, masks, ledger.write_as)  # type: ignore[arg-type]
        return self._told(report, ledger)

    def _planned(self, control: Control, ledger: Ledger, reading: Reading, state: bytes) -> editing.Edit:
        assert control.from_frame is not None
        start, tags = self._clip.to_clip(control.from_frame), control.objects
        if control.do == "swap":
            return editing.swap(tags[0], tags[1], start)
        if control.do == "merge":
            return editing.merge(tags[0], tags[1], start)
        taken = {*ledger.objects, *(known.tag for known in read_summary(state).objects)}
        taken |= {stroke.tag for stroke in reading.strokes} | {mask.tag for mask in reading.human.values()}
        taken |= {rectangle.tag for rectangle in reading.rectangles}
        return editing.split(tags[0], start, editing.free_tag(taken))

    def _apply(
        self,
        snapshot: SessionSnapshot,
        edit: editing.Edit,
        ledger: Ledger,
        keep: Collection[int],
        report: ControlReport,
    ) -> None:
        editing.apply(snapshot, edit, lambda frame: self._digest(frame, ledger), keep)
        if snapshot.propagation.carried:
            report.notes.append(
                "what was carried here from another job's frames still shows the objects by their former numbers"
            )

    def _digest(self, frame: int, ledger: Ledger) -> str:
        if frame not in ledger.digests:
            frames = JobFrames(self._server, self._clip)
            try:
                return frames.digest(frame)
            finally:
                frames.close()
        return ledger.digests[frame]

    def _rename(self, ledger: Ledger, edit: editing.Edit, keep: Collection[int], masks: SessionMasks) -> None:
        """The ledger after the change: its objects, where people deleted masks, and those deleted just now."""
        start = self._clip.to_task(edit.start)
        if edit.split_off is not None:
            whole = ledger.objects[edit.split_off]
            ledger.objects[edit.renamed[edit.split_off]] = LabeledObject(whole.label, origin=whole.origin)
        for tag in edit.vacated:
            if not any((masks.mask(shown) == tag).any() for shown in masks.masks):
                del ledger.objects[tag]

        def changes(frame: int) -> bool:
            return frame >= start and frame not in keep

        ledger.absent = {spot for spot in ledger.absent if not (changes(spot[0]) and spot[1] in edit.tags)} | {
            (frame, tag)
            for frame in {frame for frame, _ in ledger.absent if changes(frame)}
            for tag in edit.tags - edit.vacated
            if all((frame, before) in ledger.absent for before in _before(tag, edit))
        }
        for number, own in ledger.shapes.items():  # also those that somebody deleted: they are missing by the new name
            if changes(own.frame):
                ledger.shapes[number] = OwnShape(own.frame, edit.renamed.get(own.tag, own.tag), own.mark)

    def _names(self, reading: Reading, human: Collection[Spot]) -> list[str]:
        """What people made there, for them to find it."""
        named = {(mask.frame, mask.tag): mask for mask in reading.human.values()}
        lines = []
        for frame, tag in sorted(human):
            mask = named.get((frame, tag))
            what = (
                shape_name(mask.figure) if mask is not None and mask.figure is not None else f"track on frame {frame}"
            )
            lines.append(f"{what} (object {tag})")
        return lines

    # -- both -----------------------------------------------------------------------------------------------------

    def _writer(self, report: ControlReport) -> JobWriter:
        return JobWriter(self._server, self._clip, self._book, self._jobs, report, lambda: self._still_mine())

    def _advise(self, ledger: Ledger, masks: SessionMasks, report: ControlReport) -> None:
        advisor = Advisor(self._server, self._clip, self._book, lambda: self._jobs.save(ledger))
        report.notes += advisor.update(ledger, ledger.advise, masks)

    def _told(self, report: ControlReport, ledger: Ledger) -> ControlReport:
        report.round = ledger.round
        report.objects = {tag: known.label for tag, known in sorted(ledger.objects.items())}
        return report


def take_over(ledger: Ledger, now: Ledger) -> None:
    """A ledger of earlier learns what is in the job now: siaf's shapes, and what is known of its frames."""
    ledger.shapes, ledger.tracks = now.shapes, now.tracks
    ledger.pending, ledger.undecided = now.pending, now.undecided
    ledger.data_version, ledger.digests = now.data_version, now.digests
    ledger.write_as = now.write_as
    ledger.advise, ledger.advised = now.advise, now.advised
    ledger.remote = {}  # a function's session is the one that is taken back
    ledger.follow_labels(now.labels)


def _before(tag: int, edit: editing.Edit) -> set[int]:
    """The tags whose pixels have this one after a change."""
    sources = {old for old, new in edit.renamed.items() if new == tag}
    return sources if tag in edit.renamed else {*sources, tag} if edit.split_off is None else sources
