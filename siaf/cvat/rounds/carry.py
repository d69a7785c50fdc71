"""From job to job: objects with their tags, across-round memory, and what neighbouring jobs share."""

import hashlib
from collections.abc import Callable, Mapping

from siaf.cvat.job.clip import JobClip, jobs_of_task, open_job
from siaf.cvat.job.labels import LabelBook
from siaf.cvat.job.ledger import LabeledObject, Ledger
from siaf.cvat.rounds.report import SyncReport
from siaf.cvat.rounds.sync import JobSync, SyncOptions
from siaf.cvat.server.connection import Json, Server
from siaf.cvat.sessions.base import JobSession, SessionFactory
from siaf.cvat.storage.store import JobStore, StateStore
from siaf.errors import InputError
from siaf.masks import IndexMask
from siaf.session.state_file import read_masks


class Inheritance:
    """What a finished job gives to another one. Raises InputError if it has no finished session in the store."""

    def __init__(self, server: Server, jobs: JobStore, number: int) -> None:
        self._clip = open_job(server, number, to_write=False)
        self._ledger = jobs.ledger()
        self._ledger.follow_labels(LabelBook(server.labels(job_id=number)).names)
        state = jobs.state(self._ledger)
        if state is None or not self._ledger.propagated:
            why = "has no session in this store" if state is None else "is not finished"
            raise InputError(f"{why}; sync it first", field=f"job {number}")
        self._state = state
        self._results = read_masks(state)

    def __call__(self, clip: JobClip, ledger: Ledger, session: Callable[[], JobSession]) -> Mapping[int, IndexMask]:
        """As `siaf.cvat.rounds.sync.Carried`: a job without a session inherits; frames of both jobs
        become references.
        """
        self._hand_over_objects(clip, ledger)
        if ledger.state is None:
            session().inherit(self._state)
        if clip.task_id == self._clip.task_id and clip.frames == self._clip.frames:
            return {}  # a replica: the session itself goes on
        references = {}
        for frame in self._shared(clip):
            mask = self._results.mask(self._clip.to_clip(frame))
            mark = hashlib.blake2b(mask.tobytes(), digest_size=12).hexdigest()
            if ledger.carried.get(frame) != mark:
                references[clip.to_clip(frame)] = mask
                ledger.carried[frame] = mark
        return references

    def _shared(self, clip: JobClip) -> list[int]:
        """Frames that both jobs show; only jobs of one task share any."""
        if clip.task_id != self._clip.task_id:
            return []
        if (clip.width, clip.height) != (self._clip.width, self._clip.height):
            return []
        return [frame for frame in clip.frames if clip.shows(frame) and self._clip.shows(frame)]

    def _hand_over_objects(self, clip: JobClip, ledger: Ledger) -> None:
        for tag, known in self._ledger.objects.items():
            other = ledger.objects.get(tag)
            if other is None or other.origin == self._clip.id:
                ledger.objects[tag] = LabeledObject(known.label, known.by_label, self._clip.id)
            elif other.label != known.label:
                raise InputError(
                    f"object {tag} is a {known.label!r} in job {self._clip.id}, but a {other.label!r} here: "
                    "change the label of one of its masks and sync, or use another number",
                    field=f"job {clip.id}",
                )


def carry(
    server: Server,
    from_job: int,
    to_job: int,
    store: StateStore,
    sessions: SessionFactory,
    options: SyncOptions,
) -> SyncReport:
    """Pre-annotate a job from another one's session. Scribbles that the job has already are taken in the same round."""
    if from_job == to_job:
        raise InputError("a job cannot be carried to itself", field="to_job")
    inheritance = Inheritance(server, store.job(server.url, from_job), from_job)
    return JobSync(server, to_job, store.job(server.url, to_job), sessions, options, inheritance).run()


def carry_task(
    server: Server,
    task: int,
    store: StateStore,
    sessions: SessionFactory,
    options: SyncOptions,
    left_out: list[str] | None = None,
) -> list[SyncReport]:
    """Carry through all jobs of a task: from the first one that was synced forward to the end, then back to the start.

    Completed jobs are left as they are; they hand on what they have, if anything. `left_out` gets their names, and
    those of jobs that are no part of the walk.
    """
    left_out = [] if left_out is None else left_out
    jobs = jobs_of_task(server, task, left_out)
    left_out += [f"job {job['id']} (completed)" for job in jobs if job["state"] == "completed"]
    begun = [i for i, job in enumerate(jobs) if _has_session(job, store, server)]
    if not begun:
        raise InputError("none of its jobs has a session in this store; sync one first", field=f"task {task}")
    reports = []
    for walk in (jobs[begun[0] :], jobs[begun[0] :: -1]):
        source = walk[0]
        for target in walk[1:]:
            if target["state"] != "completed":
                reports.append(carry(server, source["id"], target["id"], store, sessions, options))
            elif not _has_session(target, store, server):
                continue
            source = target
    if options.overlap == "once":  # those on the way back were written after the jobs that share frames with them
        for job in jobs[1 : begun[0] + 1]:
            if job["state"] != "completed" and _has_session(job, store, server):
                JobSync(server, job["id"], store.job(server.url, job["id"]), sessions, options).run()
    return reports


def _has_session(job: Json, store: StateStore, server: Server) -> bool:
    return store.job(server.url, job["id"]).ledger().state is not None
