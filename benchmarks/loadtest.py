"""Labelers who click and a propagation that runs, all at once: `python benchmarks/loadtest.py`.

With the SIAF_… settings, on a free port. Every labeler has pictures of their own, and each mask is checked to be the
one that the same clicks give when nobody else is there (in a server afterwards, so that no memory of clicks helps).
Prints figures; exit code 1 if anything was wrong.
"""

import argparse
import base64
import http.client
import io
import json
import multiprocessing
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from function.serve import serve
from function.settings import Settings, load_settings
from siaf.commands.common import interval, positive, seconds
from siaf.errors import SiafError

_PICTURES = 12
_CLICKS = 3
_FILM = 60
_PATIENCE_S = 600.0
"""For a server that starts or a click that is answered. A start takes a dozen seconds of processor time, of which a
machine that is busy with other work may give only a few in a minute.
"""


_Place = tuple[int, int, int]
"""Labeler, picture, click."""


@dataclass
class _Figures:
    """What is counted while the load is on."""

    latencies: list[float] = field(default_factory=list)
    answers: list[tuple[_Place, int]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    mixed: int = 0
    frames: int = 0
    memory: list[int] = field(default_factory=list)


class _Connection:
    """JSON over one kept-open connection."""

    def __init__(self, url: str, token: str) -> None:
        parts = urlsplit(url)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=_PATIENCE_S)
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def send(self, method: str, path: str, body: bytes, content_type: str = "application/json") -> tuple[int, bytes]:
        self._connection.request(method, path, body, {"Content-Type": content_type, **self._headers})
        response = self._connection.getresponse()
        return response.status, response.read()

    def json(self, method: str, path: str, body: Any) -> Any:
        status, answer = self.send(method, path, json.dumps(body).encode())
        if status >= 300:
            raise SiafError(f"{method} {path}: {status} {answer[:200]!r}")
        return json.loads(answer)


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description="Labelers click while a propagation runs.")
    parser.add_argument("--seconds", type=interval, default=120.0)
    parser.add_argument("--labelers", type=positive, default=8)
    parser.add_argument("--pause", type=seconds, default=2.0, help="seconds between a labeler's clicks")
    parser.add_argument("--width", type=positive, default=640)
    parser.add_argument("--height", type=positive, default=360)
    arguments = parser.parse_args()
    settings = load_settings().model_copy(update={"log_level": "error"})
    token = settings.token.get_secret_value() if settings.token else ""
    rng = np.random.default_rng(0)
    size = (arguments.height, arguments.width)
    calls = [[_clicks(_picture(rng, size), rng, size) for _ in range(_PICTURES)] for _ in range(arguments.labelers)]
    with _server(settings) as (url, pid):
        figures = _run(url, token, calls, arguments, pid)
    with _server(settings) as (url, _):
        alone = _Connection(url, token)
        asked = sorted({place for place, _ in figures.answers})  # clicks on a picture in their order
        expected = {(i, j, k): _mask(alone, calls[i][j][k]) for i, j, k in asked}
    figures.mixed = sum(mask != expected[place] for place, mask in figures.answers)
    report(figures, arguments.seconds)
    return 1 if figures.errors or figures.mixed else 0


