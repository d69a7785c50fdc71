"""What `siaf cvat …` does: call a function of `siaf.cvat.commands`, print its report."""

import argparse
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from siaf.commands.common import print_result
from siaf.cvat import resources
from siaf.errors import SiafError

if TYPE_CHECKING:
    from siaf.cvat.rounds.report import SyncReport

DATASETS = {"youtube-vis": ".json", "mots": "", "davis": "", "coco": ".json", "matte": ""}
"""Formats of `siaf cvat export`, and how the default name of what is written ends."""


def run_setup(arguments: argparse.Namespace) -> None:
    """Show the changes, and make them with --yes."""
    from siaf.cvat import commands

    plan = commands.setup(
        resources.client(arguments),
        project=arguments.project,
        task=arguments.task,
        labels=arguments.labels,
        run_tag=arguments.watch,
        right_tag=arguments.accept,
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
        on_row=lambda row: print(f"{row.kind} {row.id}: {row.status}", file=sys.stderr),
    )
    print_result({"rows": [asdict(row) for row in rows]}, list(bulk_lines(rows)), arguments.json)
    failed = sum(row.status == "failed" for row in rows)
    if failed:
        raise SiafError(f"{failed} of {len(rows)} failed")
