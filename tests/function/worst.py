"""Malformed requests at a `siaf serve` of its own: `python tests/function/worst.py [COUNT] [--large]`.

Crafted images and state files come first, then good requests changed at random. Prints statuses, and the peak memory
and CPU seconds of the worst; exit code 1 for any 5xx but 503. COUNT is 10,000 by default; `--large` sends only the
requests that take most, and nothing at random.
"""

import argparse
import base64
import http.client
import io
import json
import multiprocessing
import os
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from crafted_states import crafted
from http_worker import StubbornClient, Worker
from PIL import Image

from function.settings import Settings
from siaf import Scribble, Session, load_model
from siaf.session.state_file import dump_session

Call = tuple[str, str, str, bytes]
"""What it is, method, path and body."""


def crafted_images() -> Iterator[tuple[str, bytes]]:
    """A hundred files that are damaged, or larger inside than outside."""
    rng = random.Random(0)
    noise = Image.effect_noise((320, 240), 60).convert("RGB")
    for kind in ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF"):
        out = io.BytesIO()
        noise.save(out, kind)
        good = out.getvalue()
        for share in (0.01, 0.1, 0.5, 0.9, 0.999):
            yield f"{kind} cut at {share}", good[: int(len(good) * share)]
        for seed in range(10):
            data = bytearray(good)
            for _ in range(1 + 3 * seed):
                data[rng.randrange(min(len(data), 600) if seed < 5 else len(data))] = rng.randrange(256)
            yield f"{kind} damaged {seed}", bytes(data)
    for size in ((20_000, 20_000), (40_000_001, 1), (1, 30_000)):
        out = io.BytesIO()
        Image.new("1", size).save(out, "PNG")
        yield f"PNG of {size}", out.getvalue()
    for progressive in (False, True):
        out = io.BytesIO()
        noise.save(out, "JPEG", progressive=progressive)
        data, last = out.getvalue(), out.getvalue().rindex(b"\xff\xda")
        for repeats in (50, 150, 5000):
            yield f"JPEG with {repeats} scans", data[:last] + data[last:-2] * repeats + data[-2:]
    yield "nothing", b""


def calls(session: str, state: bytes) -> Iterator[Call]:
    """Crafted ones first, then changed ones without end. State files are made from `state`, if there is one."""
    for name, data in crafted_images():
        body = {"image": base64.b64encode(data).decode(), "pos_points": [[5, 5]]}
        yield f"image: {name}", "POST", "/", json.dumps(body).encode()
        yield f"frame: {name}", "PUT", f"{session}/frames/0", data
    for name, data in crafted(state) if state else ():
        yield f"state: {name}", "PUT", f"{session}/state", data
    yield "many lists", "POST", "/", b'{"image": "", "pos_points": [' + b"[]," * 10**7 + b"[]]}"
    yield "many numbers", "POST", "/", b'{"image": "", "shapes": [[' + b"1.5," * 10**7 + b"1]]}"
    large = io.BytesIO()
    Image.new("RGB", (8000, 5000)).save(large, "PNG")
    picture = base64.b64encode(large.getvalue()).decode()
    yield "a click on 40 megapixels", "POST", "/", json.dumps({"image": picture, "pos_points": [[5, 5]]}).encode()
    polygons = [
        {"type": "polygon", "points": [i, 5, 3000, 5 + i, 3000, 2000]} for i in range(38)
    ]  # all that the limit lets in
    at_4k = io.BytesIO()
    Image.new("RGB", (3840, 2160)).save(at_4k, "PNG")
    body = {"image": base64.b64encode(at_4k.getvalue()).decode(), "shapes": polygons}
    for turn in range(3):
        yield f"many polygons at 4K, call {turn + 1}", "POST", "/", json.dumps(body).encode()
    boxes = [corner for i in range(255) for corner in ([i, i], [i + 4000, i + 4000])]
    for count in (8, 255):
        body = {"image": picture, "pos_points": [], "obj_bbox": boxes[: 2 * count]}
        yield f"{count} boxes on 40 megapixels", "POST", "/", json.dumps(body).encode()
    rng, small = random.Random(1), io.BytesIO()
    Image.effect_noise((96, 72), 60).convert("RGB").save(small, "PNG")
    image = base64.b64encode(small.getvalue()).decode()
    shape = {"type": "polygon", "points": [5, 5, 30, 5, 30, 30], "tag": 1, "frame": 0, "frames": 3}
    stroke = {"tag": 1, "points": [[5, 5], [9, 9]], "width": 3.0, "polarity": "positive"}
    good = [
        ("/", {"image": image, "pos_points": [[5, 5]], "neg_points": [], "obj_bbox": [[2, 2], [30, 30]]}),
        ("/", {"image": image, "shapes": [shape], "states": [None]}),
        ("/", {"image": image, "shapes": [[5, 5, 20, 20]], "states": []}),
        ("/v1/sessions", {"frames": 3, "width": 96, "height": 72, "name": "x"}),
        (f"{session}/rounds", {"revision": 0, "scribbles": [{"frame": 0, "strokes": [stroke]}]}),
        (f"{session}/propagate", {"budget_s": 0.01, "after": 0, "revision": 0}),
        (f"{session}/frames/missing", {"digests": [{"frame": 0, "digest": "0" * 32}]}),
    ]
    while True:
        path, body = rng.choice(good)
        data = bytearray(json.dumps(body).encode())
        for _ in range(rng.choice((1, 1, 2, 5))):
            at = rng.randrange(len(data))
            data[at : at + rng.choice((0, 1, 1, 4))] = rng.choice(
                (
                    b"",
                    b"-",
                    b"9",
                    b"null",
                    b"1e999",
                    b"NaN",
                    b'"',
                    b"[",
                    b"]",
                    b"{",
                    b"}",
                    b"\xff",
                    b"9" * 400,
                    b"[" * 9000,
                )
            )
        yield "changed at random", "POST", path, bytes(data)


