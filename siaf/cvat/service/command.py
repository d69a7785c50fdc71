"""`siaf cvat service`: its parts put together, and run."""

import argparse
import logging
import sys

from siaf.cvat import resources
from siaf.cvat.rounds.sync import SyncOptions
from siaf.cvat.service.app import App, make_server
from siaf.cvat.service.board import Board, Replica
from siaf.cvat.service.calls import Calls
from siaf.cvat.service.metrics import Metrics
from siaf.cvat.service.site import Site
from siaf.cvat.sessions.base import SessionFactory
from siaf.cvat.sessions.through_cvat import through_cvat
from siaf.errors import InputError


def run(arguments: argparse.Namespace) -> None:
    """Serve until stopped. Raises InputError naming what is wrong."""
    for name in ("profile", "auth", "user", "org"):
        if getattr(arguments, name) is not None:
            raise InputError(
                "rounds run as whoever asks for them in the browser: give no --profile, --auth, --user or --org",
                field=name,
            )
    if arguments.json:
        raise InputError("there is no result to print: the service runs until it is stopped", field="json")
    host = resources.host(arguments)
    if host is None:
        raise InputError("give --host, or set CVAT_HOST", field="host")
    site = Site.parse(arguments.site or host, host, insecure=arguments.insecure)
    address, port = _listen(arguments.listen)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("cvat_sdk").setLevel(logging.ERROR)
    app = make_app(site, arguments)
    print(f"rounds for {site.origin} on {arguments.listen}; Ctrl-C ends it", file=sys.stderr)
    make_server(app, address, port).run()


def make_app(site: Site, arguments: argparse.Namespace) -> App:
    """The application that arguments describe."""
    store, metrics = resources.store(arguments), Metrics()
    options = SyncOptions(arguments.write_as, arguments.scribbles, overlap=arguments.overlap, advise=arguments.advise)
    board = Board(store, site.origin, _replicas(arguments), options, metrics)
    return App(Calls(site, store, board, metrics), board)


def _replicas(arguments: argparse.Namespace) -> list[Replica]:
    resources.check_sessions(arguments)
    if arguments.via:  # CVAT's door is passed as the person who asks
        return [lambda server: through_cvat(server, arguments.function or resources.TRACKER)]
    return [_for_all(sessions) for sessions in resources.sessions(arguments)]


def _for_all(sessions: SessionFactory) -> Replica:
    return lambda server: sessions


def _listen(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not (port.isascii() and port.isdigit() and int(port) < 65536):
        raise InputError(f"{address!r} is not like 127.0.0.1:8098", field="listen")
    return host.strip("[]") or "0.0.0.0", int(port)
