"""Latency of the function's calls by phase, through its own handler in this process: no HTTP, no Nuclio.

`siaf bench function` prints it.
"""

import base64
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np

from function.http.messages import Request
from function.service import Service
from function.settings import Settings
from siaf.bench.clip import MovingObjects
from siaf.errors import SiafError
from siaf.evaluation.table import Row
from siaf.masks import encode_rle

_SHAPES = (1, 10)


class _Phases:
    """The logger that the service writes its one line per request to."""

    def __init__(self) -> None:
        self.last: dict[str, Any] = {}

    def info_with(self, message: str, *args: object, **kwargs: Any) -> None:
        self.last = kwargs

    def error_with(self, message: str, *args: object, **kwargs: Any) -> None:
        raise SiafError(f"the function failed: {kwargs}")


class _Function:
    """A service without settings of the environment, and how long its calls took."""

    def __init__(self) -> None:
        self._log = _Phases()
        self._service = Service.start(Settings(_env_file=None, store="memory:"))  # type: ignore[call-arg]

    def call(self, method: str, path: str, body: Any) -> tuple[Any, dict[str, float]]:
        """The parsed answer, and milliseconds by phase; "total" from request to reply, "other" what no phase has."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"content-type": "image/jpeg" if isinstance(body, bytes) else "application/json"}
        request = Request(method, path, data, headers, size=len(data))
        start = time.perf_counter()
        reply = self._service.answer(request, self._log)
        total = 1e3 * (time.perf_counter() - start)
        if reply.status >= 300:
            raise SiafError(f"{method} {path}: {reply.status} {reply.body[:200]!r}")
        phases = {key[:-3]: value for key, value in self._log.last.items() if key.endswith("_ms")}
        return json.loads(reply.body), {**phases, "other": total - sum(phases.values()), "total": total}


def function(height: int, width: int, repeat: int) -> Iterator[Row]:
    """The interactor's clicks (first, second, on a frame of a session), the tracker with one and ten shapes, rounds;
    requests a second.

    The least of `repeat` calls. `overhead` is everything but the network, as a share of the call.
    """
    served = _Function()
    clip = MovingObjects(200, height, width, 10)
    frames = [_jpeg(clip, number) for number in range(max(repeat + 2, len(_SHAPES) * (repeat + 1)))]
    images = [base64.b64encode(data).decode() for data in frames]
    x, y = (float(v) for v in clip.strokes(0)[0].points.mean(0))

    def first(i: int) -> dict[str, float]:
        return served.call("POST", "/", {"image": images[i], "pos_points": [[x + i, y]], "neg_points": []})[1]

    def second(i: int) -> dict[str, float]:
        body = {"image": images[i], "pos_points": [[x + i, y], [x - 9, y]], "neg_points": []}
        return served.call("POST", "/", body)[1]

    calls: dict[str, Callable[[int], dict[str, float]]] = {"interactor, first click": first}
    calls["interactor, second click"] = second
    for start, count in enumerate(_SHAPES):  # every tracker on frames of its own: none finds another's features
        numbers = range(start, len(frames), len(_SHAPES))
        calls[f"tracker, {count} shape{'s' if count > 1 else ''}"] = _tracker(served, clip, images, numbers, count)
    length = repeat + 2  # of the session: its first and last frame are scribbled on
    session = served.call("POST", "/v1/sessions", {"frames": length, "height": height, "width": width})[0]["id"]
    calls["upload of a frame"] = lambda i: served.call("PUT", f"/v1/sessions/{session}/frames/{i}", frames[i])[1]
    best: dict[str, dict[str, float]] = {}
    for i in range(1, repeat + 1):
        for name, call in calls.items():
            found = call(i)
            if name not in best or found["total"] < best[name]["total"]:
                best[name] = found
    for i in (0, length - 1):
        served.call("PUT", f"/v1/sessions/{session}/frames/{i}", frames[i])
    best |= _rounds(served, clip, session, length)
    click = {"image": images[1], "pos_points": [[x, y + 5]], "neg_points": []}
    best["interactor, click on a session's frame"] = served.call("POST", "/", click)[1]
    for name, found in best.items():
        model = found.get("model", 0.0)
        yield {
            "call": name,
            **{f"{part} ms": found.get(part, 0.0) for part in ("decode", "model", "store", "encode", "other", "total")},
            "overhead": (found["total"] - model) / found["total"] if model else float("nan"),
            "per second": 1e3 / found["total"],
        }


def _tracker(
    served: _Function, clip: MovingObjects, images: list[str], numbers: range, count: int
) -> Callable[[int], dict[str, float]]:
    """Calls that follow `count` masks over some frames, from the first of them."""
    mask = clip.mask(numbers[0])
    shapes = [{"type": "mask", "points": encode_rle(mask == tag)} for tag in range(1, count + 1) if (mask == tag).any()]
    while len(shapes) < count:
        shapes.append(shapes[-1])
    states = [served.call("POST", "/", {"image": images[numbers[0]], "shapes": shapes, "states": []})[0]["states"]]

    def follow(i: int) -> dict[str, float]:
        body = {"image": images[numbers[i]], "shapes": [None] * count, "states": states[-1]}
        answer, times = served.call("POST", "/", body)
        states.append(answer["states"])
        return times

    return follow


def _rounds(served: _Function, clip: MovingObjects, session: str, frames: int) -> dict[str, dict[str, float]]:
    """One round on two frames of a session, then propagation to its end."""
    path = f"/v1/sessions/{session}"
    scribbles = [
        {"frame": f, "strokes": [{"tag": s.tag, "points": np.asarray(s.points).tolist()} for s in clip.strokes(f)[:3]]}
        for f in (0, frames - 1)
    ]
    revision = served.call("GET", path, None)[0]["revision"]
    _, first = served.call("POST", f"{path}/rounds", {"revision": revision, "scribbles": scribbles})
    done, total, parts = 0, 1, []
    while done < total:
        answer, times = served.call("POST", f"{path}/propagate", {"budget_s": 100, "after": done})
        done, total = answer["done"], answer["total"]
        parts.append(times)
    whole = {key: sum(times.get(key, 0.0) for times in parts) / max(1, total) for key in parts[0]}
    return {"round, two frames, three objects": first, "propagate, per frame": whole}


def _jpeg(clip: MovingObjects, number: int) -> bytes:
    _, data = cv2.imencode(".jpg", clip[number][..., ::-1])
    return data.tobytes()
