"""What `siaf studio --job N` takes, and the job that it opens; cvat-sdk is loaded only then."""

import argparse
from typing import TYPE_CHECKING

from siaf.commands.common import positive
from siaf.cvat import resources
from siaf.errors import SiafError

if TYPE_CHECKING:
    from siaf.studio.clip import Clip


def add_job_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --job and, by the names that `siaf cvat` has, who logs in where and where sessions lie."""
    group = parser.add_argument_group("a job of CVAT instead of a video")
    group.add_argument(
        "--job", type=positive, metavar="N", help="open this job; its session is the one of siaf cvat sync"
    )
    resources.add_server_arguments(group)
    resources.add_store_argument(group)


def open_job(arguments: argparse.Namespace) -> "Clip":
    """The job. Raises InputError naming what is missing or in the way, ServerFault."""
    try:
        from siaf.cvat.server.connection import Server
        from siaf.cvat.studio.clip import StudioJob
    except ImportError as error:
        raise SiafError(f"the packages for CVAT are missing ({error}); pip install 'siaf-cvat[cvat]'") from None
    server = Server(resources.client(arguments))
    return StudioJob(server, arguments.job, resources.store(arguments).job(server.url, arguments.job))
