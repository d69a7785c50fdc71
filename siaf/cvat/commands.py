"""The commands of `siaf cvat` as functions: a client and plain arguments in, a report out.

Each loads what it needs when it is called: what reads sessions loads torch, which takes seconds, and most do not.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from siaf.errors import InputError

if TYPE_CHECKING:
    from cvat_sdk.core.client import Client

    from siaf.cvat.export.task import TaskExport
    from siaf.cvat.job.labels import WriteAs
    from siaf.cvat.job.setup import SetupPlan
    from siaf.cvat.rounds.advice import Advise
    from siaf.cvat.rounds.bulk import BulkRow
    from siaf.cvat.rounds.control import Action
    from siaf.cvat.rounds.control_report import ControlReport
    from siaf.cvat.rounds.overview import ObjectRow
    from siaf.cvat.rounds.report import SyncReport
    from siaf.cvat.rounds.sync import Overlap
    from siaf.cvat.sessions.base import Progress, SessionFactory
    from siaf.cvat.storage.store import StateStore
    from siaf.cvat.writing.used_scribbles import Scribbles


def setup(
    client: "Client",
    *,
    project: int | None = None,
    task: int | None = None,
    labels: Sequence[str] | None = None,
    run_tag: bool = False,
    right_tag: bool = False,
    studio: str | None = None,
    apply: bool = False,
) -> "SetupPlan":
    """What a project or task lacks for scribbles and tags, and of a link to `studio` in its annotation guide; with
    `apply`, add it. Doing it twice changes nothing.
    """
    from siaf.cvat.job.setup import apply_setup, plan_setup
    from siaf.cvat.server.connection import Server

    server = Server(client)
    plan = plan_setup(
        server, project=project, task=task, labels=labels, run_tag=run_tag, right_tag=right_tag, studio=studio
    )
    if apply:
        apply_setup(server, plan)
    return plan


def sync(
    client: "Client",
    job: int,
    *,
    store: "StateStore",
    sessions: "SessionFactory",
    write_as: "WriteAs | None" = None,
    overlap: "Overlap | None" = None,
    advise: "Advise | None" = None,
    scribbles: "Scribbles" = "keep",
    dry_run: bool = False,
    yes: bool = False,
    wait_s: float = 0.0,
    adapt: bool | None = None,
    frames: tuple[int, int] | None = None,
    barriers: Sequence[int] | None = None,
    progress: "Progress | None" = None,
) -> "SyncReport":
    """One round on a job. Raises InputError, Busy or ServerFault; after any of them it may be called again.

    `yes` takes masks without a number as they are where that is hardly meant (`siaf.cvat.rounds.questions`:
    Unanswered). `adapt` fits the network to masks that people made, corrected or accepted (default: if there are some,
    and the session can). `overlap`: whether masks on frames that two jobs share are in both, or once, in the earlier
    one (default: as before). `frames`: fill only these, first and last; others keep their masks. `barriers`: frames
    that nothing crosses (default: as before). `advise`: note the frames to look at next in the job (default: as
    before).
    """
    from siaf.cvat.rounds.sync import JobSync, SyncOptions
    from siaf.cvat.server.connection import Server

    options = SyncOptions(
        write_as,
        scribbles,
        dry_run,
        yes,
        wait_s,
        adapt=adapt,
        overlap=overlap,
        frames=frames,
        barriers=barriers,
        advise=advise,
    )
    if progress is not None:
        options.progress = progress
    server = Server(client)
    return JobSync(server, job, store.job(server.url, job), sessions, options).run()


def carry(
    client: "Client",
    *,
    from_job: int | None = None,
    to_job: int | None = None,
    task: int | None = None,
    store: "StateStore",
    sessions: "SessionFactory",
    write_as: "WriteAs | None" = None,
    overlap: "Overlap | None" = None,
    advise: "Advise | None" = None,
    wait_s: float = 0.0,
    progress: "Progress | None" = None,
    left_out: list[str] | None = None,
) -> "list[SyncReport]":
    """Pre-annotate a job from another one, or all jobs of a task in turn; objects keep their tags.

    `left_out` gets the names of a task's jobs that are not touched, with the reason.
    """
    from siaf.cvat.rounds.carry import carry as carry_job
    from siaf.cvat.rounds.carry import carry_task
    from siaf.cvat.rounds.sync import SyncOptions
    from siaf.cvat.server.connection import Server

    server, options = Server(client), SyncOptions(write_as, wait_s=wait_s, overlap=overlap, advise=advise)
    if progress is not None:
        options.progress = progress
    if task is not None and from_job is None and to_job is None:
        return carry_task(server, task, store, sessions, options, left_out)
    if task is None and from_job is not None and to_job is not None:
        return [carry_job(server, from_job, to_job, store, sessions, options)]
    raise InputError("give --from-job A --to-job B, or --task N", field="from_job")


def control(
    client: "Client",
    job: int,
    do: "Action",
    *,
    store: "StateStore",
    objects: Sequence[int] = (),
    from_frame: int | None = None,
    wait_s: float = 0.0,
) -> "ControlReport":
    """Take the last round of a job back ("undo"), or change objects from a task frame on: "swap" two, "merge" the
    second into the first, "split" one. Automatic masks and the session follow; what people made stays.

    Raises InputError, Busy or ServerFault; after any of them it may be called again.
    """
    from siaf.cvat.rounds.control import Control, JobControl
    from siaf.cvat.server.connection import Server

    wanted = Control(do, tuple(objects), from_frame)
    server = Server(client)
    return JobControl(server, job, store.job(server.url, job), wait_s=wait_s).run(wanted)


def adopt(client: "Client", job: int, *, store: "StateStore", wait_s: float = 0.0) -> "ControlReport":
    """Automatic masks that siaf did not write, those of an import say, become its own, for rounds to start from and to
    replace. Only for a job without a session.
    """
    from siaf.cvat.rounds.adopt import adopt as adopt_masks
    from siaf.cvat.server.connection import Server

    server = Server(client)
    return adopt_masks(server, job, store.job(server.url, job), wait_s=wait_s)


def export_state(client: "Client", job: int, path: Path, *, store: "StateStore") -> None:
    """A job's session and ledger as one file."""
    from siaf.cvat.server.connection import Server
    from siaf.cvat.storage import exchange

    exchange.export_state(Server(client), job, store, path)


