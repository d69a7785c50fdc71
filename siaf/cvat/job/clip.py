"""A CVAT job as a clip: which frames it has, how large they are, which of them are deleted."""

from collections import Counter
from dataclasses import dataclass

from siaf.cvat.server.connection import Json, Server
from siaf.errors import InputError


@dataclass(frozen=True)
class JobClip:
    """A job as a clip.

    Frame numbers are CVAT's: of the task, from 0, also for videos with a start frame and a step (contract §10).
    Siaf's sessions count from 0 within the job: `to_clip` and `to_task` translate. Deleted frames stay part of the
    clip, so that its numbering never changes, but nothing is read from them and nothing written to them; those of
    another size (`other_size`) are not looked at either.
    """

    id: int
    task_id: int
    project_id: int | None
    start: int
    stop: int
    width: int
    height: int
    deleted: frozenset[int]
    chunk_size: int
    is_video: bool
    data_version: str
    state: str
    kind: str
    parent_id: int | None
    other_size: frozenset[int] = frozenset()

    def __len__(self) -> int:
        return self.stop - self.start + 1

    @property
    def frames(self) -> range:
        """All task frames of the job, deleted ones too."""
        return range(self.start, self.stop + 1)

    def shows(self, frame: int) -> bool:
        """Whether annotations of this task frame count: it is the job's, and not deleted."""
        return frame in self.frames and frame not in self.deleted

    def seen(self, frame: int) -> int:
        """The task frame whose picture stands for one: itself, or, for one of another size, the nearest before it."""
        if frame not in self.other_size:
            return frame
        usable = [other for other in self.frames if other not in self.other_size]
        return max((other for other in usable if other <= frame), default=usable[0])

    def to_clip(self, frame: int) -> int:
        """Task frame → the session's frame."""
        return frame - self.start

    def to_task(self, frame: int) -> int:
        """The session's frame → task frame."""
        return frame + self.start


def open_job(server: Server, number: int, *, to_write: bool = True) -> JobClip:
    """The clip of a job. Raises InputError saying why it cannot be segmented, or, `to_write`, not be changed."""
    job = server.job(number)
    field = f"job {number}"
    if job.get("media_type", "image") == "audio":
        raise InputError("is an audio job; scribbles need pictures", field=field)
    if job.get("dimension", "2d") != "2d":
        raise InputError(f"is a {job['dimension']} job; only pictures and videos can be segmented", field=field)
    if job["type"] == "ground_truth":
        raise InputError("is a ground-truth job: its frames are not a clip, and people draw its masks", field=field)
    if to_write and job["state"] == "completed":
        raise InputError('is completed; set its state to "in progress" to continue', field=field)
    meta = server.meta(number)
    deleted = frozenset(meta["deleted_frames"])
    (width, height), other_size = _frame_size(meta, job, deleted, field)
    if job.get("mode") == "annotation":  # a video has none
        honeypots = server.honeypots(number)
        if honeypots:
            shown = ", ".join(map(str, honeypots[:5])) + (" …" if len(honeypots) > 5 else "")
            raise InputError(
                f"has honeypots (frames {shown}): pictures shuffled for quality control are not a clip",
                field=field,
            )
    return JobClip(
        id=number,
        task_id=job["task_id"],
        project_id=job.get("project_id"),
        start=job["start_frame"],
        stop=job["stop_frame"],
        width=width,
        height=height,
        deleted=deleted,
        chunk_size=meta["chunk_size"],
        is_video=job["data_original_chunk_type"] == "video",
        data_version=str(meta["chunks_updated_date"]),
        state=job["state"],
        kind=job["type"],
        parent_id=job.get("parent_job_id"),
        other_size=other_size,
    )


def _frame_size(meta: Json, job: Json, deleted: frozenset[int], field: str) -> tuple[tuple[int, int], frozenset[int]]:
    """Width and height of the frames that count, and the deleted frames that have another size."""
    frames = range(job["start_frame"], job["stop_frame"] + 1)
    sizes = [(frame["width"], frame["height"]) for frame in meta["frames"]]
    if not sizes:
        raise InputError("has no frames", field=field)
    if deleted.issuperset(frames):
        raise InputError("all its frames are deleted", field=field)
    if len(sizes) == 1:  # of all frames of a video
        return sizes[0], frozenset()
    by_frame = dict(zip(frames, sizes, strict=False))
    common = Counter(size for frame, size in by_frame.items() if frame not in deleted).most_common(1)[0][0]
    others = [frame for frame, size in by_frame.items() if size != common]
    for frame in others:
        if frame not in deleted:
            size = by_frame[frame]
            raise InputError(
                f"frame {frame} is {size[0]}×{size[1]} pixels, most are {common[0]}×{common[1]}: "
                "all frames of a job must have one size; delete this one, or put such pictures into their own task",
                field=field,
            )
    return common, frozenset(others)


def jobs_of_task(server: Server, task: int, left_out: list[str] | None = None) -> list[Json]:
    """The annotation jobs of a task in the order of its frames; `left_out` gets the names of all others."""
    found = server.jobs(task_id=task)
    jobs = [job for job in found if job["type"] == "annotation"]
    if not jobs:
        server.task(task)  # says if there is no such task
        raise InputError("has no annotation jobs", field=f"task {task}")
    if left_out is not None:
        left_out += [f"job {job['id']} ({job['type'].replace('_', ' ')})" for job in found if job not in jobs]
    return sorted(jobs, key=lambda job: (job["start_frame"], job["id"]))
