"""Masks into a job: what differs is written in batches, the ledger saved before and after each."""

from collections.abc import Callable, Sequence

from siaf.cvat.job.clip import JobClip
from siaf.cvat.job.labels import USED, LabelBook, WriteAs
from siaf.cvat.job.ledger import Ledger, Pending
from siaf.cvat.job.reading import Reading, marks_of, read_job
from siaf.cvat.rounds.shared_frames import shown_before
from siaf.cvat.rounds.write_counts import WriteCounts
from siaf.cvat.server.connection import Json, Server
from siaf.cvat.storage.store import JobStore
from siaf.cvat.writing.changes import Change, Wanted, as_sent, batches, plan_changes
from siaf.cvat.writing.checks import check_change
from siaf.cvat.writing.used_scribbles import Scribbles, plan_tidying
from siaf.session.snapshot import SessionMasks


class JobWriter:
    """Writes to one job. `still_mine` raises Busy if somebody else has taken the job over."""

    def __init__(
        self,
        server: Server,
        clip: JobClip,
        book: LabelBook,
        jobs: JobStore,
        report: WriteCounts,
        still_mine: Callable[[], None],
    ) -> None:
        self._server, self._clip, self._book, self._jobs = server, clip, book, jobs
        self._report, self._still_mine = report, still_mine

    def write(
        self, ledger: Ledger, masks: SessionMasks | None, write_as: WriteAs, scribbles: Scribbles = "keep"
    ) -> None:
        """Make the job hold these masks where people made none; nothing is done for None. Then tidy up scribbles."""
        annotations = self._server.annotations(self._clip.id)  # read again: people work while siaf propagates
        reading = read_job(annotations, self._clip, self._book, ledger)
        _forget_replaced(ledger, annotations, reading)
        if masks is None:
            return
        elsewhere = set()
        if ledger.overlap == "once":
            elsewhere = shown_before(self._server, self._clip, self._book, self._report.notes)
            twice = len(elsewhere & reading.human_at())
            if twice:
                self._report.notes.append(f"{twice} masks by people on shared frames are in an earlier job, too")
        wanted = Wanted(
            masks,
            {tag: known for tag, known in ledger.objects.items() if tag not in reading.gone},
            ledger.absent | reading.missing,
            reading.human_at() | elsewhere,
        )
        changes = plan_changes(wanted, annotations, reading, self._clip, self._book, ledger, write_as)
        for change in changes:
            check_change(change, self._clip, self._book)
        for change in changes:
            for batch in batches(change):
                self._send(batch, annotations, ledger)
        self._report.human = sum(key.startswith("s") for key in reading.human)
        self._report.human_keyframes = len(reading.human) - self._report.human
        self._put_scribbles_away(reading, annotations, ledger, scribbles)
        self._jobs.save(ledger)

    def update(self, change: Change, planned_on: Json) -> int:
        """Change or delete shapes of people that nobody worked on since `planned_on` was read; how many there were."""
        change = self._untouched(change, planned_on)
        if len(change):
            self._patch(change)
        return len(change)

    def create(self, shapes: Sequence[Json], tracks: Sequence[Json]) -> None:
        """Bring back shapes and tracks of people."""
        self._patch(Change("create", [_new(shape) for shape in shapes], [_new(track) for track in tracks]))

    # -- inside ---------------------------------------------------------------------------------------------------

    def _patch(self, change: Change) -> Json:
        return self._server.patch_annotations(
            self._clip.id, change.action, shapes=change.shapes, tracks=change.tracks, before=self._still_mine
        )

    def _send(self, batch: Change, planned_on: Json, ledger: Ledger) -> None:
        batch = self._untouched(batch, planned_on)
        if not len(batch):
            return
        ledger.pending = Pending(batch.action, batch.ids, batch.own_shapes, batch.own_tracks)
        self._jobs.save(ledger)
        answer = self._patch(batch)
        ledger.done([entry["id"] for entry in (*answer["shapes"], *answer["tracks"])])
        self._jobs.save(ledger)
        self._report.count(batch)

    def _untouched(self, batch: Change, planned_on: Json) -> Change:
        """The part of an update or deletion that no human worked on since the job was read.

        CVAT has no locks, and an update of a shape that is gone makes it anew. What is left out here is a correction
        that the next round takes.
        """
        if batch.action == "create":
            return batch
        before = marks_of(planned_on, self._book)
        now = marks_of(self._server.annotations(self._clip.id), self._book)
        left = batch.only({key for key, mark in now.items() if before.get(key) == mark})
        if len(left) < len(batch):
            self._report.notes.append(
                f"{len(batch) - len(left)} shapes were left alone, because people changed them in the meantime"
            )
        return left

    def _put_scribbles_away(self, reading: Reading, planned_on: Json, ledger: Ledger, scribbles: Scribbles) -> None:
        change, unmarkable = plan_tidying(reading.strokes, ledger.strokes, scribbles, self._book)
        if unmarkable:
            self._report.notes.append(f"{unmarkable} used scribbles cannot be marked: their label has no {USED!r}")
        if change is None or not len(change):
            return
        if change.action == "delete":
            self._jobs.keep_scribbles(ledger.round, change.shapes, change.tracks)
        count = self.update(change, planned_on)
        if count:
            done = "removed" if change.action == "delete" else "marked"
            self._report.notes.append(f"{count} used scribbles {done}")


def _new(entry: Json) -> Json:
    """A shape or track as read, without ids."""
    sent = {key: value for key, value in as_sent(entry).items() if key != "id"}
    return {**sent, "shapes": [_new(keyframe) for keyframe in sent["shapes"]]} if "shapes" in sent else sent


def _forget_replaced(ledger: Ledger, annotations: Json, reading: Reading) -> None:
    """A shape that is gone though nobody deleted its mask: another one of siaf's is in its place."""
    here = {shape["id"] for shape in annotations["shapes"]}
    for number, own in list(ledger.shapes.items()):
        if number not in here and (own.frame, own.tag) not in reading.missing and own.tag not in reading.gone:
            del ledger.shapes[number]
