"""What the CVAT stand-in knows: users, tokens, projects, tasks, jobs and labels."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from standin_annotations import Annotations, Refused
from standin_media import Media

Json = dict[str, Any]


@dataclass
class Token:
    """A personal access token; `csrf` is of a browser's session, whose cookie is the token."""

    user: str
    read_only: bool = False
    expired: bool = False
    csrf: str = ""


@dataclass
class Task:
    """A task; `media` is there once data was uploaded."""

    id: int
    spec: Json
    created: str
    updated: str
    media: Media | None = None


@dataclass
class Job:
    """A job: task frames `start` to `stop`, of which a ground-truth job has only the `included` ones."""

    id: int
    task: Task
    start: int
    stop: int
    created: str
    updated: str
    kind: str = "annotation"
    included: list[int] | None = None
    state: str = "new"
    stage: str = "annotation"
    assignee: str | None = None
    parent: int | None = None
    deleted: list[int] = field(default_factory=list)
    honeypots: list[int] = field(default_factory=list)
    media_type: str = "image"
    dimension: str = "2d"

    @property
    def frames(self) -> list[int]:
        return list(range(self.start, self.stop + 1)) if self.included is None else self.included

    def chunk(self, index: int) -> list[int]:
        """Task frames of the job's chunk `index`."""
        assert self.task.media is not None
        size = self.task.media.chunk_size
        return self.frames[index * size : (index + 1) * size] if index >= 0 else []


class World:
    """All of it. Not locked: the HTTP side lets in one request at a time."""

    def __init__(self) -> None:
        self.version = "2.73.0"
        self.users = {"admin": 1, "annot1": 2, "stranger": 3, "annot2": 4, "viewer": 5}
        self.tokens = {
            "full": Token("admin"),
            "annot1": Token("annot1"),
            "stranger": Token("stranger"),
            "read-only": Token("admin", read_only=True),
            "expired": Token("admin", expired=True),
        }
        self.passwords = {"admin": "secret"}
        self.projects: dict[int, Json] = {}
        self.tasks: dict[int, Task] = {}
        self.jobs: dict[int, Job] = {}
        self.labels: dict[int, Json] = {}
        self.annotations = Annotations(self.labels)
        self.webhooks: dict[int, Json] = {}
        self.issues: dict[int, Json] = {}
        self.guides: dict[int, Json] = {}
        kinds = ("project", "task", "job", "label", "spec", "webhook", "issue", "guide")
        self.next = dict.fromkeys(kinds, 1)

    @property
    def replica(self) -> str:
        """What a consensus job's type is called; renamed by 2.80, as the SDK's schemas show."""
        return "consensus_replica" if self.version == "2.73.0" else "replica"

    def take(self, kind: str) -> int:
        """The next free id."""
        number = self.next[kind]
        self.next[kind] += 1
        return number

    def guide_of(self, **owner: int | None) -> int | None:
        """The guide of a `project_id` or `task_id`."""
        ((key, number),) = owner.items()
        return next((guide["id"] for guide in self.guides.values() if guide[key] == number), None)

    # -- labels ---------------------------------------------------------------------------------------------------

    def change_labels(self, labels: Sequence[Json], *, project: int | None = None, task: int | None = None) -> None:
        """What PATCH with `labels` does: new ones are made, known ids updated; attributes are never removed."""
        for entry in labels:
            known = self.labels.get(entry["id"]) if entry.get("id") is not None else None
            if entry.get("id") is not None and known is None:
                raise Refused(404, {"detail": f"Not found label with id #{entry['id']} to change"})
            if known is None:
                if entry["name"] in [label["name"] for label in self.labels_of(project=project, task=task)]:
                    raise Refused(400, ["All label names must be unique"])
                known = {
                    "id": self.take("label"),
                    "name": entry["name"],
                    "color": "",
                    "attributes": [],
                    "type": entry.get("type", "any"),
                    "sublabels": [],
                    **({"project_id": project} if project is not None else {"task_id": task}),
                    "parent_id": None,
                    "has_parent": False,
                }
                self.labels[known["id"]] = known
            known["name"] = entry.get("name") or known["name"]
            known["type"] = entry.get("type") or known["type"]
            known["color"] = entry.get("color") or f"#{known['id'] * 2654435761 % 2**24:06x}"
            for attribute in entry.get("attributes", []):
                self._change_attribute(known, attribute)

    def _change_attribute(self, label: Json, attribute: Json) -> None:
        form = {
            "name": attribute["name"],
            "mutable": attribute.get("mutable", False),
            "input_type": attribute["input_type"],
            "default_value": attribute.get("default_value", ""),
            "values": list(attribute.get("values", [])) or [""],
        }
        for old in label["attributes"]:
            if old["id"] == attribute.get("id") or old["name"] == attribute["name"]:
                old.update(form)
                return
        label["attributes"].append({"id": self.take("spec"), **form})

    def labels_of(self, *, project: int | None = None, task: int | None = None, job: int | None = None) -> list[Json]:
        """A project task has its project's labels, a job its task's."""
        if job is not None:
            task = self.jobs[job].task.id
        if task is not None:
            project = self.tasks[task].spec.get("project_id")
        if project is not None:
            return [label for label in self.labels.values() if label.get("project_id") == project]
        return [label for label in self.labels.values() if label.get("task_id") == task]

    # -- projects, tasks and jobs ---------------------------------------------------------------------------------

    def add_project(self, spec: Json) -> int:
        number = self.take("project")
        self.projects[number] = {"id": number, "name": spec["name"], "created": now()}
        self.change_labels(spec.get("labels") or [], project=number)
        return number

    def add_task(self, spec: Json) -> Task:
        task = Task(self.take("task"), spec, created=now(), updated=now())
        self.tasks[task.id] = task
        if spec.get("labels"):
            self.change_labels(spec["labels"], task=task.id)
        return task

    def add_data(self, task: Task, files: Sequence[tuple[str, bytes]], settings: Json) -> None:
        """Store media and cut the task into jobs, as CVAT's worker does."""
        task.media = media = Media(files, settings)
        segment = int(task.spec.get("segment_size") or media.size)
        overlap = task.spec.get("overlap")
        overlap = min((5 if media.is_video else 0) if overlap is None else int(overlap), segment - 1)
        for start in range(0, max(1, media.size - overlap), segment - overlap):
            self.add_job(task, start, min(start + segment, media.size) - 1)

    def add_job(self, task: Task, start: int, stop: int, **more: Any) -> Job:
        job = Job(self.take("job"), task, start, stop, now(), now(), **more)
        self.jobs[job.id] = job
        return job

    def drop_task(self, task: Task) -> None:
        del self.tasks[task.id]
        for job in [job for job in self.jobs.values() if job.task is task]:
            del self.jobs[job.id]
            self.annotations.clear(job.id)

    def touch(self, job: Job) -> None:
        """Note a change."""
        job.updated = job.task.updated = now()


def now() -> str:
    """The time as CVAT writes it."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
