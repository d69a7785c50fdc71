"""What the tests of siaf.cvat do with a CVAT: make tasks, draw as people do, run rounds, look at the result."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from cvat_sdk import models
from cvat_sdk.core.client import Client
from numpy.typing import NDArray
from PIL import Image

from siaf.cvat import commands
from siaf.cvat.job.labels import LabelBook
from siaf.cvat.rounds.report import SyncReport
from siaf.cvat.server.connection import Server
from siaf.cvat.sessions.base import SessionFactory
from siaf.cvat.storage.store import StateStore
from siaf.masks import decode_rle, encode_rle

Json = dict[str, Any]
Pictures = NDArray[np.uint8]
LABELS = (("car", "mask"), ("person", "any"))


class Bench:
    """A CVAT with tasks made for a test."""

    def __init__(self, client: Client, store: StateStore, sessions: SessionFactory, folder: Path) -> None:
        self.client = client
        self.server = Server(client)
        self.store = store
        self.sessions = sessions
        self.folder = folder
        self._tasks: list[int] = []

    # -- making ---------------------------------------------------------------------------------------------------

    def task(
        self,
        pictures: Pictures,
        *,
        labels: Sequence[tuple[str, str]] = LABELS,
        setup: bool = True,
        segment: int = 0,
        overlap: int = 0,
        suffix: str = "png",
        **data: Any,
    ) -> list[int]:
        """A task from pictures; its jobs in order."""
        return self.task_of(
            list(pictures), labels=labels, setup=setup, segment=segment, overlap=overlap, suffix=suffix, **data
        )

    def task_of(
        self,
        pictures: Sequence[Pictures],
        *,
        labels: Sequence[tuple[str, str]] = LABELS,
        setup: bool = True,
        segment: int = 0,
        overlap: int = 0,
        suffix: str = "png",
        **data: Any,
    ) -> list[int]:
        """As `task`, for pictures of any sizes."""
        number = len(self._tasks)
        files = []
        for i, picture in enumerate(pictures):
            path = self.folder / f"{number}-{i:04d}.{suffix}"
            Image.fromarray(picture).save(path, quality=95)
            files.append(path)
        return self._task(files, labels, setup, segment, overlap, data)

    def file_task(self, files: list[Path]) -> list[int]:
        """A task from files as they are."""
        return self._task(files, LABELS, True, 0, 0, {})

    def video_task(self, path: Path, *, segment: int = 0, overlap: int = 0, **data: Any) -> list[int]:
        """A task from a video file."""
        return self._task([path], LABELS, True, segment, overlap, data)

    def _task(self, files: list[Path], labels: Any, setup: bool, segment: int, overlap: int, data: Json) -> list[int]:
        spec = models.TaskWriteRequest(
            name=f"siaf test {self.folder.name}",
            labels=[models.PatchedLabelRequest(name=name, type=kind) for name, kind in labels],
            segment_size=segment,
            overlap=overlap,
        )
        task = self.client.tasks.create(spec)
        self._tasks.append(task.id)  # before the upload, which may fail: nothing is left behind
        task.upload_data(files, params={"image_quality": 100, **data}, status_check_period=1)
        if setup:
            commands.setup(self.client, task=task.id, apply=True)
        return [job["id"] for job in sorted(self.server.jobs(task_id=task.id), key=lambda j: j["start_frame"])]

    def clean(self) -> None:
        """Delete the tasks."""
        self.client.tasks.remove_by_ids(self._tasks)

    # -- drawing as people do -------------------------------------------------------------------------------------

    def labels(self, job: int) -> LabelBook:
        return LabelBook(self.server.labels(job_id=job))

    def label_id(self, job: int, name: str) -> int:
        return next(label["id"] for label in self.server.labels(job_id=job) if label["name"] == name)

    def draw(self, job: int, frame: int, kind: str, points: Sequence[float], under: str, /, **values: Any) -> int:
        """A shape by hand; `values` are attributes by name. The new id."""
        shape = {
            "type": kind,
            "frame": frame,
            "label_id": self.label_id(job, under),
            "points": [float(p) for p in points],
            "source": "manual",
            "attributes": self.attributes(job, under, values),
        }
        return int(self.server.patch_annotations(job, "create", shapes=[shape])["shapes"][0]["id"])

    def attributes(self, job: int, label: str, values: Json) -> list[Json]:
        found = self.labels(job)[self.label_id(job, label)]
        assert found is not None
        ids = {attribute.name: attribute.id for attribute in found.attributes}
        return [{"spec_id": ids[name], "value": str(value)} for name, value in values.items()]

    def scribble(self, job: int, frame: int, points: Sequence[float], tag: int, **values: Any) -> int:
        """A polyline under the scribble label."""
        return self.draw(job, frame, "polyline", points, "scribble", object=tag, **values)

    def box_mask(self, job: int, frame: int, box: tuple[int, int, int, int], label: str, tag: int) -> int:
        """A mask that fills left, top, right, bottom."""
        left, top, right, bottom = box
        area = (right - left + 1) * (bottom - top + 1)
        return self.draw(job, frame, "mask", [0, area, *box], label, object=tag)

    def edit(self, job: int, shape: Json, **changes: Any) -> None:
        """Change a shape as CVAT's interface does: same id, source semi-auto."""
        source = "semi-auto" if shape["source"] == "auto" else shape["source"]
        self.server.patch_annotations(job, "update", shapes=[{**shape, "source": source, **changes}])

    def set_state(self, job: int, state: str) -> None:
        """As the job's owner does: new, in progress, rejected, completed."""
        self.client.jobs.retrieve(job).update(models.PatchedJobWriteRequest(state=models.OperationStatus(state)))

    def delete(self, job: int, *shapes: Json) -> None:
        self.server.patch_annotations(job, "delete", shapes=list(shapes))

    # -- rounds and results ---------------------------------------------------------------------------------------

    def sync(self, job: int, **options: Any) -> SyncReport:
        return commands.sync(self.client, job, store=self.store, sessions=self.sessions, **options)

    def carry(self, **arguments: Any) -> list[SyncReport]:
        return commands.carry(self.client, store=self.store, sessions=self.sessions, **arguments)

    def shapes(self, job: int, kind: str = "mask") -> list[Json]:
        """Shapes of a type, by frame and tag."""
        found = [s for s in self.server.annotations(job)["shapes"] if s["type"] == kind]
        return sorted(found, key=lambda s: (s["frame"], s["group"], s["label_id"], s["points"]))

    def tracks(self, job: int) -> list[Json]:
        return list(self.server.annotations(job)["tracks"])

    def masks(self, job: int) -> dict[tuple[int, int], list[float]]:
        """(frame, tag) → points of the masks; one mask at most for each."""
        shapes = self.shapes(job)
        book = self.labels(job)
        found: dict[tuple[int, int], list[float]] = {}
        for shape in shapes:
            label = book[shape["label_id"]]
            if label is None or label.name == "scribble":
                continue
            spot = (shape["frame"], int(label.value(shape, "object") or 0))
            assert spot not in found, f"two masks at {spot}"
            found[spot] = shape["points"]
        return found

    def everything(self, job: int) -> Json:
        """Annotations with their ids, in order of these: the server's own order changes from call to call."""
        data = self.server.annotations(job)
        return {kind: sorted(data[kind], key=lambda entry: entry["id"]) for kind in ("tags", "shapes", "tracks")}

    def contents(self, job: int) -> list[Any]:
        """All that the job holds, by names instead of ids: equal lists = equal annotations, also of equal jobs."""
        labels = self.server.labels(job_id=job)
        names = {"label_id": {la["id"]: la["name"] for la in labels}}
        names["spec_id"] = {a["id"]: a["name"] for la in labels for a in la["attributes"]}
        data = self.server.annotations(job)
        return sorted((_named([*data["shapes"], *data["tracks"], *data["tags"]], names)), key=repr)


