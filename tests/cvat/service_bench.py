"""The service as the tests of it use it: in this process or in one of its own, and browsers that ask it."""

import contextlib
import copy
import json
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from bench import Bench, Pictures
from chaos import tiny
from standin import StandIn
from standin_sessions import sign_in

from siaf.cvat.rounds.sync import SyncOptions
from siaf.cvat.server.connection import connect
from siaf.cvat.service.app import App, make_server
from siaf.cvat.service.board import Board
from siaf.cvat.service.calls import Calls
from siaf.cvat.service.metrics import Metrics
from siaf.cvat.service.site import Site
from siaf.cvat.sessions.base import JobSession, SessionFactory
from siaf.cvat.sessions.local import local_sessions
from siaf.cvat.storage.store import StateStore

Json = dict[str, Any]
LINES = {1: (8.0, 20.0, 20.0, 20.0), 2: (72.0, 50.0, 85.0, 50.0)}
OVER = ("done", "failed", "cancelled", "interrupted")


def free_port() -> int:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as taken:
        return int(taken.getsockname()[1])


@contextlib.contextmanager
def serving(
    standin: StandIn, store: StateStore, sessions: Sequence[SessionFactory], site: str | None = None
) -> Iterator[str]:
    """A service in this process, its rounds kept as those of the stand-in's own address; where it listens.

    `site`: the origin of browsers' pages; without one, the stand-in's.
    """
    place = Site(site or standin.url, standin.url)
    metrics = Metrics()
    makers = [_for_all(each) for each in sessions]
    board = Board(store, place.origin, makers, SyncOptions(), metrics)
    port = free_port()
    server = make_server(App(Calls(place, store, board, metrics), board), "127.0.0.1", port)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until(lambda: server.started, "the service listens")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(60)
        assert not thread.is_alive()


def _for_all(sessions: SessionFactory) -> Callable[[Any], SessionFactory]:
    return lambda server: sessions


class Browser:
    """A user's browser with CVAT open: cookies and headers as the plugin's script sends them."""

    def __init__(self, standin: StandIn, service: str, user: str, site: str | None = None) -> None:
        cookies = sign_in(standin.world, user)
        site = site or standin.url
        self.service = service
        self.headers = {
            "Host": site.split("://")[1],
            "Origin": site,
            "Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items()),
            "X-CSRFToken": cookies["csrftoken"],
            "X-Siaf": "1",
        }

    def ask(self, method: str, path: str, body: Any = None, **changed: str | None) -> tuple[int, Any]:
        """Status and answer; headers may be changed, or left out with None."""
        headers = {**self.headers, **{name.replace("_", "-"): value for name, value in changed.items()}}
        data = None if body is None else json.dumps(body).encode()
        if data is not None:
            headers = {"Content-Type": "application/json", **headers}
        sent = {name: value for name, value in headers.items() if value is not None}
        request = urllib.request.Request(f"{self.service}/siaf/{path}", data, sent, method=method)
        try:
            with urllib.request.urlopen(request, timeout=120) as reply:
                return reply.status, _content(reply)
        except urllib.error.HTTPError as error:
            return error.code, _content(error)

    def start(self, job: int, **options: Any) -> Json:
        status, asked = self.ask("POST", f"jobs/{job}/rounds", options)
        assert status == 202, asked
        return dict(asked)

    def round(self, job: int) -> Json:
        status, found = self.ask("GET", f"jobs/{job}/rounds/current")
        assert status == 200, found
        return dict(found)

    def wait(self, job: int) -> Json:
        """The round once it is over."""
        until(lambda: self.round(job)["state"] in OVER, f"the round on job {job} ends")
        return self.round(job)


def _content(reply: Any) -> Any:
    content = reply.read()
    return json.loads(content) if reply.headers["Content-Type"] == "application/json" else content.decode()


def until(condition: Callable[[], object], what: str, patience_s: float = 240.0) -> None:
    """Wait for it."""
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.02)


def stepping(sessions: SessionFactory, gate: Callable[[int], None]) -> SessionFactory:
    """Sessions that call `gate` with the number of frames done after each frame."""

    def make(*arguments: Any) -> JobSession:
        session = sessions(*arguments)
        propagate = session.propagate

        def stepped(progress: Callable[[int, int], None], *more: Any) -> None:
            def step(done: int, total: int) -> None:
                gate(done)
                progress(done, total)

            propagate(step, *more)

        session.propagate = stepped  # type: ignore[method-assign]
        return session

    return make


def jobs_of(bench: Bench, standin: StandIn, pictures: Pictures, users: list[str]) -> list[int]:
    """A job for each of them, with the first scribble on it."""
    jobs = bench.task(pictures[: 3 * len(users)], segment=3)
    for job, user in zip(jobs, users, strict=True):
        standin.world.jobs[job].assignee = user
        first_line(bench, job)
    return jobs


def first_line(bench: Bench, job: int) -> None:
    bench.scribble(job, frame_of(bench, job, 0), LINES[1], tag=1, label="car")


def second_line(bench: Bench, job: int) -> None:
    bench.scribble(job, frame_of(bench, job, 2), LINES[2], tag=2, label="person")


def frame_of(bench: Bench, job: int, at: int) -> int:
    return int(bench.server.job(job)["start_frame"]) + at


def undisturbed(pictures: Pictures, count: int, sessions: SessionFactory, folder: Path, *, rounds: int) -> list[Any]:
    """What the jobs hold after the same work with `sync`."""
    folder.mkdir()
    standin = StandIn()
    bench = Bench(connect(standin.url, token="full"), StateStore(str(folder / "store")), sessions, folder)
    jobs = jobs_of(bench, standin, pictures, ["annot1", "annot2"][:count])
    for job in jobs:
        bench.sync(job)
        if rounds > 1:
            second_line(bench, job)
            bench.sync(job)
    contents = copy.deepcopy([bench.contents(job) for job in jobs])
    standin.close()
    return contents


def main() -> None:
    """A service with a tiny model in a process of its own: CVAT, store, port; stops for ever after frame 3 if told."""
    host, store, port, hangs = sys.argv[1:]

    def hang(done: int) -> None:
        if hangs == "hangs" and done == 3:
            print("frame 3", flush=True)
            time.sleep(600)

    model = tiny()
    sessions = stepping(local_sessions(lambda: model), hang)
    site, metrics = Site(host, host), Metrics()
    place = StateStore(store)
    board = Board(place, site.origin, [_for_all(sessions)], SyncOptions(), metrics)
    make_server(App(Calls(site, place, board, metrics), board), "127.0.0.1", int(port)).run()


if __name__ == "__main__":
    main()
