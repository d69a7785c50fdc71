"""Exchanges with a real CVAT 2.73.0: what they were recorded on, sent again, and compared with what was answered.

Ids are compared as far as they can be: what the recording calls 41 must be one and the same shape here. Dates, links
and colours are not.
"""

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from standin_media import write_video
from standin_world import World

DATA = Path(__file__).parent / "data"
RECORDINGS = json.loads((DATA / "recordings.json").read_text())
CALLS = json.loads((DATA / "function_calls.json").read_text())
LABELS = next(r["answer"]["results"] for r in RECORDINGS if r.get("name", "").startswith("a17"))
SKIPPED = (
    "url",
    "color",
    "created_date",
    "updated_date",
    "started_date",
    "finished_date",
    "expiry_date",
    "chunks_updated_date",
    "assignee",
    "assignee_updated_date",
    "last_login",
    "logo_url",
)
_ELSEWHERE = ("labels", "issues", "jobs", "owner", "next", "description")


def fill(world: World, tmp_path: Path) -> None:
    """The project, the image task and the video task of the recordings, with their ids."""
    number(world)
    world.add_project({"name": "lab-project", "labels": [{**la, "id": None} for la in LABELS]})
    picture = cv2.imencode(".jpg", np.zeros((240, 320, 3), np.uint8))[1].tobytes()
    images = world.add_task({"name": "rec-img", "project_id": 1, "segment_size": 8, "overlap": 2})
    world.add_data(images, [(f"f_{i:03d}.jpg", picture) for i in range(20)], {"image_quality": 70})
    with open(tmp_path / "clip.mp4", "wb+") as file:
        write_video(file, np.zeros((60, 240, 320, 3), np.uint8))  # type: ignore[arg-type]
    video = world.add_task({"name": "rec-vid", "project_id": 1, "segment_size": 20, "overlap": 5})
    settings = {"start_frame": 2, "stop_frame": 42, "frame_filter": "step=2"}
    world.add_data(video, [("clip.mp4", (tmp_path / "clip.mp4").read_bytes())], settings)


def number(world: World) -> None:
    """The ids that come next are those of the recordings."""
    world.next |= {"label": 26, "spec": 16, "task": 6, "job": 13}


def ask(url: str, method: str, body: object, token: str | None) -> tuple[int, Any]:
    """Status and answer; `body` is JSON, or bytes as they are."""
    data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
    request = urllib.request.Request(url, data, headers, method=method)
    try:
        with urllib.request.urlopen(request) as reply:
            status, kind, content = reply.status, reply.headers["Content-Type"], reply.read()
    except urllib.error.HTTPError as error:
        status, kind, content = error.code, error.headers["Content-Type"], error.read()
    if status == 204:
        return status, None
    if "json" not in kind:
        return status, "HTML" if "html" in kind else f"BINARY {kind}"
    return status, json.loads(content)


class Compared:
    """Compares answers; `ids` maps recorded ids to ours."""

    def __init__(self) -> None:
        self.ids: dict[tuple[str, int], int] = {}

    def check(self, recorded: Any, ours: Any, kind: str = "answer") -> None:
        if isinstance(recorded, dict):
            assert isinstance(ours, dict)
            keys = [k for k in recorded if k not in SKIPPED]
            assert [k for k in keys if k not in ours] == []
            if "points" in recorded and "id" in recorded:
                assert self.ids.setdefault((kind, recorded["id"]), ours["id"]) == ours["id"]
                keys.remove("id")
            for key in keys:
                if kind != "answer" or key not in _ELSEWHERE:
                    self.check(recorded[key], ours[key], key if key in ("shapes", "tracks") else kind)
        elif isinstance(recorded, list):
            assert len(recorded) == len(ours)
            if recorded and isinstance(recorded[0], dict) and {"points", "frame"} <= recorded[0].keys():
                recorded, ours = (sorted(part, key=_order) for part in (recorded, ours))
            for one, other in zip(recorded, ours, strict=True):
                self.check(one, other, kind)
        else:
            assert recorded == ours

    def translated(self, body: Any, kind: str = "") -> Any:
        """A recorded request with our ids."""
        if isinstance(body, dict):
            return {
                key: self.ids.get((kind, value), value) if key == "id" else self.translated(value, key)
                for key, value in body.items()
            }
        return [self.translated(item, kind) for item in body] if isinstance(body, list) else body


def _order(shape: dict[str, Any]) -> str:
    return json.dumps([shape["frame"], shape["type"], [float(p) for p in shape["points"]], shape.get("label_id")])
