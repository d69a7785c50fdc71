"""Frames that two jobs of a task share: what an earlier job shows there."""

from siaf.cvat.job.clip import JobClip, jobs_of_task
from siaf.cvat.job.labels import LabelBook
from siaf.cvat.job.reading import Spot, track_frames
from siaf.cvat.job.strokes import shape_name
from siaf.cvat.server.connection import Json, Refusal, Server


def shown_before(server: Server, clip: JobClip, book: LabelBook, notes: list[str]) -> set[Spot]:
    """Spots of a job's frames that a job which begins earlier shows, be they of people or of siaf.

    CVAT exports what every job has: an object on a frame twice if two jobs have it. `notes` gets the jobs that this
    user may not read.
    """
    spots: set[Spot] = set()
    if clip.kind != "annotation":
        return spots
    for job in jobs_of_task(server, clip.task_id):
        shared = {frame for frame in range(job["start_frame"], job["stop_frame"] + 1) if clip.shows(frame)}
        if not shared or (job["start_frame"], job["id"]) >= (clip.start, clip.id):
            continue
        try:
            found = _spots(server.annotations(job["id"]), clip, book)
        except Refusal as refusal:
            if refusal.status != 403:
                raise
            notes.append(f"job {job['id']} shares frames with this one, but cannot be read: masks may be in both")
            continue
        spots |= {spot for spot in found if spot[0] in shared}
    return spots


def _spots(annotations: Json, clip: JobClip, book: LabelBook) -> set[Spot]:
    """Where a job shows objects with a number, on frames of `clip`."""
    found: set[Spot] = set()
    for shape in annotations["shapes"]:
        label = book[shape["label_id"]]
        if label is not None and book.is_object(label.id) and shape["type"] in ("mask", "polygon"):
            found.add((shape["frame"], label.tag(shape, shape_name(shape))))
    for track in annotations["tracks"]:
        label = book[track["label_id"]]
        if label is not None and book.is_object(label.id):
            tag = label.tag(track, f"track {track['id']}")
            found |= {(frame, tag) for frame in track_frames(track, clip)}
    return {spot for spot in found if spot[1]}
