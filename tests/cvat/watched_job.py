"""A job that labelers draw on and ask for rounds of, and a watcher of its task."""

from bench import Bench, Pictures
from cvat_sdk import models
from cvat_sdk.core.proxies.annotations import AnnotationUpdateAction

from siaf.cvat import commands
from siaf.cvat.rounds.report import SyncReport
from siaf.cvat.rounds.sync import SyncOptions
from siaf.cvat.rounds.watch import RUN_TAG, Trigger, Watcher


def watcher(bench: Bench, job: int, trigger: str = "tag") -> tuple[Watcher, list[SyncReport]]:
    """A watcher of the job's task, and the reports of the rounds that it will have run."""
    reports: list[SyncReport] = []
    task = bench.server.job(job)["task_id"]
    commands.setup(bench.client, task=task, run_tag=True, apply=True)
    made = Watcher(
        bench.server,
        bench.store,
        bench.sessions,
        SyncOptions(),
        Trigger.parse(trigger),
        task=task,
        on_report=reports.append,
    )
    return made, reports


def ask(bench: Bench, job: int, frame: int = 0) -> None:
    """Put the tag on a frame, as a labeler does."""
    tag = models.LabeledImageRequest(frame=frame, label_id=bench.label_id(job, RUN_TAG))
    request = models.PatchedLabeledDataRequest(tags=[tag])
    bench.client.jobs.retrieve(job).update_annotations(request, action=AnnotationUpdateAction.CREATE)


def drawn_job(bench: Bench, pictures: Pictures) -> int:
    """A job on which one object was scribbled."""
    (job,) = bench.task(pictures[:3])
    bench.scribble(job, 0, (8, 20, 20, 20), tag=1, label="car")
    return job
