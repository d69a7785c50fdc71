"""A task's annotations as one clip: every frame once, also those that two jobs share."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from siaf.cvat.export.naming import name_objects
from siaf.cvat.export.regions import Region, read_regions
from siaf.cvat.job.clip import JobClip, jobs_of_task, open_job
from siaf.cvat.job.labels import LabelBook
from siaf.cvat.rounds.report import ignored_lines, merge_ignored
from siaf.cvat.server.connection import Json, Server
from siaf.errors import InputError
from siaf.masks import encode_rle
from siaf.output.datasets.clip import LabeledClip, LabeledFrame


@dataclass
class TaskExport:
    """A task's clip, and what became of its annotations.

    `shared`: frames that several jobs have. `left_out`: jobs that are no part of the clip. `notes` are sentences.
    `ignored`: what is not exported, names by reason.
    """

    clip: LabeledClip
    masks: int
    shared: list[int]
    left_out: list[str]
    notes: list[str] = field(default_factory=list)
    ignored: dict[str, list[str]] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "frames": len(self.clip.frames),
            "masks": self.masks,
            "objects": dict(self.clip.objects),
            "shared": self.shared,
            "left_out": self.left_out,
            "notes": self.notes,
            "ignored": self.ignored,
        }

    def lines(self) -> list[str]:
        """For people."""
        lines = [f"{len(self.clip.frames)} frames, {self.masks} masks"]
        lines.append("objects: " + ", ".join(f"{tag} {label}" for tag, label in self.clip.objects.items()))
        if self.shared:
            lines.append(f"{len(self.shared)} frames that jobs share, once each")
        if self.left_out:
            lines.append(f"left out: {', '.join(self.left_out)}")
        return [*lines, *self.notes, *ignored_lines(self.ignored, what="not exported")]


def read_task(server: Server, number: int) -> TaskExport:
    """All annotation jobs of a task. Raises InputError naming the task, job or object that is in the way."""
    server.task(number)  # who may see some jobs only would export half a task
    left_out: list[str] = []
    jobs = [open_job(server, job["id"], to_write=False) for job in jobs_of_task(server, number, left_out)]
    _check_sizes(jobs)
    book = LabelBook(server.labels(task_id=number))
    regions: list[Region] = []
    ignored: dict[str, list[str]] = {}
    for job in jobs:
        found = read_regions(server.annotations(job.id), job, book)
        regions += found.regions
        merge_ignored(ignored, found.ignored)
    named = name_objects(regions)
    merge_ignored(ignored, named.ignored)
    if not named.regions:
        there = "".join(f"; {line}" for line in ignored_lines(ignored, what="not exported"))
        raise InputError(f"has no masks to export{there}", field=f"task {number}")
    masks = _choose(named.regions, ignored)
    clip = LabeledClip(
        name=f"task-{number}",
        width=jobs[0].width,
        height=jobs[0].height,
        frames=[LabeledFrame(frame, name, masks.get(frame, {})) for frame, name in _pictures(server, jobs)],
        objects=dict(sorted(named.objects.items())),
        labels=[label.name for label in book.objects],
    )
    shown = Counter(frame for job in jobs for frame in job.frames if job.shows(frame))
    shared = sorted(frame for frame, count in shown.items() if count > 1)
    export = TaskExport(clip, sum(map(len, masks.values())), shared, left_out, ignored=ignored)
    if named.by_label:
        which = ", ".join(f"{tag} {named.objects[tag]}" for tag in named.by_label)
        export.notes.append(f"masks without a number are their label's only object: {which}")
    return export


def _check_sizes(jobs: Sequence[JobClip]) -> None:
    for job in jobs:
        if (job.width, job.height) != (jobs[0].width, jobs[0].height):
            raise InputError(
                f"its frames are {job.width}×{job.height} pixels, those of job {jobs[0].id} {jobs[0].width}×"
                f"{jobs[0].height}: a clip has one size",
                field=f"job {job.id}",
            )


def _choose(regions: Iterable[Region], ignored: dict[str, list[str]]) -> dict[int, dict[int, list[int]]]:
    """Run lengths by frame and object. Where several jobs show an object, a person's work counts first, then the
    earlier job; what another person drew there is noted.
    """
    spots: dict[tuple[int, int], dict[int, list[Region]]] = {}
    for region in regions:
        spots.setdefault((region.frame, region.tag), {}).setdefault(region.clip.id, []).append(region)
    chosen: list[tuple[tuple[int, int, int], int, int, list[int]]] = []
    for (frame, tag), by_job in spots.items():
        candidates = sorted(by_job.values(), key=lambda here: (not any(r.human for r in here), here[0].clip.start))
        points = _run_lengths(candidates[0])
        for other in candidates[1:]:
            drawn = [region.name for region in other if region.human]
            if drawn and _run_lengths(other) != points:
                reason = f"on a frame that jobs share; what job {candidates[0][0].clip.id} has there is exported"
                ignored.setdefault(reason, []).extend(drawn)
        chosen.append((max(region.order for region in candidates[0]), frame, tag, points))
    masks: dict[int, dict[int, list[int]]] = {}
    for _, frame, tag, points in sorted(chosen, key=lambda entry: entry[:3]):
        masks.setdefault(frame, {})[tag] = points
    return masks


def _run_lengths(regions: Sequence[Region]) -> list[int]:
    """All parts of an object on a frame together."""
    return encode_rle(np.logical_or.reduce([region.bitmap() for region in regions]))


def _pictures(server: Server, jobs: Sequence[JobClip]) -> list[tuple[int, str]]:
    """(number, file name) of all frames that are not deleted; a video's are named as CVAT exports them."""
    names: dict[int, str] = {}
    for job in jobs:
        listed: list[Json] = server.meta(job.id)["frames"]
        of_video = len(listed) == 1 and (job.is_video or len(job) > 1)
        for at, frame in enumerate(job.frames):
            if job.shows(frame):
                names[frame] = f"frame_{frame:06d}.PNG" if of_video else str(listed[at]["name"])
    return sorted(names.items())