@contextmanager
def _server(settings: Settings) -> Iterator[tuple[str, int]]:
    """A server for a while: its URL and process id."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = multiprocessing.get_context("spawn").Process(target=serve, args=("127.0.0.1", port, settings))
    process.start()
    assert process.pid is not None
    try:
        _wait_for(port, process.is_alive)
        yield f"http://127.0.0.1:{port}", process.pid
    finally:
        process.kill()
        process.join()


def _run(
    url: str,
    token: str,
    calls: list[list[list[bytes]]],
    arguments: argparse.Namespace,
    pid: int,
) -> _Figures:
    """The load itself."""
    figures = _Figures()
    over = threading.Event()
    film = _Film(_Connection(url, token), (arguments.height, arguments.width))
    film.round(over, _Figures())  # its features are kept from here on: memory that the load itself does not take
    jobs: list[Callable[[], None]] = [partial(_propagate, film, over, figures)]
    for number, mine in enumerate(calls):
        jobs.append(partial(_label, url, token, number, mine, arguments.pause, over, figures))
    threads = [threading.Thread(target=_guarded, args=(job, figures)) for job in jobs]
    for thread in threads:
        thread.start()
    until = time.monotonic() + arguments.seconds
    while time.monotonic() < until:
        figures.memory.append(_resident(pid))
        time.sleep(1)
    over.set()
    for thread in threads:
        thread.join()
    return figures


def report(figures: _Figures, seconds: float) -> None:
    """Print a table."""
    latencies = np.array(figures.latencies or [0.0])
    print("| | |\n|---|---|")
    print(f"| clicks answered | {len(figures.latencies)} in {seconds:.0f} s |")
    print(f"| median, 95th percentile, longest | {' / '.join(f'{x:.2f} s' for x in _percentiles(latencies))} |")
    print(f"| frames propagated meanwhile | {figures.frames} |")
    print(f"| errors | {len(figures.errors)} |")
    print(f"| masks other than when alone | {figures.mixed} |")
    if figures.memory:
        third = max(1, len(figures.memory) // 3)
        first, last = np.median(figures.memory[:third]), np.median(figures.memory[-third:])
        print(f"| resident memory, first and last third | {first / 2**20:.0f} MB / {last / 2**20:.0f} MB |")
    for error in figures.errors[:5]:
        print(error, file=sys.stderr)


def _percentiles(values: NDArray[np.float64]) -> tuple[float, float, float]:
    return float(np.median(values)), float(np.percentile(values, 95)), float(values.max())


def _guarded(job: Callable[[], None], figures: _Figures) -> None:
    try:
        job()
    except Exception as error:  # a thread's error would be lost
        figures.errors.append(f"{type(error).__name__}: {error}")


def _label(
    url: str,
    token: str,
    labeler: int,
    calls: list[list[bytes]],
    pause: float,
    over: threading.Event,
    figures: _Figures,
) -> None:
    """A labeler clicks on picture after picture, a few clicks each."""
    connection = _Connection(url, token)
    while True:
        for i, picture in enumerate(calls):
            for j, call in enumerate(picture):
                if over.wait(pause):
                    return
                start = time.monotonic()
                found = _mask(connection, call)
                figures.latencies.append(time.monotonic() - start)
                figures.answers.append(((labeler, i, j), found))


class _Film:
    """A session that a sync sends rounds to."""

    def __init__(self, connection: _Connection, size: tuple[int, int]) -> None:
        self._connection, self._size = connection, size
        body = {"frames": _FILM, "width": size[1], "height": size[0]}
        self._path = f"/v1/sessions/{connection.json('POST', '/v1/sessions', body)['id']}"
        self._revision = 0
        rng = np.random.default_rng(1)
        for number in range(_FILM):
            picture = _picture(rng, size, number)
            connection.send("PUT", f"{self._path}/frames/{number}", picture, "image/jpeg")

    def round(self, over: threading.Event, figures: _Figures) -> None:
        """A scribble on a further frame, then all others."""
        height, width = self._size
        strokes = [{"tag": 1, "points": [[width * 0.3, height * 0.4], [width * 0.4, height * 0.4]]}]
        scribbles = [{"frame": self._revision % _FILM, "strokes": strokes}]
        body = {"revision": self._revision, "scribbles": scribbles}
        answer = self._connection.json("POST", f"{self._path}/rounds", body)
        self._revision, done, total = answer["revision"], 0, answer["total"]
        while done < total and not over.is_set():
            answer = self._connection.json("POST", f"{self._path}/propagate", {"after": done})
            figures.frames += len(answer["frames"])
            done, total = answer["done"], answer["total"]


def _propagate(film: _Film, over: threading.Event, figures: _Figures) -> None:
    while not over.is_set():
        film.round(over, figures)


def _picture(rng: np.random.Generator, size: tuple[int, int], turn: int = 0) -> bytes:
    height, width = size
    pixels = rng.integers(60, 200, (height // 8, width // 8, 3)).astype(np.uint8)
    image = Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC)
    image.paste((220, 40, 40), (width // 4 + 2 * turn, height // 4, width // 2 + 2 * turn, height // 2))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=90)
    return out.getvalue()


def _clicks(picture: bytes, rng: np.random.Generator, size: tuple[int, int]) -> list[bytes]:
    """Calls as CVAT makes them: each with one click more."""
    image = base64.b64encode(picture).decode()
    points = (rng.uniform(0.3, 0.45, (_CLICKS, 2)) * (size[1], size[0])).round(1).tolist()
    return [
        json.dumps({"image": image, "pos_points": points[: n + 1], "neg_points": [], "obj_bbox": []}).encode()
        for n in range(_CLICKS)
    ]


def _mask(connection: _Connection, call: bytes) -> int:
    status, answer = connection.send("POST", "/", call)
    if status != 200:
        raise SiafError(f"a click was answered {status}: {answer[:200]!r}")
    return hash(answer)


def _resident(pid: int) -> int:
    """Bytes of memory that a process holds."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def _wait_for(port: int, is_alive: Callable[[], bool]) -> None:
    """Until the server answers. SiafError if it ends, or takes too long."""
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            _Connection(f"http://127.0.0.1:{port}", "").send("GET", "/v1/info", b"", "text/plain")
            return
        except OSError:
            if not is_alive():
                raise SiafError("the server has ended; its own words are above") from None
            if time.monotonic() > deadline:
                raise SiafError(f"the server did not start in {_PATIENCE_S:.0f} s") from None
            time.sleep(0.1)


if __name__ == "__main__":
    sys.exit(main())
