"""The calls that a CVAT 2.73 server made to functions, sent to ours, and what its contract says of the answers.

`python tests/function/cvat_replay.py URL` does it against any deployed function.
"""

import base64
import io
import json
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from siaf.masks import decode_rle

CALLS = Path(__file__).parent / "data" / "cvat_calls.json"
OTHER_KINDS = ("detector", "reid")
Post = Callable[[str, bytes, dict[str, str]], tuple[int, str, bytes]]
"""Path, body, headers → status, content type, body."""


def picture(kind: str, size: tuple[int, int], turn: int) -> str:
    """A frame of a small film, as CVAT sends it; the recordings hold only the beginnings of theirs."""
    width, height = size
    pixels = np.random.default_rng(1).integers(80, 120, (height, width, 3), np.uint8)
    pixels[10 : min(60, height), 10 + turn : 50 + turn] = (200, 60, 40)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, kind)
    return base64.b64encode(out.getvalue()).decode()


def replay(post: Post) -> int:
    """Send all calls; how many. AssertionError names the first answer that CVAT would not understand."""
    calls = json.loads(CALLS.read_text())
    ours: dict[str, Any] = {}
    for call in calls:
        body = {**call["body"]}
        for key in [key for key in body if key.startswith("image")]:
            turn = next((s["n"] + 1 for s in body.get("states") or [] if s), 0)
            body[key] = picture(body[key]["kind"], tuple(body[key]["size"]), turn)
        if body.get("states"):
            body["states"] = [None if s is None else ours[json.dumps(s)] for s in body["states"]]
        path = call["headers"].get("x-nuclio-path", call["path"])
        status, content_type, answer = post(path, json.dumps(body).encode(), call["headers"])
        try:
            assert content_type.startswith("application/json"), content_type
            check(call, status, json.loads(answer, parse_constant=_no_constant))
        except AssertionError as error:
            raise AssertionError(f"{call['name']}: {error}: {answer[:300]!r}") from None
        if status == 200 and "states" in body:
            for recorded, state in zip(call.get("recorded_states", []), json.loads(answer)["states"], strict=False):
                ours.setdefault(json.dumps(recorded), state)
    return len(calls)


def check(call: dict[str, Any], status: int, answer: Any) -> None:
    """What the server and the user interface rely on."""
    name, body = call["name"], call["body"]
    if any(kind in name for kind in OTHER_KINDS):
        assert status == 400
    elif "pos_points" in body:
        assert status == 200
        width, height = body["image"]["size"]
        (shape,) = answer["shapes"]
        mask = decode_rle(shape["points"], height=height, width=width)
        x, y = map(int, body["pos_points"][0])
        assert mask[y, x]
    elif body["shapes"] == [None] and body["states"] == [None]:
        assert status == 422
        assert answer["error"]["field"] == "shapes[0]"
    else:
        assert status == 200
        check_tracker(body, answer)


def check_tracker(body: dict[str, Any], answer: dict[str, Any]) -> None:
    """One shape and one state for each that was sent, of the same kind."""
    count = len(body["shapes"])
    assert len(answer["shapes"]) == len(answer["states"]) == count
    assert all(isinstance(state, dict) and len(json.dumps(state)) < 1024 for state in answer["states"])
    known = [
        s or (state and state["init"])
        for s, state in zip(body["shapes"], body["states"] or [None] * count, strict=True)
    ]
    for sent, got in zip(known, answer["shapes"], strict=True):
        if got is None:
            assert isinstance(sent, dict)
            assert sent["type"] != "rectangle"
            continue
        assert isinstance(got, list) == isinstance(sent, list)
        points = got if isinstance(got, list) else got["points"]
        assert isinstance(got, list) or got["type"] == sent["type"]
        assert np.isfinite(points).all()


def _no_constant(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")


def post_to(url: str) -> Post:
    def post(path: str, body: bytes, headers: dict[str, str]) -> tuple[int, str, bytes]:
        request = urllib.request.Request(url.rstrip("/") + path, body, headers, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return response.status, response.headers["Content-Type"], response.read()
        except urllib.error.HTTPError as error:
            return error.code, error.headers["Content-Type"], error.read()

    return post


if __name__ == "__main__":
    print(f"{replay(post_to(sys.argv[1]))} calls, every answer as CVAT expects it")
