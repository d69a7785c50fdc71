"""`siaf cvat adopt`: automatic masks that siaf did not write, of an import or a detector say, become its own.

The job then has a session of masks alone. The first round starts from some of them, and replaces the others.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from siaf.cvat.job.clip import JobClip, open_job
from siaf.cvat.job.fingerprints import shape_mark
from siaf.cvat.job.labels import Label, LabelBook
from siaf.cvat.job.ledger import LabeledObject, Ledger, OwnShape
from siaf.cvat.job.strokes import area_of, read_stroke, shape_name
from siaf.cvat.rounds.control_report import ControlReport
from siaf.cvat.rounds.writer import JobWriter
from siaf.cvat.server.connection import Json, Server
from siaf.cvat.storage.store import JobStore
from siaf.errors import InputError
from siaf.masks import IndexMask
from siaf.session.editing import free_tag
from siaf.session.mask_store import MaskStore
from siaf.session.snapshot import SessionMasks
from siaf.session.state_writing import dump_masks

AUTOMATIC = ("auto", "semi-auto", "file")
_STARTS = 8
"""Frames that the first round starts from, spread over the job: a network reads no more at once."""


def adopt(server: Server, number: int, jobs: JobStore, *, wait_s: float = 0.0) -> ControlReport:
    """Take the automatic masks of a job that has no session yet; in the job they get their object's number as group.

    Raises InputError if it has one, or no such masks.
    """
    clip = open_job(server, number)
    book = LabelBook(server.labels(job_id=number))
    book.check_names()
    report = ControlReport(number, "adopt")
    with jobs.locked(wait_s=wait_s) as still_mine:
        if not jobs.ledger().empty:
            raise InputError("has a session already: adopt masks before the first round", field=f"job {number}")
        server.check_may_write(number)
        ledger = Ledger(number, data_version=clip.data_version, labels=dict(book.names))
        taken = _Taken(clip, book, ledger, report)
        shapes = sorted(server.annotations(number)["shapes"], key=lambda s: (s["frame"], s.get("z_order", 0), s["id"]))
        taken.read(shapes)
        if not ledger.shapes:
            raise InputError("has no automatic masks that could be adopted", field=f"job {number}")
        masks = MaskStore(clip.height, clip.width)
        for frame, mask in taken.masks.items():
            masks[clip.to_clip(frame)] = mask
        starts = [clip.to_clip(frame) for frame in _starts(taken.masks)]
        results = SessionMasks(masks=masks, interacted=starts, confidence={}, frames=len(clip))
        jobs.save(ledger, dump_masks(results))
        JobWriter(server, clip, book, jobs, report, still_mine).write(ledger, results, "mask")
    report.objects = {tag: known.label for tag, known in sorted(ledger.objects.items())}
    report.notes.append(f"{len(ledger.shapes)} masks on {len(taken.masks)} frames are siaf's own from now on")
    shown = ", ".join(str(clip.to_task(frame)) for frame in starts)
    report.notes.append(f"the first round starts from those on frames {shown}, and may replace all others")
    return report


class _Taken:
    """What is taken, in the ledger and as index masks by task frame."""

    def __init__(self, clip: JobClip, book: LabelBook, ledger: Ledger, report: ControlReport) -> None:
        self._clip, self._book, self._ledger, self._report = clip, book, ledger, report
        self.masks: dict[int, IndexMask] = {}

    def read(self, shapes: Sequence[Json]) -> None:
        """Take what can be taken; the rest is listed."""
        found: list[tuple[Json, Label, int]] = []
        by_people: set[tuple[int, int]] = set()
        for shape in shapes:
            label = self._book[shape["label_id"]]
            if label is None or not self._book.is_object(label.id) or not self._clip.shows(shape["frame"]):
                continue
            if shape["type"] not in ("mask", "polygon") or read_stroke(shape, label, self._book) is not None:
                continue
            tag = label.tag(shape, shape_name(shape))
            if shape["source"] in AUTOMATIC:
                found.append((shape, label, tag))
            else:
                by_people.add((shape["frame"], tag))
        numbered = {tag for _, _, tag in found} | {tag for _, tag in by_people}
        several = Counter((shape["frame"], label.id) for shape, label, tag in found if not tag)
        alone: dict[int, int] = {}
        spots = Counter((shape["frame"], tag) for shape, _, tag in found if tag)
        for shape, label, tag in found:
            if not tag and several[shape["frame"], label.id] > 1:
                self._leave(shape, f"several masks of {label.name!r} on a frame have no number: which is which?")
                continue
            if not tag:
                if label.id not in alone:
                    alone[label.id] = free_tag(numbered)
                    numbered.add(alone[label.id])
                self._take(shape, label, alone[label.id], by_label=True)
            elif (shape["frame"], tag) in by_people or spots[shape["frame"], tag] > 1:
                self._leave(shape, f"object {tag} has another mask on the frame")
            elif self._ledger.objects.get(tag, LabeledObject(label.name)).label != label.name:
                self._leave(shape, f"object {tag} is a {self._ledger.objects[tag].label!r} elsewhere")
            else:
                self._take(shape, label, tag)

    def _take(self, shape: Json, label: Label, tag: int, *, by_label: bool = False) -> None:
        pixels = area_of(shape, self._clip)
        frame = shape["frame"]
        mask = self.masks.setdefault(frame, np.zeros((self._clip.height, self._clip.width), np.uint8))
        mask[pixels] = tag
        self._ledger.shapes[shape["id"]] = OwnShape(frame, tag, shape_mark(shape, label))
        self._ledger.objects.setdefault(tag, LabeledObject(label.name, by_label))

    def _leave(self, shape: Json, reason: str) -> None:
        self._report.kept.append(f"{shape_name(shape)}: {reason}")


def _starts(masks: Mapping[int, IndexMask]) -> list[int]:
    """Frames spread over those with masks, and for every object that is on none of them one more."""
    frames = sorted(masks)
    count = min(_STARTS, len(frames))
    chosen = {frames[round(i * (len(frames) - 1) / max(1, count - 1))] for i in range(count)}
    tags = {frame: set(np.unique(mask[mask > 0]).tolist()) for frame, mask in masks.items()}
    for tag in sorted(set().union(*tags.values()) - set().union(*(tags[frame] for frame in chosen))):
        there = [frame for frame in frames if tag in tags[frame]]
        chosen.add(there[len(there) // 2])
    return sorted(chosen)