def import_state(client: "Client", job: int, path: Path, *, store: "StateStore") -> None:
    """The inverse of `export_state`, for another store; also takes a plain `.siaf` file of the same frames."""
    from siaf.cvat.server.connection import Server
    from siaf.cvat.storage import exchange

    exchange.import_state(Server(client), job, store, path)


def report(client: "Client", task: int) -> "list[ObjectRow]":
    """One row per object over all jobs of a task."""
    from siaf.cvat.rounds.overview import task_overview
    from siaf.cvat.server.connection import Server

    return task_overview(Server(client), task)


def export(client: "Client", task: int, path: Path, *, write_as: str) -> "TaskExport":
    """A task's annotations as they stand, as a dataset: a file or folder at `path`.

    `write_as`: a name in `siaf.output.datasets.formats.FORMATS`. Raises InputError naming "as", "out", or what of the
    task is in the way.
    """
    from siaf.cvat.export.task import read_task
    from siaf.cvat.server.connection import Server
    from siaf.output.datasets.formats import FORMATS, check_place, write_dataset

    if write_as not in FORMATS:
        raise InputError(f"{write_as!r} is not one of: {', '.join(FORMATS)}", field="as")
    check_place(path, write_as)
    found = read_task(Server(client), task)
    found.notes += write_dataset(path, found.clip, write_as)
    return found


def bulk(
    client: "Client",
    *,
    jobs: Sequence[int] = (),
    tasks: Sequence[int] = (),
    listing: Path | None = None,
    query: str | None = None,
    store: "StateStore",
    sessions: "Sequence[SessionFactory]",
    write_as: "WriteAs | None" = None,
    overlap: "Overlap | None" = None,
    advise: "Advise | None" = None,
    scribbles: "Scribbles" = "keep",
    results: Path | None = None,
    adapt: bool | None = None,
    on_row: "Callable[[BulkRow], None]" = lambda row: None,
) -> "list[BulkRow]":
    """Rounds on many jobs, as many at a time as `sessions` has entries. A task means its worked-on jobs, then all
    others.

    `adapt` as of `sync`.
    """
    from siaf.cvat.rounds.bulk import read_items, run_bulk
    from siaf.cvat.rounds.sync import SyncOptions
    from siaf.cvat.server.connection import Server

    server = Server(client)
    left_out: list[BulkRow] = []
    items = read_items(server, jobs, tasks, listing, query, left_out)
    options = SyncOptions(write_as, scribbles, adapt=adapt, overlap=overlap, advise=advise)
    return run_bulk(server, items, store, sessions, options, left_out=left_out, results=results, on_row=on_row)


def watch(
    client: "Client",
    *,
    project: int | None = None,
    task: int | None = None,
    store: "StateStore",
    sessions: "SessionFactory",
    trigger: str = "tag",
    poll_s: float = 30.0,
    listen: str | None = None,
    secret: str = "",
    write_as: "WriteAs | None" = None,
    overlap: "Overlap | None" = None,
    advise: "Advise | None" = None,
    scribbles: "Scribbles" = "keep",
    on_report: "Callable[[SyncReport], None]" = lambda report: None,
    stop: Callable[[], bool] = lambda: False,
) -> None:
    """Run rounds as labelers ask for them, until `stop`.

    `listen` "host:port" also receives webhooks, signed with `secret`.
    """
    from siaf.cvat.rounds.sync import SyncOptions
    from siaf.cvat.rounds.watch import Trigger, Watcher
    from siaf.cvat.server.connection import Server
    from siaf.cvat.server.webhooks import WebhookReceiver

    watcher = Watcher(
        Server(client),
        store,
        sessions,
        SyncOptions(write_as, scribbles, overlap=overlap, advise=advise),
        Trigger.parse(trigger),
        project,
        task,
        on_report,
    )
    receiver = WebhookReceiver(listen, secret, watcher.wake.put) if listen is not None else None
    try:
        watcher.run(poll_s=poll_s, stop=stop)
    finally:
        if receiver is not None:
            receiver.close()
