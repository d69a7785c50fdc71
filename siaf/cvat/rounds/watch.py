"""`watch`: rounds as labelers work, on a signal in the job itself."""

import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue

from siaf.cvat.job.labels import RUN_TAG
from siaf.cvat.rounds.report import SyncReport
from siaf.cvat.rounds.sync import JobSync, SyncOptions
from siaf.cvat.server.connection import Json, Refusal, Server
from siaf.cvat.sessions.base import SessionFactory
from siaf.cvat.storage.store import StateStore
from siaf.errors import InputError, SiafError

STATES = ("new", "in progress", "rejected")
_MOST_ROUNDS = 5
_NOT_THE_JOBS = ("trigger", "host", "token", "user", "store", "url", "via", "model", "weights", "device")
"""What InputError names when it is about this process."""
log = logging.getLogger("siaf.cvat.rounds.watch")


@dataclass
class Trigger:
    """When to run: the tag `siaf:run` on any frame of a job, or, with `state`, every save of a job in this state."""

    state: str | None = None

    @classmethod
    def parse(cls, text: str) -> "Trigger":
        """From "tag" or "state:in progress". Raises InputError naming "trigger"."""
        if text == "tag":
            return cls()
        kind, _, state = text.partition(":")
        if kind != "state" or state not in STATES:
            known = ", ".join(f"state:{name}" for name in STATES)
            raise InputError(f"{text!r} is not one of: tag, {known}", field="trigger")
        return cls(state)


@dataclass
class Watcher:
    """Watches the jobs of a project or task. `seen` holds, by job, the `updated_date` up to which all is done.

    Webhooks (`wake`) only say where to look at once; what counts is what the server says then, so that nobody can
    make siaf run elsewhere, and a lost delivery is found by polling. Siaf's own writes change `updated_date` too: a
    date is only remembered if the round after it found nothing to do.
    """

    server: Server
    store: StateStore
    sessions: SessionFactory
    options: SyncOptions
    trigger: Trigger
    project: int | None = None
    task: int | None = None
    on_report: Callable[[SyncReport], None] = lambda report: None
    seen: dict[str, str] = field(default_factory=dict)
    wake: "SimpleQueue[int]" = field(default_factory=SimpleQueue)

    def __post_init__(self) -> None:
        if (self.project is None) == (self.task is None):
            raise InputError("give --project N or --task N", field="project")
        self._owner = {"project_id": self.project} if self.project is not None else {"task_id": self.task}
        if self.project is not None:
            self.server.project(self.project)
        else:
            self.server.task(int(self.task or 0))
        if self.trigger.state is None:
            self._run_label()
        name = f"watch-{'project' if self.project is not None else 'task'}-{self.project or self.task}"
        self._memory = self.store.note(self.server.url, name)
        try:
            self.seen = dict(json.loads(self._memory.read() or b"{}"))
        except (ValueError, TypeError):
            raise InputError(
                f"{name}.json is damaged; delete it, and watch checks all jobs once", field="store"
            ) from None

    def run(self, *, poll_s: float, stop: Callable[[], bool] = lambda: False) -> None:
        """Watch until `stop`. A fault of the server is logged and waited out. InputError unless `poll_s` is above 0."""
        if not 0 < poll_s < float("inf"):
            raise InputError(f"must be more than 0 seconds, not {poll_s}", field="poll_s")
        while not stop():
            try:
                self.look()
            except SiafError as error:
                log.warning("%s", error)
            self._wait(poll_s, stop)

    def look(self) -> list[int]:
        """Look at all jobs once, replicas too; those where a round ran, or was refused with the reason in the log."""
        ran = []
        for job in self.server.jobs(**self._owner):
            if self.seen.get(str(job["id"])) == job["updated_date"]:
                continue
            fits = job["state"] == self.trigger.state and job["type"] != "ground_truth"
            if self.trigger.state is not None and not fits:
                self._remember(job)
                continue
            try:
                ran += [job["id"]] if self._handle(job) else []
            except SiafError as error:  # not this job's fault: it is tried again at the next look, the others now
                log.warning("%s", error)
            except Exception as error:  # a bug on one job must not end the watch over all others
                log.exception("job %s: %s", job["id"], error)
                self._remember(job)
        return ran

    # -- inside ---------------------------------------------------------------------------------------------------

    def _wait(self, poll_s: float, stop: Callable[[], bool]) -> None:
        deadline = time.monotonic() + poll_s
        while not stop() and time.monotonic() < deadline:
            try:
                self.wake.get(timeout=min(0.5, poll_s))
            except Empty:
                continue
            while not self.wake.empty():
                self.wake.get()
            return

    def _handle(self, job: Json) -> bool:
        """Run rounds on a job as long as somebody asks; what is wrong with a job is logged, once for every save."""
        number = int(job["id"])
        ran = False
        try:
            for _ in range(_MOST_ROUNDS):
                before = self.server.job(number)
                tags = self._run_tags(number) if self.trigger.state is None else []
                if self.trigger.state is None and not tags:
                    self._remember(before)
                    break
                jobs = self.store.job(self.server.url, number)
                report = JobSync(self.server, number, jobs, self.sessions, self.options).run()
                if report.changed or not ran:  # a later look that finds nothing is nobody's news
                    self.on_report(report)
                ran = True
                if tags:
                    self.server.delete_tags(number, tags)
                elif not report.changed:
                    self._remember(before)
                    break
        except InputError as error:
            if not _is_the_jobs(error):
                raise
            log.warning("%s", error)
            self._remember(job)
            return True
        return ran

    def _remember(self, job: Json) -> None:
        self.seen[str(job["id"])] = job["updated_date"]
        self._memory.write(json.dumps(self.seen).encode())

    def _run_label(self) -> int:
        for label in self.server.labels(**{k: int(v or 0) for k, v in self._owner.items()}):
            if label["name"] == RUN_TAG:
                return int(label["id"])
        raise InputError(f"there is no label {RUN_TAG!r}: run siaf cvat setup --watch", field="trigger")

    def _run_tags(self, job: int) -> list[Json]:
        label = self._run_label()
        return [tag for tag in self.server.annotations(job)["tags"] if tag["label_id"] == label]


def _is_the_jobs(error: InputError) -> bool:
    """Whether a job's content is wrong, so that another try needs another save; a token, a right that is missing, the
    store or the function may be mended without one.
    """
    if isinstance(error, Refusal) and error.status in (401, 403):
        return False
    return error.field not in _NOT_THE_JOBS and not error.field.startswith("function ")
