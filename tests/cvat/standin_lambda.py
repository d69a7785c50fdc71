"""The stand-in's lambda endpoint: what a 2.73.0 server passes to a function, checks and signs."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from standin_annotations import SERVER_ERROR, Refused
from standin_world import World

Json = dict[str, Any]


@dataclass
class Function:
    """A deployed function: `invoke` gets the payload that Nuclio would get, and answers status and JSON."""

    id: str
    kind: str
    invoke: Callable[[Json], tuple[int, Any]]
    """May reply bytes, which are no JSON then, and raise ConnectionError or TimeoutError."""
    supported_shape_types: Sequence[str] = ("rectangle",)

    def form(self) -> Json:
        """GET /api/lambda/functions/{id}."""
        form: Json = {
            "id": self.id,
            "kind": self.kind,
            "labels_v2": [],
            "description": self.id,
            "name": self.id,
            "version": 2,
        }
        if self.kind == "tracker":
            return {**form, "version": 1, "supported_shape_types": list(self.supported_shape_types)}
        return {
            **form,
            "min_pos_points": 1,
            "min_neg_points": 0,
            "startswith_box": False,
            "startswith_box_optional": True,
            "help_message": "",
            "animated_gif": "",
        }


def call(world: World, function: Function, data: Json) -> Any:
    """POST /api/lambda/functions/{id}: the reply, or Refused."""
    data = {key: value for key, value in data.items() if value is not None}
    if "job" in data:
        job = world.jobs.get(data["job"])
        if job is None:
            raise Refused(400, ["Job matching query does not exist."])
    elif "task" in data:
        job = next((j for j in world.jobs.values() if j.task.id == data["task"]), None)
        if job is None:
            raise Refused(400, ["Task matching query does not exist."])
    else:
        raise Refused(400, f"`{function.id}` lambda function was run with wrong arguments ('task')")
    needed = {"interactor": ("frame", "pos_points", "neg_points"), "tracker": ("frame",)}[function.kind]
    for key in needed:
        if key not in data:
            raise Refused(400, f"`{function.id}` lambda function was called without mandatory argument: {key}")
    if "job" in data and data["frame"] not in job.frames:
        raise Refused(400, "The frame is outside the job range")
    media = job.task.media
    assert media is not None
    if not 0 <= data["frame"] < media.size:
        raise Refused(
            400,
            [f"Invalid frame '{data['frame']}'. The frame number should be in the [0, {media.size}] range"],
        )
    at = next(i for i in range(len(job.frames)) if data["frame"] in job.chunk(i))
    image = base64.b64encode(media.frame(data["frame"], job.chunk(at))[0]).decode()
    passed = {key: data[key] for key in ("threshold", "text_prompts") if data.get(key)}
    if function.kind == "interactor":
        prompts = {key: data.get(key) for key in ("pos_points", "neg_points", "obj_bbox")}
        if not all(map(_are_pairs, prompts.values())):
            raise Refused(400, ["Interactor prompt points must contain point pairs"])
        return _invoke(function, {**passed, "image": image, **prompts})
    return _track(function, data, {**passed, "image": image})


def _are_pairs(points: object) -> bool:
    return points is None or all(isinstance(point, list) and len(point) == 2 for point in points)  # type: ignore[attr-defined]


def _track(function: Function, data: Json, passed: Json) -> Any:
    if "roi" in data:
        raise Refused(400, "ROI is not supported for tracker functions")
    if "shapes" not in data and "states" not in data:
        raise Refused(400, f"`{function.id}` lambda function was called without mandatory argument: shapes")
    states = [_unsigned(function, state) for state in data.get("states", [])]
    shapes = data.get("shapes", [None] * len(states))
    for shape in shapes:
        if shape is not None and shape["type"] not in function.supported_shape_types:
            raise Refused(400, f"This function does not support shapes of type '{shape['type']}'")
    reply = _invoke(function, {**passed, "shapes": shapes, "states": states})
    if not isinstance(reply, dict) or "states" not in reply:
        raise Refused(500, SERVER_ERROR)
    return {**reply, "states": [_signed(function, state) for state in reply["states"]]}


def _invoke(function: Function, payload: Json) -> Any:
    try:
        json.dumps(payload, allow_nan=False)
        status, reply = function.invoke(payload)
        if not 200 <= status < 300:
            raise Refused(status, f"{status} Error for url: http://127.0.0.1:8070/api/function_invocations")
        return json.loads(reply) if isinstance(reply, bytes) else reply
    except ConnectionError as error:
        raise Refused(503, f"('Connection aborted.', {error!r})") from None
    except TimeoutError:
        raise Refused(504, "HTTPConnectionPool(host='127.0.0.1', port=8070): Read timed out.") from None
    except ValueError as error:
        raise Refused(500, str(error)) from None


def _signed(function: Function, state: object) -> str:
    text = json.dumps(state, separators=(",", ":"))
    mark = hmac.new(b"cvat-tracker-state", f"{function.id}:{text}".encode(), hashlib.sha256).hexdigest()
    return f"{text}:1xVFSf:{mark}"


def _unsigned(function: Function, signed: object) -> Any:
    if signed is None:
        return None
    text = str(signed).rsplit(":", 2)[0]
    try:
        state = json.loads(text)
    except ValueError:
        raise Refused(400, "Invalid or expired tracker state") from None
    if _signed(function, state) != signed:
        raise Refused(400, "Invalid or expired tracker state")
    return state
