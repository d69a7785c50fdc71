"""The figures of docs/labeling.md for long jobs: memory, requests and bytes of one round, by number of frames.

python tests/cvat/long_job.py 250 500 1000 [--in-process] [--json]

For each length a job of made-up JPEG frames on the stand-in, two objects scribbled on two frames, and `siaf cvat sync`,
client and function each in a process of its own with the SIAF_… settings of the environment. Peaks are the kernel's.
"""

import argparse
import json
import math
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from bench import Bench
from numpy.typing import NDArray
from PIL import Image
from standin import StandIn

from siaf.cvat.server.connection import connect
from siaf.cvat.sessions.local import local_sessions
from siaf.cvat.storage.store import StateStore

MIB = 2**20
_SIAF = (sys.executable, "-m", "siaf")
_START_S = 120.0


def place_of(tag: int, number: int, height: int, width: int) -> tuple[int, int]:
    """Where the disc of an object is on a frame: x, y."""
    angle = math.pi * (tag - 1) + number / 40
    return int(width * (0.5 + 0.25 * math.cos(angle))), int(height * (0.5 + 0.25 * math.sin(angle)))


def film(frames: int, height: int, width: int) -> Iterator[NDArray[np.uint8]]:
    """Two coloured discs on their way over a rough background, RGB."""
    rough = np.random.default_rng(0).integers(60, 200, (height // 8, width // 8, 3)).astype(np.uint8)
    background = cv2.resize(rough, (width, height), interpolation=cv2.INTER_CUBIC)
    for number in range(frames):
        picture = np.roll(background, number, axis=1)
        for tag, color in ((1, (220, 40, 40)), (2, (40, 60, 220))):
            cv2.circle(picture, place_of(tag, number, height, width), height // 8, color, -1)
        yield picture


class Peak:
    """The most memory that a process held so far, in bytes, looked up while it lives."""

    def __init__(self, pid: int) -> None:
        self._status = Path(f"/proc/{pid}/status")
        self.bytes = 0
        threading.Thread(target=self._follow, daemon=True).start()

    def _follow(self) -> None:
        with suppress(OSError, StopIteration):  # it has ended
            while True:
                line = next(li for li in self._status.read_text().splitlines() if li.startswith("VmHWM:"))
                self.bytes = int(line.split()[1]) * 1024
                time.sleep(0.05)


@contextmanager
def function() -> Iterator[tuple[str, Peak]]:
    """`siaf serve` on a free port: its address and its peak memory."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen([*_SIAF, "serve", "--port", str(port)], env={**os.environ, "SIAF_LOG_LEVEL": "error"})
    peak = Peak(process.pid)
    try:
        deadline = time.monotonic() + _START_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit("siaf serve did not start") from None
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}", peak
    finally:
        process.kill()
        process.wait()


def sync(job: int, url: str, store: Path, *more: str) -> tuple[dict[str, Any], int]:
    """`siaf cvat sync` as a process: its report and its peak memory."""
    command = [*_SIAF, "cvat", "sync", "--job", str(job), "--store", str(store), "--json", *more]
    environment = {**os.environ, "CVAT_HOST": url, "CVAT_ACCESS_TOKEN": "full"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        peak = Peak(process.pid)
        said, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"siaf cvat sync ended with {process.returncode}")
    return json.loads(said), peak.bytes


def measure(frames: int, height: int, width: int, in_process: bool) -> dict[str, Any]:
    """One round on a job of so many frames."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        files = [place / f"{number:05d}.jpg" for number in range(frames)]
        for path, picture in zip(files, film(frames, height, width), strict=True):
            Image.fromarray(picture).save(path, quality=90)
        standin = StandIn()
        store = StateStore(str(place / "own"))
        bench = Bench(connect(standin.url, token="full"), store, local_sessions(lambda: sys.exit("not used")), place)
        (job,) = bench.file_task(files)
        for number in (frames // 5, frames * 3 // 5):
            for tag, label in ((1, "car"), (2, "person")):
                x, y = place_of(tag, number, height, width)
                bench.scribble(job, number, (x - height // 12, y, x + height // 12, y), tag=tag, label=label)
        result: dict[str, Any] = {"frames": frames, "media": sum(path.stat().st_size for path in files)}
        if in_process:
            report, result["client"] = sync(job, standin.url, place / "store")
        else:
            with function() as (url, peak):
                result["function, idle"] = peak.bytes
                report, result["client"] = sync(job, standin.url, place / "store", "--url", url)
                result["function"] = peak.bytes
        standin.close()
        return result | {
            key: report[key] for key in ("requests", "received", "calls", "uploaded", "created", "seconds")
        }


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Memory and traffic of one round, by length of the job.")
    parser.add_argument("frames", type=int, nargs="+")
    parser.add_argument("--height", type=int, default=576)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--in-process", action="store_true", help="no function: the model in the client")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows = [measure(n, arguments.height, arguments.width, arguments.in_process) for n in arguments.frames]
    if arguments.json:
        print(json.dumps(rows))
        return
    for key in rows[0]:
        values = (f"{row[key] / MIB:.0f} MiB" if row[key] > MIB else f"{row[key]}" for row in rows)
        print(f"| {key} | {' | '.join(values)} |")


if __name__ == "__main__":
    main()
