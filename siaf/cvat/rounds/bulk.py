"""`bulk`: many jobs, several at a time; one that fails stops nothing."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Lock
from typing import Any, Literal
from urllib.parse import parse_qsl

from siaf.cvat.job.clip import jobs_of_task
from siaf.cvat.rounds.carry import carry_task
from siaf.cvat.rounds.report import SyncReport, ignored_lines, merge_ignored
from siaf.cvat.rounds.sync import JobSync, NothingDrawn, SyncOptions
from siaf.cvat.server.connection import Server
from siaf.cvat.server.faults import ServerFault
from siaf.cvat.sessions.base import SessionFactory
from siaf.cvat.storage.store import StateStore
from siaf.errors import Busy, InputError, SiafError
from siaf.files import atomic_write

ATTEMPT_DELAYS_S = (2.0, 10.0, 30.0)
"""Between attempts at a job on which CVAT or the function failed."""

_TRUTH = "is a ground-truth job, whose frames are no clip"

Kind = Literal["job", "task"]
Item = tuple[Kind, int]


@dataclass
class BulkRow:
    """What became of a job or task. `status`: "done", "nothing" (nothing was drawn), "failed", or "left out", of a job
    that a query found but that is no clip. `created`, `updated` and `deleted` count masks, `tracks` the tracks that
    were written. `left_out`: jobs of a task that had no round, and why; `ignored`: shapes that were not used, by
    reason.
    """

    kind: Kind
    id: int
    status: Literal["done", "nothing", "failed", "left out"]
    attempts: int
    created: int = 0
    updated: int = 0
    deleted: int = 0
    tracks: int = 0
    objects: int = 0
    seconds: float = 0.0
    error: str = ""
    left_out: list[str] = field(default_factory=list)
    ignored: dict[str, list[str]] = field(default_factory=dict)


def read_items(
    server: Server,
    jobs: Sequence[int] = (),
    tasks: Sequence[int] = (),
    listing: Path | None = None,
    query: str | None = None,
    left_out: list[BulkRow] | None = None,
) -> list[Item]:
    """What to work on, each once.

    Ids, lines of a file ("job 7", "task 3", or 7 for a job), and jobs that match a query like "project_id=3&state=new":
    `left_out` gets ground-truth jobs among these. Raises InputError naming "list", "query" or "jobs".
    """
    items: list[Item] = [*(("job", number) for number in jobs), *(("task", number) for number in tasks)]
    if listing is not None:
        items += _read_list(listing)
    if query is not None:
        fields = dict(parse_qsl(query, strict_parsing=False))
        if not fields:
            raise InputError(f'{query!r} is not like "project_id=3&state=new"', field="query")
        for name in fields.keys() - server.job_filters:  # CVAT would ignore it, and answer with all jobs
            known = ", ".join(sorted(server.job_filters))
            raise InputError(f"jobs cannot be searched by {name!r}; use one of: {known}", field="query")
        found = server.jobs(**fields)
        items += [("job", job["id"]) for job in found if job["type"] != "ground_truth"]
        truths = [BulkRow("job", j["id"], "left out", 0, error=_TRUTH) for j in found if j["type"] == "ground_truth"]
        if left_out is not None:
            left_out += truths
        if not items:
            only = f", only ground-truth jobs: {', '.join(str(row.id) for row in truths)}" if truths else ""
            raise InputError(f"no job matches {query!r}{only}", field="query")
    if not items:
        raise InputError("nothing to do; give --jobs, --tasks, --list or --query", field="jobs")
    return list(dict.fromkeys(items))


def run_bulk(
    server: Server,
    items: Sequence[Item],
    store: StateStore,
    sessions: Sequence[SessionFactory],
    options: SyncOptions,
    *,
    left_out: Sequence[BulkRow] = (),
    results: Path | None = None,
    on_row: Callable[[BulkRow], None] = lambda row: None,
) -> list[BulkRow]:
    """Work on all items, as many at a time as `sessions` has entries, one for each replica of the function. Rows of
    `left_out` end the table.

    `results` is a JSON file that is kept up to date: items that are done there are skipped, so that a stopped run
    goes on. Ctrl-C stops every job at its next frame, where the next run goes on.
    """
    rows = _known_rows(results)
    lock, stopped = Lock(), Event()

    def progress(done: int, total: int) -> None:
        options.progress(done, total)
        if stopped.is_set():
            raise KeyboardInterrupt

    def pause(seconds: float) -> None:
        if stopped.wait(seconds):
            raise KeyboardInterrupt

    stoppable = replace(options, progress=progress)
    free: SimpleQueue[SessionFactory] = SimpleQueue()
    for own in sessions:
        free.put(own)

    def work(item: Item) -> None:
        own = free.get()
        try:
            row = _attempts(server, item, store, own, stoppable, pause)
        finally:
            free.put(own)
        with lock:
            rows[item] = row
            if results is not None:
                _save(results, rows)
            on_row(row)

    rows |= {(row.kind, row.id): row for row in left_out}
    todo = [item for item in items if item not in rows or rows[item].status in ("failed", "left out")]
    with ThreadPoolExecutor(len(sessions)) as pool:
        futures = [pool.submit(work, item) for item in todo]
        try:
            for future in futures:
                future.result()
        except BaseException:
            stopped.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    if results is not None and left_out:
        _save(results, rows)
    return [*(rows[item] for item in items), *(row for row in left_out if (row.kind, row.id) not in items)]


def bulk_lines(rows: Sequence[BulkRow]) -> Iterator[str]:
    """A table for people."""
    for row in rows:
        text = f"{row.kind} {row.id}: {row.status}"
        if row.status == "done":
            text += f", masks: {row.created} new, {row.updated} changed, {row.deleted} removed"
            text += f", {row.tracks} tracks written" if row.tracks else ""
            text += f", {row.objects} objects"
        if row.error:
            text += f": {row.error}"
        if row.left_out:
            text += f"; left out: {', '.join(row.left_out)}"
        if row.status == "left out":
            yield text
            continue
        yield f"{text} ({row.seconds:.0f} s, {row.attempts} attempt{'s' if row.attempts > 1 else ''})"
        yield from (f"  {line}" for line in ignored_lines(row.ignored))
    failed = sum(row.status == "failed" for row in rows)
    apart = sum(row.status == "left out" for row in rows)
    yield f"{len(rows)} in all, {failed} failed" + (f", {apart} left out" if apart else "")


def _attempts(
    server: Server,
    item: Item,
    store: StateStore,
    sessions: SessionFactory,
    options: SyncOptions,
    pause: Callable[[float], None],
) -> BulkRow:
    kind, number = item
    started = time.monotonic()
    row = BulkRow(kind, number, "failed", 0)
    for delay in (*ATTEMPT_DELAYS_S, None):
        row.attempts += 1
        try:
            row.left_out, row.ignored = [], {}
            reports = _run(server, item, store, sessions, options, row)
            row.status, row.error = "done" if reports else "nothing", ""
            row.created = sum(report.created for report in reports)
            row.updated = sum(report.updated for report in reports)
            row.deleted = sum(report.deleted for report in reports)
            row.tracks = sum(sum(report.tracks.values()) for report in reports)
            row.objects = len({tag for report in reports for tag in report.objects})
            break
        except (ServerFault, Busy) as error:
            row.error = str(error)
            if delay is None:
                break
            pause(delay)
        except SiafError as error:
            row.error = str(error)
            break
        except Exception as error:  # a bug on one job must not end the night's run for all others
            row.error = f"{type(error).__name__}: {error}"
            break
    row.seconds = round(time.monotonic() - started, 1)
    return row


def _run(
    server: Server, item: Item, store: StateStore, sessions: SessionFactory, options: SyncOptions, row: BulkRow
) -> list[SyncReport]:
    """A job: one round. A task: one round on every job that people worked on, then its objects through all jobs.

    `row` gets the jobs of a task that are not touched, and the shapes that are not used.
    """
    kind, number = item
    if kind == "job":
        report = _sync(server, number, store, sessions, options, row)
        return [report] if report else []
    jobs = jobs_of_task(server, number, row.left_out)
    row.left_out += [f"job {job['id']} (completed)" for job in jobs if job["state"] == "completed"]
    synced = [_sync(server, job["id"], store, sessions, options, row) for job in jobs if job["state"] != "completed"]
    reports = [report for report in synced if report is not None]
    carried = carry_task(server, number, store, sessions, options) if reports else []
    for report in carried:
        merge_ignored(row.ignored, report.ignored)
    return [*reports, *carried]


def _sync(
    server: Server, number: int, store: StateStore, sessions: SessionFactory, options: SyncOptions, row: BulkRow
) -> SyncReport | None:
    try:
        report = JobSync(server, number, store.job(server.url, number), sessions, options).run()
    except NothingDrawn as nothing:
        merge_ignored(row.ignored, nothing.ignored)
        return None
    merge_ignored(row.ignored, report.ignored)
    return report


def _read_list(path: Path) -> list[Item]:
    try:
        lines = path.read_text().splitlines()
    except OSError as error:
        raise InputError(f"cannot read {path} ({error.strerror})", field="list") from None
    items: list[Item] = []
    for i, line in enumerate(lines, 1):
        words = line.split("#")[0].split()
        if not words:
            continue
        kind = words[0] if len(words) == 2 else "job"
        if kind not in ("job", "task") or not words[-1].isdigit() or len(words) > 2:
            raise InputError(f'line {i} of {path} is not like "job 7" or "task 3": {line.strip()!r}', field="list")
        items.append(("task" if kind == "task" else "job", int(words[-1])))
    return items


def _known_rows(path: Path | None) -> dict[Item, BulkRow]:
    if path is None or not path.exists():
        return {}
    try:
        table = json.loads(path.read_bytes())
        if not isinstance(table, list):
            raise ValueError("it does not hold a table")
        rows = [BulkRow(**row) for row in table]
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{path} is not a result of an earlier run ({error})", field="results") from None
    return {(row.kind, row.id): row for row in rows}


def _save(path: Path, rows: dict[Item, BulkRow]) -> None:
    table: list[dict[str, Any]] = [asdict(row) for row in rows.values()]
    with atomic_write(path) as file:
        file.write(json.dumps(table, indent=1).encode())
