"""What `siaf studio --job N` and `--jobs` take, and the jobs that they open; cvat-sdk is loaded only then."""

import argparse
from typing import TYPE_CHECKING

from siaf.commands.common import positive
from siaf.cvat import resources
from siaf.errors import SiafError

if TYPE_CHECKING:
    from collections.abc import Callable

    from siaf.studio.clip import Clip


JOB_OPTIONS = ("host", "server_port", "profile", "auth", "user", "org", "insecure", "store")
"""What `add_job_arguments` adds beside --job and --jobs: of no use for a video."""


def add_job_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --job, --jobs and, by the names that `siaf cvat` has, who logs in where and where sessions lie."""
    group = parser.add_argument_group("a job of CVAT instead of a video")
    group.add_argument(
        "--job", type=positive, metavar="N", help="open this job; its session is the one of siaf cvat sync"
    )
    group.add_argument(
        "--jobs", action="store_true", help="open every job that somebody asks for, at the link's /jobs/N/"
    )
    resources.add_server_arguments(group)
    resources.add_store_argument(group)


def open_job(arguments: argparse.Namespace) -> "Clip":
    """The job. Raises InputError naming what is missing or in the way, ServerFault."""
    return job_opener(arguments)(arguments.job)


def job_opener(arguments: argparse.Namespace) -> "Callable[[int], Clip]":
    """Opens a job by its number; that raises InputError, Unopened for what CVAT refuses, and ServerFault.

    Raises InputError naming what is missing to log in.
    """
    try:
        from siaf.cvat.server.connection import Refusal, Server
        from siaf.cvat.studio.clip import StudioJob
    except ImportError as error:
        raise SiafError(f"the packages for CVAT are missing ({error}); pip install 'siaf-cvat[cvat]'") from None
    from siaf.studio.clip import Unopened

    server, store = Server(resources.client(arguments)), resources.store(arguments)

    def opened(number: int) -> "Clip":
        try:
            return StudioJob(server, number, store.job(server.url, number))
        except Refusal as refusal:
            raise Unopened(refusal.message, field=refusal.field, status=refusal.status) from None

    return opened