def check_ledger(bench: Bench, job: int) -> None:
    """The ledger knows exactly siaf's shapes and tracks, and calls nothing human that siaf made."""
    ledger = bench.store.job(bench.server.url, job).ledger()
    found = bench.server.annotations(job)
    assert ledger.pending is None
    assert set(ledger.shapes) == {s["id"] for s in found["shapes"] if s["source"] == "auto"}
    assert set(ledger.tracks) == {t["id"] for t in found["tracks"] if t["source"] == "auto"}
    human = {f"s{s['id']}" for s in found["shapes"] if s["source"] != "auto" and s["type"] == "mask"}
    assert {key for key in ledger.human if key.startswith("s")} == human


def bitmap(points: Sequence[float], pictures: Pictures) -> NDArray[np.bool_]:
    """A mask's pixels."""
    return decode_rle(points, height=pictures.shape[1], width=pictures.shape[2])


def rle(mask: NDArray[np.bool_]) -> list[float]:
    """A mask's points."""
    return [float(value) for value in encode_rle(mask)]


def jpeg(picture: Pictures) -> bytes:
    packed = io.BytesIO()
    Image.fromarray(picture).save(packed, "JPEG", quality=95)
    return packed.getvalue()


def _named(entry: Any, names: dict[str, dict[int, str]]) -> Any:
    if isinstance(entry, dict):
        return {k: names[k][v] if k in names else _named(v, names) for k, v in sorted(entry.items()) if k != "id"}
    return [_named(item, names) for item in entry] if isinstance(entry, list) else entry
