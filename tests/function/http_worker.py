"""A real worker process behind HTTP, that may be killed, and a client that knows nothing but to try again."""

import http.client
import json
import multiprocessing
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from function.serve import serve
from function.settings import Settings

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["function.serve"])  # so that a new worker is there in a second, not in ten

RETRY_S = 0.05
PATIENCE_S = 180.0


def free_port() -> int:
    """A port that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Worker:
    """A worker that somebody starts again whenever it died."""

    def __init__(self, settings: Settings) -> None:
        self.port, self._settings, self.kills = free_port(), settings, 0
        os.environ["OMP_NUM_THREADS"] = "1"
        self._start()

    def _start(self) -> None:
        self._process = _context.Process(target=serve, args=("127.0.0.1", self.port, self._settings), daemon=True)
        self._process.start()
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.02)
        raise RuntimeError("the worker did not start")

    def kill(self) -> None:
        """SIGKILL, then a new one."""
        self._process.kill()
        self._process.join()
        self.kills += 1
        self._start()

    def close(self) -> None:
        """The end."""
        self._process.kill()
        self._process.join()


@contextmanager
def worker(settings: Settings) -> Iterator[Worker]:
    """A worker for a while."""
    running = Worker(settings)
    try:
        yield running
    finally:
        running.close()


class Killer:
    """Kills a worker while it answers a client, at moments of a session: a request's number, seconds since it was sent.

    They are drawn at random, all of an undisturbed session's time being equally likely.
    """

    def __init__(self, victim: Worker, seconds: list[float], kills: int, seed: int) -> None:
        self._victim = victim
        ends = np.cumsum(seconds)
        drawn = np.sort(np.random.default_rng(seed).uniform(0, ends[-1], kills))
        numbers = np.searchsorted(ends, drawn)
        self.left = [(int(n), float(t - ends[n] + seconds[n])) for n, t in zip(numbers, drawn, strict=True)]
        self._running = threading.Thread()

    def sent(self, number: int) -> None:
        """The client has sent a request, for the first time or again."""
        if self.left and self.left[0][0] <= number and not self._running.is_alive():
            self._running = threading.Timer(self.left.pop(0)[1], self._victim.kill)
            self._running.start()

    def session_ended(self, requests: int) -> None:
        """Waits until the last kill is over. What is left then strikes within the `requests` that the session took.

        A machine that has sped up answers more frames with each request, so a session may end before a kill's number.
        """
        if self._running.ident:
            self._running.join()
        self.left = [(min(number, requests - 1), seconds) for number, seconds in self.left]


class StubbornClient:
    """Sends every request again until it is answered with anything but 503."""

    def __init__(self, port: int, token: str = "", sent: Callable[[int], None] = lambda number: None) -> None:
        self._port, self._sent = port, sent
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.retries = 0
        self.seconds: list[float] = []
        """How long every request took, until it was answered."""

    def bytes(self, method: str, path: str, body: bytes = b"", content_type: str = "image/png") -> tuple[int, bytes]:
        """Any request: status and body."""
        start = time.monotonic()
        deadline = start + PATIENCE_S
        while True:
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
            try:
                connection.request(method, path, body, {"Content-Type": content_type, **self._headers})
                self._sent(len(self.seconds))
                response = connection.getresponse()
                answer = response.status, response.read()
                if answer[0] != 503:
                    self.seconds.append(time.monotonic() - start)
                    return answer
            except (OSError, http.client.HTTPException):
                pass
            finally:
                connection.close()
            if time.monotonic() > deadline:
                raise TimeoutError(f"{method} {path} was never answered")
            self.retries += 1
            time.sleep(RETRY_S)

    def json(self, method: str, path: str, body: Any = None) -> Any:
        """A request with a JSON body, which must succeed."""
        data = b"" if body is None else json.dumps(body).encode()
        status, answer = self.bytes(method, path, data, "application/json")
        assert 200 <= status < 300, (status, answer)
        return json.loads(answer)
