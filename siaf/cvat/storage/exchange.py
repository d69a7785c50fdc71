"""A job's session as one file: out of a store, into another one."""

import io
import zipfile
from pathlib import Path

from siaf.cvat.job.clip import JobClip, open_job
from siaf.cvat.job.frames import JobFrames
from siaf.cvat.job.labels import LabelBook
from siaf.cvat.job.ledger import LabeledObject, Ledger
from siaf.cvat.server.connection import Server
from siaf.cvat.storage.store import StateStore
from siaf.errors import InputError, StateError
from siaf.files import atomic_write

_STATE, _LEDGER = "session.siaf", "ledger.json"


def export_state(server: Server, number: int, store: StateStore, path: Path) -> None:
    """Write a job's session and ledger to `path`, a zip archive. Raises InputError if the store has none."""
    jobs = store.job(server.url, number)
    ledger = jobs.ledger()
    state = jobs.state(ledger)
    if state is None:
        raise InputError("has no session in this store; sync it first, or name its --store", field=f"job {number}")
    with atomic_write(path) as file, zipfile.ZipFile(file, "w") as archive:
        archive.writestr(_STATE, state)
        archive.writestr(_LEDGER, ledger.dump())


def import_state(server: Server, number: int, store: StateStore, path: Path) -> Ledger:
    """Read what `export_state` wrote, or a plain `.siaf` file of the same frames, for a job that has no session yet.

    With the ledger siaf knows its own shapes in the job again; with a plain session the next sync writes its masks.
    Raises InputError if the job has a session, StateError if the file is damaged or of other frames.
    """
    clip = open_job(server, number)
    jobs = store.job(server.url, number)
    with jobs.locked():
        if not jobs.ledger().empty:
            raise InputError("already has a session in this store", field=f"job {number}")
        state, ledger = _read(path, number)
        _check_frames(server, clip, state, str(path))
        if ledger is None:
            ledger = _ledger_of(number, state, LabelBook(server.labels(job_id=number)))
        jobs.save(ledger, state)
    return ledger


def _read(path: Path, number: int) -> tuple[bytes, Ledger | None]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", field=str(path)) from None
    if not zipfile.is_zipfile(io.BytesIO(data)):
        return data, None
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            state, ledger = archive.read(_STATE), Ledger.parse(archive.read(_LEDGER), str(path))
    except (KeyError, zipfile.BadZipFile) as error:
        raise StateError(f"not an exported session ({error})", field=str(path)) from None
    if ledger.job != number:
        raise InputError(
            f"was exported from job {ledger.job}; to take objects to another job, use carry", field=str(path)
        )
    ledger.remote.clear()
    return state, ledger


def _check_frames(server: Server, clip: JobClip, state: bytes, name: str) -> None:
    from siaf.session.state_file import read_masks, read_summary  # loads torch, which an export needs not

    summary = read_summary(state, name)
    read_masks(state, name)  # says if it is damaged
    for key, here in (("frames", len(clip)), ("height", clip.height), ("width", clip.width)):
        if getattr(summary, key) != here:
            raise StateError(f"{key}: the session has {getattr(summary, key)}, the job {here}", field=name)
    frames = JobFrames(server, clip)
    try:
        for frame, digest in summary.digests.items():
            if not frames.shows(frame, digest):
                raise StateError(f"frame {frame} is not the job's", field=name)
    finally:
        frames.close()


def _ledger_of(number: int, state: bytes, book: LabelBook) -> Ledger:
    from siaf.session.state_file import read_summary

    summary = read_summary(state)
    if summary.weights is None:
        raise StateError("holds masks alone, no session: export the job with its ledger", field="state")
    objects = {}
    for known in summary.objects:
        label = known.label or (book.objects[0].name if len(book.objects) == 1 else None)
        if label is None:
            raise InputError(f"object {known.tag} of the session has no label", field=f"job {number}")
        objects[known.tag] = LabeledObject(book.named(label).name)
    return Ledger(number, round=summary.rounds, objects=objects, propagated=False)
