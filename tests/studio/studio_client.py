"""A studio in this process or in one of its own, and a page that asks it as a browser does."""

import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import torch

from siaf.model.loaded import Model
from siaf.studio.clip import Clip, open_clip
from siaf.studio.rooms import OneRoom, Rooms
from siaf.studio.server import Door, make_server
from siaf.weights import build_model

Json = dict[str, Any]
FIRST = {"tag": 1, "points": [[8.0, 20.0], [20.0, 20.0]]}
SECOND = {"tag": 2, "points": [[74.0, 50.0], [86.0, 50.0]]}


def free_port() -> int:
    """A port that nobody uses."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def until(true: Callable[[], Any], what: str, seconds: float = 120) -> Any:
    """Wait for something; what it is."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := true():
            return found
        time.sleep(0.02)
    raise TimeoutError(f"waited for: {what}")


class Page:
    """A tab of the page."""

    def __init__(self, port: int, tab: str, **headers: str) -> None:
        self.port = port
        self.headers = {
            "Host": f"127.0.0.1:{port}",
            "Origin": f"http://127.0.0.1:{port}",
            "X-Siaf": "1",
            "X-Siaf-Tab": tab,
            **headers,
        }

    def send(
        self, method: str, path: str, body: bytes | None = None, **changed: str | None
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        """Status, headers and content; headers may be changed, or left out with None."""
        headers = {**self.headers, **{name.replace("_", "-"): value for name, value in changed.items()}}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in headers.items():
                if value is not None:
                    connection.putheader(name, value)
            if body is not None:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            reply = connection.getresponse()
            return reply.status, reply.headers, reply.read()
        finally:
            connection.close()

    def ask(self, method: str, call: str, body: Any = None, **changed: str | None) -> tuple[int, Any]:
        """Status and JSON of a call."""
        data = None if method == "GET" else json.dumps({} if body is None else body).encode()
        headers = {"Content_Type": None if data is None else "application/json", **changed}
        status, _, content = self.send(method, f"/api/{call}", data, **headers)
        return status, json.loads(content)

    def get(self, call: str, **query: Any) -> Any:
        """A call that looks, which must succeed."""
        status, answer = self.ask("GET", f"{call}?{urlencode(query)}" if query else call)
        assert status == 200, answer
        return answer

    def do(self, method: str, call: str, **body: Any) -> Any:
        """A call that changes something, which must succeed."""
        status, answer = self.ask(method, call, body)
        assert status in (200, 202), answer
        return answer

    @property
    def revision(self) -> int:
        """Of the session."""
        return int(self.get("session")["revision"])

    def commit(self, *frames: int, strokes: tuple[Json, ...] = (FIRST, SECOND)) -> Any:
        """A round with these strokes on each frame."""
        drawn = [{"frame": frame, "strokes": list(strokes)} for frame in frames]
        return self.do("POST", "rounds", revision=self.revision, scribbles=drawn)

    def propagate(self) -> Any:
        """To the end; the session then."""
        self.do("POST", "propagate", revision=self.revision)
        until(lambda: not self.get("progress")["propagation"]["running"], "the propagation ends")
        return self.get("session")

    def masks(self, *frames: int, of: str = "now") -> dict[int, Json]:
        """By frame."""
        found = self.get("masks", frames=",".join(map(str, frames)), of=of)
        return {each["frame"]: each for each in found["frames"]}


class Studio:
    """A studio that listens on `port`, opened on `path`."""

    def __init__(self, path: Path, port: int) -> None:
        self.path, self.port = path, port

    def page(self, tab: str, **headers: str) -> Page:
        """A tab of the page, which asked for the desk."""
        page = Page(self.port, tab, **headers)
        page.do("POST", "hold", tab=tab)
        return page

    @property
    def state(self) -> Path:
        """Where the session is kept."""
        return self.path.with_name(self.path.name + ".siaf")


@contextmanager
def studio_on(
    path: Path, model: Model, *, token: str = "", names: tuple[str, ...] = (), clip: Clip | None = None
) -> Iterator[Studio]:
    """A studio for a while."""
    clip = clip or open_clip(path)
    with rooms_on(OneRoom(clip, clip.load(model)), token, names) as port:
        yield Studio(path, port)


@contextmanager
def rooms_on(rooms: Rooms, token: str = "", names: tuple[str, ...] = ()) -> Iterator[int]:
    """The port of a studio that has these open, for a while."""
    door = Door.on("127.0.0.1", 0, token, names, field="--port")
    server = make_server(rooms, door)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until(lambda: server.started, "the studio listens")
        yield door.port
    finally:
        server.should_exit = True
        thread.join(60)
        assert not thread.is_alive()


def run_studio(path: Path, port: int, saved_every_s: float) -> None:
    """A studio with the tiny model until it is stopped: for a process of its own."""
    torch.set_num_threads(1)
    model = replace(build_model("siaf-t", device="cpu", seed=3), short_side=65, interaction_short_side=65)
    clip = open_clip(path)
    door = Door.on("127.0.0.1", port, "", (), field="--port")
    make_server(OneRoom(clip, clip.load(model), saved_every_s), door).run()
