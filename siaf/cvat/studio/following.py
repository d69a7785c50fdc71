"""A job's ledger after what somebody did in the studio: rounds drawn and taken back, objects named and removed."""

from collections.abc import Callable

from siaf.cvat.job.clip import JobClip
from siaf.cvat.job.labels import LabelBook
from siaf.cvat.job.ledger import LabeledObject, Ledger
from siaf.cvat.job.reading import Reading
from siaf.cvat.rounds.control import take_over
from siaf.cvat.rounds.returning import Create, Returning
from siaf.cvat.rounds.undone import unseen
from siaf.cvat.server.connection import Json
from siaf.cvat.storage.store import JobStore
from siaf.session.session import Session
from siaf.session.state_file import read_summary


class Following:
    """A ledger that follows an open session. What both had when they were opened, or were last saved, is known.

    `read(ledger)` reads the job against a ledger. `returned`: how many scribbles came back into the job.
    """

    def __init__(
        self,
        ledger: Ledger,
        session: Session,
        clip: JobClip,
        book: LabelBook,
        jobs: JobStore,
        read: Callable[[Ledger], Reading],
    ) -> None:
        self.ledger = ledger
        self._clip, self._book, self._jobs, self._read = clip, book, jobs, read
        self._forget: int | None = None
        self.returned = self._returning = 0
        self.saved(session)

    def follow(self, session: Session, create: Create) -> None:
        """Bring the ledger up to the session, keep how the job stood before a new round, and forget one that was taken
        back; scribbles that were removed with it come back into the job. Whoever calls holds the job's lease, and
        saves both.

        Several rounds since the last time are one: nobody can take back half of them by the command.
        """
        same = 0
        for known, now in zip(self._rounds, session.rounds, strict=False):
            if known is not now:
                break
            same += 1
        self._forget, self._returning = None, 0
        if same < len(self._rounds):
            self._take_back(same, create)
        if same < len(session.rounds):
            if self._forget is not None:
                self._jobs.save(self.ledger)  # what is kept is what the store has
                self._jobs.forget_before(self._forget, self.ledger)
                self._forget = None
            self._jobs.keep_before(self.ledger.round + 1)
            self.ledger.round += 1
        self._describe(session)

    def unlabelled(self, session: Session) -> list[int]:
        """Objects that the job has no label for."""
        return [tag for tag in session.objects.tags if tag not in self.ledger.objects]

    def saved(self, session: Session) -> None:
        """The ledger and the session are in the store."""
        self._rounds, self._tags = list(session.rounds), set(session.objects.tags)
        self.returned, self._returning = self.returned + self._returning, 0
        if self._forget is not None:  # not before: a save that fails is tried again, from the ledger of before
            self._jobs.forget_before(self._forget, self.ledger)
            self._forget = None

    def _take_back(self, rounds: int, create: Create) -> None:
        """The session has only so many rounds left: the ledger is the one of then, if the store still has that.

        A round of the job may be several of the session; one of which a part is left stays.
        """
        known, ledger = len(self._rounds), self.ledger
        kept: dict[str, list[Json]] = {"shapes": [], "tracks": []}
        while known > rounds:
            before = self._jobs.before(ledger.round)
            if before is None:
                break
            state = self._jobs.state(before)
            had = 0 if state is None else read_summary(state).rounds
            if not rounds <= had < known:  # a part of a round, or a session that began again with another model
                break
            for kind, removed in self._jobs.scribbles(ledger.round).items():
                kept[kind] += removed
            take_over(before, ledger)
            self._forget, known, ledger = ledger.round, had, before
        if ledger is not self.ledger:
            reading, returning = self._read(ledger), Returning.of(kept, ledger, self._book)
            ledger.undone = sorted(unseen(reading, ledger) | returning.marks)
            returning.bring(reading, create)
            self._returning = len(returning)
            self.ledger = ledger

    def _describe(self, session: Session) -> None:
        ledger = self.ledger
        for tag in self._tags - set(session.objects.tags):
            ledger.objects.pop(tag, None)
        labels = [label.name for label in self._book.objects]
        for tag in session.objects.tags:
            label = session.objects[tag].label or (labels[0] if len(labels) == 1 else None)
            known = ledger.objects.get(tag)
            if label in labels and (known is None or known.label != label):
                ledger.objects[tag] = LabeledObject(label)
        drawn = set(session.interacted)  # a frame on which a person deleted an object shows it again if one drew it
        ledger.absent = {
            (frame, tag)
            for frame, tag in ledger.absent
            if (at := self._clip.to_clip(frame)) not in drawn or not (session.mask(at) == tag).any()
        }
        within = session.within
        ledger.within = [] if within is None else [within.start, within.stop]
        ledger.barriers = list(session.barriers)
        ledger.propagated = not session.pending
        if ledger.propagated:
            ledger.suggest = session.suggest()
            if session.rounds and within is None:  # all were looked at
                ledger.digests.update({frame: session.frame_digest(frame) for frame in range(len(session.frames))})
        ledger.remote.clear()  # a function's session is the one before this
