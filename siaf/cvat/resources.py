"""What the commands of `siaf cvat` need, made from their arguments; cvat-sdk is loaded here at the earliest."""

import argparse
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from siaf.commands.common import chosen_model, chosen_options, positive
from siaf.errors import InputError

if TYPE_CHECKING:  # cvat-sdk takes half a second to load: only for commands that talk to CVAT
    from cvat_sdk.core.client import Client

    from siaf.cvat.sessions.base import Progress, SessionFactory
    from siaf.cvat.storage.store import StateStore

TRACKER = "siaf-tracker"
"""The function's id in CVAT, unless another is given."""


def add_server_arguments(parser: "argparse._ActionsContainer") -> None:
    """Add what cvat-sdk's own command line takes, by the same names; cvat-sdk is not loaded for it."""
    parser.add_argument(
        "--host", "--server-host", metavar="URL", help="CVAT's address (default: CVAT_HOST, then the default profile's)"
    )
    parser.add_argument("--server-port", type=positive, metavar="N", help="its port, if the address has none")
    parser.add_argument("--profile", metavar="NAME", help="use a profile that cvat-cli saved: a server and a token")
    parser.add_argument(
        "--auth",
        metavar="USER[:PASS]",
        help="log in with a password, if need be from PASS (default: the token in CVAT_ACCESS_TOKEN)",
    )
    parser.add_argument("--user", help="log in as this user, with CVAT_PASSWORD")
    parser.add_argument("--org", "--organization", metavar="SLUG", help="organization to work in")
    parser.add_argument("--insecure", action="store_true", help="do not check the server's TLS certificate")


def add_store_argument(parser: "argparse._ActionsContainer") -> None:
    """Add --store."""
    parser.add_argument("--store", metavar="URL", help="folder or fsspec URL for sessions (default: SIAF_STORE)")


def client(arguments: argparse.Namespace) -> "Client":
    """A client of the CVAT that is meant. Raises InputError naming what is missing."""
    from siaf.cvat.server.login import connect_as

    user = None
    if arguments.user:
        password = os.environ.get("CVAT_PASSWORD")
        if password is None:
            raise InputError("set CVAT_PASSWORD", field="user")
        user = (arguments.user, password)
    if arguments.profile and (arguments.host or arguments.server_port or arguments.user or arguments.auth):
        raise InputError("has a server and a token: give no --host, --server-port, --user or --auth", field="profile")
    return connect_as(
        host=None if arguments.profile else host(arguments),
        profile=arguments.profile,
        auth=arguments.auth,
        user=user,
        organization=arguments.org,
        insecure=arguments.insecure,
    )


def host(arguments: argparse.Namespace) -> str | None:
    """CVAT's address, with scheme and port, of the command line or CVAT_HOST; None if neither has one.

    Raises InputError naming "server-port".
    """
    name = arguments.host or os.environ.get("CVAT_HOST")
    if not name:
        if arguments.server_port:
            raise InputError("give --host too, or set CVAT_HOST", field="server-port")
        return None
    address = name if "://" in name else f"https://{name}"
    if not arguments.server_port:
        return str(address)
    if re.search(r":\d+/*$", address):
        raise InputError(f"{name} has a port already", field="server-port")
    return f"{address.rstrip('/')}:{arguments.server_port}"


def store(arguments: argparse.Namespace) -> "StateStore":
    """Where sessions are kept."""
    from siaf.cvat.storage.store import StateStore, default_store

    return StateStore(arguments.store or default_store())


def check_sessions(arguments: argparse.Namespace) -> None:
    """Raises InputError naming an option that would be ignored where the arguments say that sessions run."""
    if arguments.url and arguments.via:
        raise InputError("give --url or --via, not both", field="via")
    if arguments.function and not arguments.via:
        raise InputError("is for --via cvat", field="function")
    if arguments.url or arguments.via:
        for option in chosen_options(arguments):
            raise InputError(f"is a setting of the function there: SIAF_{option.upper()}", field=option)


def sessions(arguments: argparse.Namespace, connected: "Client | None" = None) -> "Sequence[SessionFactory]":
    """One for every replica; one for CVAT's door, one for this process. Raises InputError as `check_sessions`."""
    check_sessions(arguments)
    if arguments.url:
        from siaf.cvat.sessions.function_client import FunctionClient
        from siaf.cvat.sessions.remote import remote_sessions

        token = os.environ.get("SIAF_TOKEN")
        return [remote_sessions(FunctionClient(url, token)) for url in arguments.url]
    if arguments.via:
        assert connected is not None
        from siaf.cvat.server.connection import Server
        from siaf.cvat.sessions.through_cvat import through_cvat

        return [through_cvat(Server(connected), arguments.function or TRACKER)]
    from siaf.cvat.sessions.local import local_sessions

    return [local_sessions(lambda: chosen_model(arguments))]


@contextmanager
def progress_bar(title: str) -> "Iterator[Progress]":
    """A progress bar on stderr; none if stderr is not a terminal."""
    from tqdm import tqdm

    with tqdm(total=0, desc=title, unit="frame", disable=not sys.stderr.isatty()) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield show