def large(session: str, state: bytes) -> Iterator[Call]:
    """Of `calls` those that take most."""
    for call in calls(session, state):
        if call[0] == "changed at random":
            return
        if _is_large(call[0]):
            yield call


def _is_large(what: str) -> bool:
    return "40 megapixels" in what or what.startswith("many ")


def run(count: int, settings: Settings, make: Callable[[str, bytes], Iterator[Call]] = calls) -> int:
    """Send so many; the number of answers that there must not be."""
    worker = Worker(settings)
    try:
        client, pid = StubbornClient(worker.port), worker._process.pid
        body = {"frames": 4, "width": 96, "height": 72}
        session = f"/v1/sessions/{client.json('POST', '/v1/sessions', body)['id']}"
        statuses, wrong, slowest, largest = Counter[int](), 0, (0.0, ""), (0, "")
        for (what, method, path, data), _ in zip(make(session, _state(settings)), range(count), strict=False):
            _reset_peak(pid)
            before, cpu = _memory(pid, "VmRSS"), _cpu_seconds(pid)
            kind = "application/json" if method == "POST" else "application/octet-stream"
            status, answer = _send(worker.port, method, path, data, kind)
            statuses[status] += 1
            if status >= 500 and status != 503:
                wrong += 1
                print(f"{what}: {status} {answer[:300]!r}", file=sys.stderr)
            if _is_large(what):
                used = _memory(pid, "VmHWM") - before
                print(f"{what}: {status}, {_cpu_seconds(pid) - cpu:.1f} s of CPU, {used / 2**20:.0f} MiB", flush=True)
            slowest = max(slowest, (_cpu_seconds(pid) - cpu, what))
            largest = max(largest, (_memory(pid, "VmHWM") - before, what))
        print(f"statuses: {dict(sorted(statuses.items()))}")
        print(f"most CPU: {slowest[0]:.1f} s, {slowest[1]}")
        print(f"most memory beside what was held before: {largest[0] / 2**20:.0f} MiB, {largest[1]}")
        return wrong
    finally:
        worker.close()


def _send(port: int, method: str, path: str, data: bytes, kind: str) -> tuple[int, bytes]:
    """Once, however long it takes."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1800)
    try:
        connection.request(method, path, data, {"Content-Type": kind})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def _state(settings: Settings) -> bytes:
    """A session under way on a video of the size that the requests are about, other pictures than theirs."""
    model = load_model("siaf-t", device="cpu", weights=settings.weights)
    model = replace(model, short_side=settings.short_side or model.short_side)
    frames = np.random.default_rng(0).integers(0, 255, (12, 72, 96, 3), np.uint8)
    session = Session(model, frames)
    for frame, tag, x, y in ((3, 1, 20, 20), (8, 2, 45, 50), (11, 1, 60, 20)):
        session.interact({frame: [Scribble(tag, np.array([[x, y], [x + 10.0, y]]))]})
        for _ in session.propagate():
            if frame == 11 and session.pending <= 3 and session._propagator.lanes:
                break
    return dump_session(session)


def _reset_peak(pid: int | None) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def _memory(pid: int | None, key: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key + ":"))


def _cpu_seconds(pid: int | None) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    multiprocessing.freeze_support()
    # Shapes: a mask of 40 megapixels would be refused before any work is done.
    largest_work = Settings(log_level="error", interactor_reply="shapes")
    parser = argparse.ArgumentParser(description="Malformed requests, and what the worst take.")
    parser.add_argument("count", type=int, nargs="?", default=10_000)
    parser.add_argument("--large", action="store_true", help="only the requests that take most")
    arguments = parser.parse_args()
    sys.exit(run(arguments.count, largest_work, large if arguments.large else calls) > 0)
