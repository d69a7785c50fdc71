"""`siaf cvat …`: read arguments, call a function of `siaf.cvat.commands`, print its report."""

import argparse
import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from siaf.commands.common import (
    Subparsers,
    add_json_argument,
    add_model_arguments,
    frame_list,
    frame_span,
    interval,
    natural,
    positive,
    print_result,
    seconds,
)
from siaf.cvat import resources
from siaf.errors import SiafError

if TYPE_CHECKING:
    from siaf.cvat.rounds.report import SyncReport

WAYS = ("mask", "polygon-track", "rectangle-track")
_CONTROLS = {
    "undo": "take back the last round on a job",
    "swap": "let two objects change places from a frame on",
    "merge": "make object B part of object A from a frame on",
    "split": "make an object a new one from a frame on",
}
DATASETS = {"youtube-vis": ".json", "mots": "", "davis": "", "coco": ".json", "matte": ""}
"""Formats of `siaf cvat export`, and how the default name of what is written ends."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")

    each = _add(actions, "setup", run_setup, "add what labelers need to a project or task")
    _add_owner(each)
    each.add_argument(
        "--labels", nargs="+", metavar="NAME", help="labels to use for objects (default: all that can hold masks)"
    )
    each.add_argument("--watch", action="store_true", help="also add the tag 'siaf:run', for siaf cvat watch")
    each.add_argument(
        "--studio", metavar="URL", help="put a link to the studio at this address into the annotation guide"
    )
    each.add_argument("--yes", action="store_true", help="make the changes (default: only show them)")

    each = _add(actions, "sync", run_sync, "run one round on a job", session=True)
    each.add_argument("--job", type=positive, required=True, metavar="N")
    _add_writing(each)
    each.add_argument("--dry-run", action="store_true", help="show what the round would use, and change nothing")
    each.add_argument("--yes", action="store_true", help="use masks without a number as they are (default: ask first)")
    each.add_argument(
        "--wait", type=seconds, default=0.0, metavar="S", help="wait this many seconds for another sync on the job"
    )
    each.add_argument(
        "--adapt", action="store_true", help="first adapt the network to the masks that people drew or corrected"
    )
    each.add_argument("--frames", type=frame_span, metavar="A-B", help="fill these frames only, as CVAT numbers them")
    each.add_argument(
        "--barriers",
        type=frame_list,
        metavar="F,G",
        help='frames that nothing crosses, as first ones after cuts; "none" lifts them (default: as before)',
    )

    each = _add(
        actions, "carry", run_carry, "carry objects and memory from one job to another, or through a task", session=True
    )
    each.add_argument("--from-job", type=positive, metavar="A", help="take the objects from this job")
    each.add_argument("--to-job", type=positive, metavar="B", help="and carry them to this one")
    each.add_argument("--task", type=positive, metavar="N", help="or carry through all jobs of a task, in order")
    each.add_argument("--as", dest="write_as", choices=WAYS, help="how to write results (default: as before)")
    _add_overlap(each)

    for name, text in _CONTROLS.items():
        each = _add(actions, name, run_control, text, store=True)
        each.add_argument("--job", type=positive, required=True, metavar="N")
        each.set_defaults(objects=[], from_frame=None)
        if name in ("swap", "merge"):
            each.add_argument("--objects", type=positive, nargs=2, required=True, metavar=("A", "B"))
        elif name == "split":
            each.add_argument("--object", dest="objects", type=positive, nargs=1, required=True, metavar="A")
        if name != "undo":
            each.add_argument("--from-frame", type=natural, required=True, metavar="F", help="as CVAT numbers it")
        each.add_argument(
            "--wait", type=seconds, default=0.0, metavar="S", help="wait this many seconds for a round on the job"
        )

    each = _add(actions, "adopt", run_adopt, "take over automatic masks of an import, to start from", store=True)
    each.add_argument("--job", type=positive, required=True, metavar="N")

    each = _add(actions, "export-state", run_export, "save a job's session as one file", store=True)
    each.add_argument("--job", type=positive, required=True, metavar="N")
    each.add_argument("--out", type=Path, required=True, metavar="FILE")

    each = _add(
        actions, "import-state", run_import, "load an exported session, or a .siaf file, into a job", store=True
    )
    each.add_argument("--job", type=positive, required=True, metavar="N")
    each.add_argument("file", type=Path)

    each = _add(actions, "export", run_dataset, "write a task's masks as a dataset, with their object numbers")
    each.add_argument("--task", type=positive, required=True, metavar="N")
    each.add_argument("--as", dest="write_as", choices=DATASETS, required=True, help="the dataset's format")
    each.add_argument(
        "-o", "--out", type=Path, metavar="PATH", help="file or folder to write (default: task-N-FORMAT here)"
    )

    each = _add(actions, "report", run_report, "show one row per object over all jobs of a task")
    each.add_argument("--task", type=positive, required=True, metavar="N")

    each = _add(actions, "watch", run_watch, "run rounds when labelers ask for them", session=True)
    _add_owner(each)
    _add_writing(each)
    each.add_argument(
        "--trigger",
        default="tag",
        help='what asks for a round: "tag" (siaf:run, default) or a job state, such as "state:in progress"',
    )
    each.add_argument("--poll", type=interval, default=30.0, metavar="S", help="seconds between checks (default: 30)")
    each.add_argument("--listen", metavar="HOST:PORT", help="receive webhooks here, signed with SIAF_WEBHOOK_SECRET")

    each = _add(actions, "service", run_service, "run rounds for the actions in CVAT's own pages", session=True)
    _add_writing(each)
    each.add_argument("--site", metavar="URL", help="CVAT's address in browsers (default: --host)")
    each.add_argument("--listen", default="127.0.0.1:8098", metavar="HOST:PORT", help="default: 127.0.0.1:8098")

    each = _add(actions, "bulk", run_bulk, "run rounds on many jobs, several at a time", session=True)
    each.add_argument("--jobs", type=positive, nargs="+", default=[], metavar="N")
    each.add_argument("--tasks", type=positive, nargs="+", default=[], metavar="N")
    each.add_argument("--list", type=Path, metavar="FILE", help='file with lines such as "job 7" or "task 3"')
    each.add_argument("--query", help='jobs that match, such as "project_id=3&state=new"')
    each.add_argument(
        "--results", type=Path, metavar="FILE", help="write the table as JSON; a stopped run resumes from it"
    )
    _add_writing(each)


def _add(
    actions: Subparsers, name: str, run: Any, text: str, *, session: bool = False, store: bool = False
) -> argparse.ArgumentParser:
    parser = actions.add_parser(name, help=text, description=text)
    parser.set_defaults(run=lambda arguments: _with_extra(run, arguments))
    resources.add_server_arguments(parser)
    if session or store:
        resources.add_store_argument(parser)
    if session:
        parser.add_argument(
            "--url",
            action="append",
            default=[],
            help="address of siaf's function, with its token in SIAF_TOKEN; repeat it for replicas",
        )
        parser.add_argument("--via", choices=("cvat",), help="reach the function through CVAT")
        parser.add_argument(
            "--function", metavar="ID", help=f"with --via, the function's id in CVAT (default: {resources.TRACKER})"
        )
        add_model_arguments(parser)
    add_json_argument(parser)
    return parser


def _add_owner(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--project", type=positive, metavar="N")
    parser.add_argument("--task", type=positive, metavar="N")


def _add_writing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--as", dest="write_as", choices=WAYS, help="how to write results (default: as before, else mask)"
    )
    parser.add_argument(
        "--scribbles", choices=("keep", "mark", "remove"), default="keep", help="what to do with used ones"
    )
    _add_overlap(parser)


def _add_overlap(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--overlap",
        choices=("both", "once"),
        help="masks on frames that two jobs share: in both jobs, or once, in the earlier one (default: as before)",
    )
    parser.add_argument(
        "--advise",
        choices=("issues", "tags", "none"),
        help="note the frames to look at next in the job, as issues or as tags 'siaf:next' (default: as before)",
    )


# -- running ----------------------------------------------------------------------------------------------------------


def _with_extra(run: Callable[[argparse.Namespace], None], arguments: argparse.Namespace) -> None:
    try:
        import cvat_sdk.core.client  # noqa: F401
        import fsspec  # noqa: F401
    except ImportError as error:
        raise SiafError(f"the packages for CVAT are missing ({error}); pip install 'siaf-cvat[cvat]'") from None
    run(arguments)


def run_setup(arguments: argparse.Namespace) -> None:
    """Show the changes, and make them with --yes."""
    from siaf.cvat import commands

    plan = commands.setup(
        resources.client(arguments),
        project=arguments.project,
        task=arguments.task,
        labels=arguments.labels,
        run_tag=arguments.watch,
        studio=arguments.studio,
        apply=arguments.yes,
    )
    done = "changed" if arguments.yes else "would change (repeat with --yes)"
    head = f"{plan.owner}: {done}" if plan.changes else f"{plan.owner}: everything is there already"
    result = {"owner": plan.owner, "changes": plan.changes, "applied": bool(arguments.yes)}
    print_result(result, [head, *(f"  {change}" for change in plan.changes), "", plan.how_to], arguments.json)


def run_sync(arguments: argparse.Namespace) -> None:
    """Run one round."""
    from siaf.cvat import commands

    client = resources.client(arguments)
    with resources.progress_bar(f"job {arguments.job}") as progress:
        report = commands.sync(
            client,
            arguments.job,
            store=resources.store(arguments),
            sessions=resources.sessions(arguments, client)[0],
            write_as=arguments.write_as,
            overlap=arguments.overlap,
            advise=arguments.advise,
            scribbles=arguments.scribbles,
            dry_run=arguments.dry_run,
            yes=arguments.yes,
            wait_s=arguments.wait,
            adapt=arguments.adapt,
            frames=arguments.frames,
            barriers=arguments.barriers,
            progress=progress,
        )
    print_result(report.as_json(), report.lines(), arguments.json)


def run_carry(arguments: argparse.Namespace) -> None:
    """Carry objects from job to job."""
    from siaf.cvat import commands

    client = resources.client(arguments)
    left_out: list[str] = []
    with resources.progress_bar("carry") as progress:
        reports = commands.carry(
            client,
            from_job=arguments.from_job,
            to_job=arguments.to_job,
            task=arguments.task,
            store=resources.store(arguments),
            sessions=resources.sessions(arguments, client)[0],
            write_as=arguments.write_as,
            overlap=arguments.overlap,
            advise=arguments.advise,
            progress=progress,
            left_out=left_out,
        )
    lines = [line for report in reports for line in report.lines()]
    if left_out:
        lines.append(f"left out: {', '.join(left_out)}")
    print_result({"jobs": [report.as_json() for report in reports], "left_out": left_out}, lines, arguments.json)


def run_control(arguments: argparse.Namespace) -> None:
    """Take a round back, or change objects."""
    from siaf.cvat import commands

    report = commands.control(
        resources.client(arguments),
        arguments.job,
        arguments.action,
        store=resources.store(arguments),
        objects=arguments.objects,
        from_frame=arguments.from_frame,
        wait_s=arguments.wait,
    )
    print_result(report.as_json(), report.lines(), arguments.json)


def run_adopt(arguments: argparse.Namespace) -> None:
    """Adopt masks."""
    from siaf.cvat import commands

    report = commands.adopt(resources.client(arguments), arguments.job, store=resources.store(arguments))
    print_result(report.as_json(), report.lines(), arguments.json)


def run_export(arguments: argparse.Namespace) -> None:
    """Write the file."""
    from siaf.cvat import commands

    commands.export_state(resources.client(arguments), arguments.job, arguments.out, store=resources.store(arguments))
    print_result({"job": arguments.job, "file": str(arguments.out)}, [f"saved to {arguments.out}"], arguments.json)


def run_import(arguments: argparse.Namespace) -> None:
    """Read the file."""
    from siaf.cvat import commands

    commands.import_state(resources.client(arguments), arguments.job, arguments.file, store=resources.store(arguments))
    print_result({"job": arguments.job}, [f"job {arguments.job} continues from {arguments.file}"], arguments.json)


def run_dataset(arguments: argparse.Namespace) -> None:
    """Write the dataset."""
    from siaf.cvat import commands

    kind = arguments.write_as
    path = arguments.out or Path(f"task-{arguments.task}-{kind}{DATASETS[kind]}")
    found = commands.export(resources.client(arguments), arguments.task, path, write_as=kind)
    print_result(
        {"task": arguments.task, "as": kind, "out": str(path), **found.as_json()},
        [f"task {arguments.task}, as {kind}, in {path}", *(f"  {line}" for line in found.lines())],
        arguments.json,
    )


def run_report(arguments: argparse.Namespace) -> None:
    """Print the table."""
    from siaf.cvat import commands
    from siaf.cvat.rounds.overview import overview_lines

    rows = commands.report(resources.client(arguments), arguments.task)
    print_result({"objects": [row.as_json() for row in rows]}, overview_lines(rows), arguments.json)


def run_watch(arguments: argparse.Namespace) -> None:
    """Watch until stopped."""
    from siaf.cvat import commands

    client = resources.client(arguments)

    def show(report: "SyncReport") -> None:
        print_result(report.as_json(), report.lines(), arguments.json)
        sys.stdout.flush()

    print(f"watching, checking every {arguments.poll:g} s; press Ctrl-C to stop", file=sys.stderr)
    commands.watch(
        client,
        project=arguments.project,
        task=arguments.task,
        store=resources.store(arguments),
        sessions=resources.sessions(arguments, client)[0],
        trigger=arguments.trigger,
        poll_s=arguments.poll,
        listen=arguments.listen,
        secret=os.environ.get("SIAF_WEBHOOK_SECRET", ""),
        write_as=arguments.write_as,
        overlap=arguments.overlap,
        advise=arguments.advise,
        scribbles=arguments.scribbles,
        on_report=show,
    )


def run_service(arguments: argparse.Namespace) -> None:
    """Until stopped."""
    try:
        from siaf.cvat.service.command import run
    except ImportError as error:
        raise SiafError(f"the server's packages are missing ({error}); pip install 'siaf-cvat[cvat,serve]'") from None
    run(arguments)


def run_bulk(arguments: argparse.Namespace) -> None:
    """Run all jobs and print the table. Raises SiafError if anything failed."""
    from siaf.cvat import commands
    from siaf.cvat.rounds.bulk import bulk_lines

    client = resources.client(arguments)
    if arguments.via is not None:
        print("no job is adapted: a session that is reached through CVAT cannot be; use --url", file=sys.stderr)
    rows = commands.bulk(
        client,
        jobs=arguments.jobs,
        tasks=arguments.tasks,
        listing=arguments.list,
        query=arguments.query,
        store=resources.store(arguments),
        sessions=resources.sessions(arguments, client),
        write_as=arguments.write_as,
        overlap=arguments.overlap,
        advise=arguments.advise,
        scribbles=arguments.scribbles,
        results=arguments.results,
        adapt=arguments.via is None,  # a session behind CVAT cannot
        on_row=lambda row: print(f"{row.kind} {row.id}: {row.status}", file=sys.stderr),
    )
    print_result({"rows": [asdict(row) for row in rows]}, list(bulk_lines(rows)), arguments.json)
    failed = sum(row.status == "failed" for row in rows)
    if failed:
        raise SiafError(f"{failed} of {len(rows)} failed")
