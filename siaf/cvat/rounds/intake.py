"""What people put into a job since its last round: it is looked at, and a session takes it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from siaf.cvat.job.adopting import adopt_equal_masks
from siaf.cvat.job.clip import JobClip
from siaf.cvat.job.labels import LabelBook
from siaf.cvat.job.ledger import Ledger
from siaf.cvat.job.reading import Reading, read_job
from siaf.cvat.rounds.planning import RoundInput, plan_round
from siaf.cvat.rounds.session_calls import run_round
from siaf.cvat.rounds.undone import HELD, unseen
from siaf.cvat.server.connection import Server
from siaf.cvat.sessions.base import JobSession
from siaf.cvat.storage.store import JobStore
from siaf.errors import InputError
from siaf.masks import IndexMask
from siaf.session.snapshot import SessionMasks
from siaf.session.state_file import read_masks


@dataclass
class Intake:
    """A job against its ledger. `held`: the last round was taken back, and nothing was drawn since. `notes` are for a
    person.
    """

    ledger: Ledger
    reading: Reading
    planned: RoundInput
    held: bool = False
    notes: list[str] = field(default_factory=list)

    @property
    def ignored(self) -> dict[str, list[str]]:
        """What cannot be used, by reason."""
        return {**self.reading.ignored, **self.planned.ignored}


def look_at(
    server: Server,
    clip: JobClip,
    book: LabelBook,
    jobs: JobStore,
    ledger: Ledger,
    carried: Callable[[Ledger], Mapping[int, IndexMask]] | None = None,
) -> Intake:
    """What is in the job that no round took. The ledger learns of frames and labels that changed, and of writes that
    were not answered; where somebody emptied the job, another one is begun.

    `carried` gives references by the session's frame, from another job. Raises InputError naming what cannot be
    understood, ServerFault.
    """
    if ledger.data_version != clip.data_version:
        ledger.data_version, ledger.digests = clip.data_version, {}
    ledger.follow_labels(book.names)
    reading = read_job(server.annotations(clip.id), clip, book, ledger)
    if reading.lost:
        raise InputError(
            f"{len(reading.lost)} automatic masks with object numbers are not in this store: name the store they "
            "were written from with --store, import its state, or delete the masks",
            field=f"job {clip.id}",
        )
    notes = []
    if _was_emptied(reading, ledger):
        notes.append("all masks and used scribbles are gone, so the job starts again")
        ledger = Ledger(
            clip.id,
            undecided=ledger.undecided,
            data_version=ledger.data_version,
            digests=ledger.digests,
            labels=ledger.labels,
            within=ledger.within,
            barriers=ledger.barriers,
        )
    state = jobs.state(ledger) if reading.human.keys() - ledger.human.keys() else None
    adopted = adopt_equal_masks(reading, ledger, read_masks(state), clip) if state is not None else 0
    if adopted:
        notes.append(f"{adopted} masks equal the session's, so siaf treats them as its own from now on")
    given = {} if carried is None else dict(carried(ledger))
    if bool(ledger.undone) and carried is None and unseen(reading, ledger) == set(ledger.undone):
        planned = RoundInput(objects=dict(ledger.objects))
        return Intake(ledger, reading, planned, held=True, notes=[*notes, HELD])
    planned = plan_round(reading, clip, book, ledger, _current(clip, jobs, ledger), given)
    return Intake(ledger, reading, planned, notes=notes)


def take_in(session: JobSession, intake: Intake) -> None:
    """A session takes what is new, and the ledger knows it then; whoever calls saves both."""
    ledger, planned = intake.ledger, intake.planned
    for tag in planned.removed & set(session.tags()):
        session.remove_object(tag)
    if planned.draws:
        run_round(session, planned)
    ledger.round += 1
    ledger.undone = []
    ledger.propagated = ledger.propagated and not (planned.draws or ledger.state is None)
    ledger.objects, ledger.absent, ledger.human = planned.objects, planned.absent, planned.human
    ledger.right = planned.right
    ledger.strokes |= dict.fromkeys(planned.used, ledger.round)
    _forget_lost(ledger, intake.reading)


def _current(clip: JobClip, jobs: JobStore, ledger: Ledger) -> Callable[[int], IndexMask]:
    results: list[SessionMasks] = []

    def current(frame: int) -> IndexMask:
        state = jobs.state(ledger) if not results else None
        if state is not None:
            results.append(read_masks(state))
        if results:
            return results[0].mask(frame)
        return np.zeros((clip.height, clip.width), np.uint8)

    return current


def _was_emptied(reading: Reading, ledger: Ledger) -> bool:
    """Somebody deleted everything that siaf knew of: its masks, the human ones and the scribbles."""
    used = any(stroke.used(ledger.strokes) for stroke in reading.strokes)
    used = used or any(rectangle.mark in ledger.strokes for rectangle in reading.rectangles)
    return bool(reading.gone) and not (used or reading.own or reading.tracks or reading.human)


def _forget_lost(ledger: Ledger, reading: Reading) -> None:
    """What a human deleted or changed is not siaf's any more."""
    ledger.shapes = {number: own for number, own in ledger.shapes.items() if number in reading.own | reading.hidden}
    ledger.tracks = {number: own for number, own in ledger.tracks.items() if number in reading.tracks}
