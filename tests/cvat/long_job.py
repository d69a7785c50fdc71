"""The figures of docs/labeling.md for long jobs: memory, requests and bytes of one round, by number of frames.

python tests/cvat/long_job.py 250 500 1000 [--in-process] [--json]

For each length a job of made-up JPEG frames on the stand-in, two objects scribbled on two frames, and `siaf cvat sync`,
client and function each in a process of its own with the SIAF_… settings of the environment. Peaks are the kernel's.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from bench import Bench
from numpy.typing import NDArray
from standin import StandIn

from siaf.cvat.connection import connect
from siaf.cvat.engine import local_engines
from siaf.cvat.store import StateStore

MIB = 2**20
_SIAF = (sys.executable, "-m", "siaf")
_START_S = 120.0


def film(frames: int, height: int, width: int) -> Iterator[NDArray[np.uint8]]:
    """Two coloured discs on their way over a rough background, RGB."""
    rng = np.random.default_rng(0)
    rough = rng.integers(60, 200, (height // 4, width // 4, 3)).astype(np.uint8)
    background = cv2.resize(rough, (width, height), interpolation=cv2.INTER_CUBIC)
    for number in range(frames):
        picture = np.roll(background, number, axis=1)
        for turn, color in ((0.0, (220, 40, 40)), (np.pi, (40, 60, 220))):
            angle = turn + number / 40
            at = (int(width * (0.5 + 0.25 * np.cos(angle))), int(height * (0.5 + 0.25 * np.sin(angle))))
            cv2.circle(picture, at, height // 8, color, -1)
        yield picture


@contextmanager
def function() -> Iterator[tuple[str, int]]:
    """`siaf serve` on a free port: its address and process id."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen([*_SIAF, "serve", "--port", str(port)], env={**os.environ, "SIAF_LOG_LEVEL": "error"})
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
        yield f"http://127.0.0.1:{port}", process.pid
    finally:
        process.kill()
        process.wait()


def peak(pid: int) -> int:
    """The most memory that a process ever held, in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"process {pid} says nothing of its memory")


def sync(job: int, url: str, store: Path, *more: str) -> tuple[dict[str, Any], int]:
    """`siaf cvat sync` as a process: its report and its peak memory."""
    command = [*_SIAF, "cvat", "sync", "--job", str(job), "--store", str(store), "--json", *more]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, env={**os.environ, "CVAT_HOST": url, "CVAT_ACCESS_TOKEN": "full"}
    )
    assert process.stdout is not None
    said = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"siaf cvat sync ended with {process.returncode}")
    return json.loads(said), usage.ru_maxrss * 1024


def measure(frames: int, height: int, width: int, in_process: bool) -> dict[str, Any]:
    """One round on a job of so many frames."""
    with tempfile.TemporaryDirectory() as folder:
        standin = StandIn()
        place = Path(folder)
        client = connect(standin.url, token="full")
        bench = Bench(client, StateStore(str(place / "own")), local_engines(lambda: sys.exit("not used")), place)
        (job,) = bench.task_of(list(film(frames, height, width)), suffix="jpg")
        media = sum(path.stat().st_size for path in place.glob("*.jpg"))
        for path in place.glob("*.jpg"):
            path.unlink()
        for number in (frames // 5, frames * 3 // 5):
            for tag, turn, label in ((1, 0.0, "car"), (2, np.pi, "person")):
                angle = turn + number / 40
                x, y = width * (0.5 + 0.25 * np.cos(angle)), height * (0.5 + 0.25 * np.sin(angle))
                bench.scribble(job, number, (x - height / 12, y, x + height / 12, y), tag=tag, label=label)
        result: dict[str, Any] = {"frames": frames, "media": media}
        if in_process:
            report, result["client"] = sync(job, standin.url, place / "store")
        else:
            with function() as (url, pid):
                result["idle"] = peak(pid)
                report, result["client"] = sync(job, standin.url, place / "store", "--url", url)
                result["function"] = peak(pid)
        standin.close()
        return result | {key: report[key] for key in ("requests", "received", "uploaded", "created", "seconds")}


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
