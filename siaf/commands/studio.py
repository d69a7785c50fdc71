"""`siaf studio`: draw on a video in the browser, propagate, correct, export."""

import argparse
import logging
import os
import secrets
import sys
import threading
import webbrowser
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from siaf.commands.common import add_model_arguments, chosen_model
from siaf.cvat.studio.opening import JOB_OPTIONS, add_job_arguments, job_opener, open_job
from siaf.errors import InputError, SiafError

if TYPE_CHECKING:
    from siaf.studio.clip import Clip
    from siaf.studio.rooms import Rooms
    from siaf.studio.server import Door

_PORT = 8477


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.description = "Ctrl-C ends it. Whatever you do is saved as you do it."
    parser.add_argument(
        "video",
        type=Path,
        nargs="?",
        metavar="VIDEO",
        help="video file, folder of images, image file, or VIDEO.siaf beside one",
    )
    parser.add_argument(
        "--session", type=Path, metavar="FILE", help="where the session is kept (default: VIDEO.siaf beside the video)"
    )
    parser.add_argument(
        "--new", action="store_true", help="begin a new session; the one that was kept is renamed to ….siaf.1"
    )
    parser.add_argument(
        "--port",
        type=_port,
        help=f"port of this machine to serve the page on (default: {_PORT}); 0 picks a free one",
    )
    parser.add_argument(
        "--listen",
        metavar="HOST:PORT",
        help="let others reach it: they need the link with the token that is printed, or with that of SIAF_TOKEN",
    )
    parser.add_argument(
        "--host-name",
        action="append",
        default=[],
        metavar="NAME",
        help="a name under which others reach it, as that of a proxy; repeat it for more",
    )
    parser.add_argument("--no-browser", action="store_true", help="print the link and open no browser")
    add_model_arguments(parser)
    add_job_arguments(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Open the clip, and serve the page until stopped."""
    try:
        from siaf.studio.server import make_server
    except ImportError as error:
        raise SiafError(f"the studio's packages are missing ({error}); pip install 'siaf-cvat[serve]'") from None
    _check_one_source(arguments)
    door = _door(arguments)
    rooms, title, kept = _jobs(arguments) if arguments.jobs else _clip(arguments)
    server = make_server(rooms, door)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    print(f"{title}: {door.link}", file=sys.stderr)
    print(f"{kept}; Ctrl-C ends the studio", file=sys.stderr)
    if not arguments.no_browser:
        _when(lambda: server.started, lambda: webbrowser.open(door.link))
    with suppress(KeyboardInterrupt):  # which is how it is meant to end
        server.run()


def _check_one_source(arguments: argparse.Namespace) -> None:
    """InputError unless a video, a job, or all jobs are to be opened, without what belongs to another of them."""
    if (arguments.video is not None) + (arguments.job is not None) + arguments.jobs != 1:
        raise InputError("give a video, or a job of CVAT with --job, or --jobs", field="video")
    if arguments.video is None:
        for name in ("session", "new"):
            if getattr(arguments, name):
                raise InputError("is for videos: a job's session lies in the store (--store)", field=f"--{name}")
        return
    for name in JOB_OPTIONS:
        if getattr(arguments, name):
            raise InputError("is for jobs of CVAT (--job, --jobs)", field=f"--{name.replace('_', '-')}")


def _jobs(arguments: argparse.Namespace) -> "tuple[Rooms, str, str]":
    """Jobs that are opened as people come; what they are, and where they are kept, for people."""
    from siaf.studio.rooms import JobRooms

    opened = job_opener(arguments)
    model = chosen_model(arguments)
    return JobRooms(opened, model), "jobs of CVAT", "each job's session is kept in the store"


def _clip(arguments: argparse.Namespace) -> "tuple[Rooms, str, str]":
    """The clip that is opened; what it is, and where it is kept, for people."""
    from siaf.studio.rooms import OneRoom

    clip = _opened(arguments)
    try:
        model = chosen_model(arguments)
        return OneRoom(clip, clip.load(model)), clip.name, f"the session is kept in {clip.place}"
    except BaseException:
        clip.close()
        raise


def _opened(arguments: argparse.Namespace) -> "Clip":
    """A video or a job. Raises InputError naming an argument."""
    if arguments.job is not None:
        return open_job(arguments)
    from siaf.studio.clip import open_clip

    clip = open_clip(arguments.video, arguments.session)
    try:
        if arguments.new and (kept := clip.set_aside()) is not None:
            print(f"the former session is kept in {kept}", file=sys.stderr)
    except BaseException:
        clip.close()
        raise
    return clip


def _door(arguments: argparse.Namespace) -> "Door":
    """Where the page is served, and who may come in. Raises InputError naming an argument."""
    from siaf.studio.server import Door

    token = os.environ.get("SIAF_TOKEN", "")
    if arguments.listen is None:
        port = _PORT if arguments.port is None else arguments.port
        return Door.on("127.0.0.1", port, token, arguments.host_name, field="--port")
    if arguments.port is not None:
        raise InputError("give the port in --listen", field="--port")
    host, _, port_text = arguments.listen.rpartition(":")
    if not (port_text.isascii() and port_text.isdigit() and int(port_text) < 65536):
        raise InputError(f"must be like 0.0.0.0:8477, not {arguments.listen!r}", field="--listen")
    host = host.strip("[]") or "0.0.0.0"
    return Door.on(host, int(port_text), token or secrets.token_urlsafe(24), arguments.host_name, field="--listen")


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"a port is a number from 0 to 65535, not {text!r}")
    return int(text)


def _when(ready: Callable[[], bool], then: Callable[[], object]) -> None:
    """Do something once the server answers."""

    def wait() -> None:
        pause = threading.Event()
        while not ready():
            pause.wait(0.05)
        then()

    threading.Thread(target=wait, daemon=True).start()
