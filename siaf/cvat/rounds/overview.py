"""`report --task N`: one row per object over all jobs of a task."""

from dataclasses import asdict, dataclass, field
from typing import Any

from siaf.cvat.job.clip import jobs_of_task, open_job
from siaf.cvat.job.labels import LabelBook
from siaf.cvat.job.reading import track_frames
from siaf.cvat.server.connection import Json, Server


@dataclass
class ObjectRow:
    """An object: where it is shown, how much of that is human work, and how sure the model was of the rest."""

    tag: int
    labels: list[str] = field(default_factory=list)
    jobs: list[int] = field(default_factory=list)
    frames: int = 0
    first: int | None = None
    last: int | None = None
    human: int = 0
    score: float | None = None
    _shown: set[int] = field(default_factory=set, repr=False)
    _scores: list[float] = field(default_factory=list, repr=False)

    def add(self, job: int, label: str, frames: set[int], *, human: bool, score: float | None) -> None:
        """Count a mask or a track."""
        self.labels = sorted({*self.labels, label})
        self.jobs = sorted({*self.jobs, job})
        self._shown |= frames
        self.human += human
        if score is not None and not human:
            self._scores.append(score)
        self.frames = len(self._shown)
        self.first, self.last = min(self._shown, default=None), max(self._shown, default=None)
        self.score = round(sum(self._scores) / len(self._scores), 3) if self._scores else None

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {key: value for key, value in asdict(self).items() if not key.startswith("_")}


def task_overview(server: Server, task: int) -> list[ObjectRow]:
    """One row per object, by tag. Frames that two jobs share count once; masks without a tag are row 0.

    Reads the jobs one by one, since CVAT's view of a whole task shows masks of shared frames twice (contract §4.5).
    """
    rows: dict[int, ObjectRow] = {}
    for job in jobs_of_task(server, task):
        clip = open_job(server, job["id"], to_write=False)
        book = LabelBook(server.labels(job_id=clip.id))
        annotations = server.annotations(clip.id)
        for entry in (*annotations["shapes"], *annotations["tracks"]):
            label = book[entry["label_id"]]
            if label is None or not book.is_object(label.id) or not _is_region(entry):
                continue
            frames = track_frames(entry, clip) if "shapes" in entry else {entry["frame"]}
            shown = {frame for frame in frames if clip.shows(frame)}
            if not shown:
                continue
            tag = label.tag(entry, f"annotation {entry['id']}") or int(entry["group"])
            row = rows.setdefault(tag, ObjectRow(tag))
            row.add(clip.id, label.name, shown, human=entry["source"] != "auto", score=entry.get("score"))
    return [rows[tag] for tag in sorted(rows)]


def overview_lines(rows: list[ObjectRow]) -> list[str]:
    """A table for people."""
    head = ("object", "label", "frames", "from", "to", "by people", "score", "jobs")
    table: list[tuple[str, ...]] = [head]
    for row in rows:
        cells = (row.tag, "/".join(row.labels), row.frames, row.first, row.last, row.human)
        jobs = ", ".join(map(str, row.jobs))
        table.append((*map(str, cells), "-" if row.score is None else f"{row.score:.2f}", jobs))
    widths = [max(len(line[i]) for line in table) for i in range(len(head))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in table]


def _is_region(entry: Json) -> bool:
    return "shapes" in entry or entry["type"] in ("mask", "polygon", "rectangle")
