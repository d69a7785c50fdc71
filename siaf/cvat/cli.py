"""`siaf cvat …`: what the command takes. What it then does: `siaf.cvat.actions`."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from siaf.commands.common import (
    Subparsers,
    add_json_argument,
    add_model_arguments,
    frame_list,
    frame_span,
    interval,
    natural,
    positive,
    seconds,
)
from siaf.cvat import actions, resources
from siaf.cvat.actions import DATASETS
from siaf.errors import SiafError

WAYS = ("mask", "polygon-track", "rectangle-track")
_CONTROLS = {
    "undo": "take back the last round on a job",
    "swap": "let two objects change places from a frame on",
    "merge": "make object B part of object A from a frame on",
    "split": "make an object a new one from a frame on",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    added = parser.add_subparsers(dest="action", required=True, metavar="ACTION")

    each = _add(added, "setup", actions.run_setup, "add what labelers need to a project or task")
    _add_owner(each)
    each.add_argument(
        "--labels", nargs="+", metavar="NAME", help="labels to use for objects (default: all that can hold masks)"
    )
    each.add_argument("--watch", action="store_true", help="also add the tag 'siaf:run', for siaf cvat watch")
    each.add_argument(
        "--accept", action="store_true", help="also add the tag 'siaf:right', which says that a frame's masks are right"
    )
    each.add_argument(
        "--studio", metavar="URL", help="put a link to the studio at this address into the annotation guide"
    )
    each.add_argument("--yes", action="store_true", help="make the changes (default: only show them)")

    each = _add(added, "sync", actions.run_sync, "run one round on a job", session=True)
    each.add_argument("--job", type=positive, required=True, metavar="N")
    _add_writing(each)
    each.add_argument("--dry-run", action="store_true", help="show what the round would use, and change nothing")
    each.add_argument("--yes", action="store_true", help="use masks without a number as they are (default: ask first)")
    each.add_argument(
        "--wait", type=seconds, default=0.0, metavar="S", help="wait this many seconds for another sync on the job"
    )
    each.add_argument(
        "--adapt",
        action=argparse.BooleanOptionalAction,
        help="first adapt the network to the masks that people drew or corrected (default: if there are some)",
    )
    each.add_argument("--frames", type=frame_span, metavar="A-B", help="fill these frames only, as CVAT numbers them")
    each.add_argument(
        "--barriers",
        type=frame_list,
        metavar="F,G",
        help='frames that nothing crosses, as first ones after cuts; "none" lifts them (default: as before)',
    )

    each = _add(
        added,
        "carry",
        actions.run_carry,
        "carry objects and memory from one job to another, or through a task",
        session=True,
    )
    each.add_argument("--from-job", type=positive, metavar="A", help="take the objects from this job")
    each.add_argument("--to-job", type=positive, metavar="B", help="and carry them to this one")
    each.add_argument("--task", type=positive, metavar="N", help="or carry through all jobs of a task, in order")
    each.add_argument("--as", dest="write_as", choices=WAYS, help="how to write results (default: as before)")
    _add_overlap(each)

    for name, text in _CONTROLS.items():
        each = _add(added, name, actions.run_control, text, store=True)
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

    each = _add(added, "adopt", actions.run_adopt, "take over automatic masks of an import, to start from", store=True)
    each.add_argument("--job", type=positive, required=True, metavar="N")

    each = _add(added, "export-state", actions.run_export, "save a job's session as one file", store=True)
    each.add_argument("--job", type=positive, required=True, metavar="N")
    each.add_argument("--out", type=Path, required=True, metavar="FILE")

    each = _add(
        added, "import-state", actions.run_import, "load an exported session, or a .siaf file, into a job", store=True
    )
    each.add_argument("--job", type=positive, required=True, metavar="N")
    each.add_argument("file", type=Path)

    each = _add(added, "export", actions.run_dataset, "write a task's masks as a dataset, with their object numbers")
    each.add_argument("--task", type=positive, required=True, metavar="N")
    each.add_argument("--as", dest="write_as", choices=DATASETS, required=True, help="the dataset's format")
    each.add_argument(
        "-o", "--out", type=Path, metavar="PATH", help="file or folder to write (default: task-N-FORMAT here)"
    )

    each = _add(added, "report", actions.run_report, "show one row per object over all jobs of a task")
    each.add_argument("--task", type=positive, required=True, metavar="N")

    each = _add(added, "watch", actions.run_watch, "run rounds when labelers ask for them", session=True)
    _add_owner(each)
    _add_writing(each)
    each.add_argument(
        "--trigger",
        default="tag",
        help='what asks for a round: "tag" (siaf:run, default) or a job state, such as "state:in progress"',
    )
    each.add_argument("--poll", type=interval, default=30.0, metavar="S", help="seconds between checks (default: 30)")
    each.add_argument("--listen", metavar="HOST:PORT", help="receive webhooks here, signed with SIAF_WEBHOOK_SECRET")

    each = _add(added, "service", actions.run_service, "run rounds for the actions in CVAT's own pages", session=True)
    _add_writing(each)
    each.add_argument("--site", metavar="URL", help="CVAT's address in browsers (default: --host)")
    each.add_argument("--listen", default="127.0.0.1:8098", metavar="HOST:PORT", help="default: 127.0.0.1:8098")

    each = _add(added, "bulk", actions.run_bulk, "run rounds on many jobs, several at a time", session=True)
    each.add_argument("--jobs", type=positive, nargs="+", default=[], metavar="N")
    each.add_argument("--tasks", type=positive, nargs="+", default=[], metavar="N")
    each.add_argument("--list", type=Path, metavar="FILE", help='file with lines such as "job 7" or "task 3"')
    each.add_argument("--query", help='jobs that match, such as "project_id=3&state=new"')
    each.add_argument(
        "--results", type=Path, metavar="FILE", help="write the table as JSON; a stopped run resumes from it"
    )
    _add_writing(each)


def _add(
    added: Subparsers, name: str, run: Any, text: str, *, session: bool = False, store: bool = False
) -> argparse.ArgumentParser:
    parser = added.add_parser(name, help=text, description=text)
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


def _with_extra(run: Callable[[argparse.Namespace], None], arguments: argparse.Namespace) -> None:
    try:
        import cvat_sdk.core.client  # noqa: F401
        import fsspec  # noqa: F401
    except ImportError as error:
        raise SiafError(f"the packages for CVAT are missing ({error}); pip install 'siaf-cvat[cvat]'") from None
    run(arguments)
