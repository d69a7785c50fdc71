"""The stand-in answers as a real CVAT 2.73.0 did: recorded requests are sent again, the answers compared.

Ids are compared as far as they can be: what the recording calls 41 must be one and the same shape here. Dates, links
and colours are not.
"""

import json
import re
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from standin import StandIn
from standin_media import write_video
from standin_world import World

RECORDINGS = json.loads((Path(__file__).parent / "data" / "recordings.json").read_text())
LABELS = next(r["answer"]["results"] for r in RECORDINGS if r.get("name", "").startswith("a17"))
TOKENS = {"d09": "stranger", "d10": "stranger", "d17": "read-only"}
SKIPPED = (
    "url",
    "color",
    "created_date",
    "updated_date",
    "chunks_updated_date",
    "assignee",
    "assignee_updated_date",
)


def fill(world: World, tmp_path: Path) -> None:
    """The project, the image task and the video task of the recordings, with their ids."""
    world.next |= {"label": 26, "spec": 16, "task": 6, "job": 13}
    world.add_project({"name": "lab-project", "labels": [{**la, "id": None} for la in LABELS]})
    picture = cv2.imencode(".jpg", np.zeros((240, 320, 3), np.uint8))[1].tobytes()
    images = world.add_task({"name": "rec-img", "project_id": 1, "segment_size": 8, "overlap": 2})
    world.add_data(images, [(f"f_{i:03d}.jpg", picture) for i in range(20)], {"image_quality": 70})
    with open(tmp_path / "clip.mp4", "wb+") as file:
        write_video(file, np.zeros((60, 240, 320, 3), np.uint8))  # type: ignore[arg-type]
    video = world.add_task({"name": "rec-vid", "project_id": 1, "segment_size": 20, "overlap": 5})
    settings = {"start_frame": 2, "stop_frame": 42, "frame_filter": "step=2"}
    world.add_data(video, [("clip.mp4", (tmp_path / "clip.mp4").read_bytes())], settings)


def ask(url: str, method: str, body: object, token: str) -> tuple[int, Any]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Authorization": f"Bearer {token}"}, method=method)
    try:
        with urllib.request.urlopen(request) as reply:
            status, kind, content = reply.status, reply.headers["Content-Type"], reply.read()
    except urllib.error.HTTPError as error:
        status, kind, content = error.code, error.headers["Content-Type"], error.read()
    if status == 204:
        return status, None
    if "json" not in kind:
        return status, f"BINARY {kind}"
    answer = json.loads(content)
    return status, "HTML" if isinstance(answer, str) and "<html" in answer.lower() else answer


class Compared:
    """Compares answers; `ids` maps recorded ids to ours."""

    def __init__(self) -> None:
        self.ids: dict[tuple[str, int], int] = {}

    def check(self, recorded: Any, ours: Any, kind: str = "") -> None:
        if isinstance(recorded, dict):
            assert isinstance(ours, dict)
            keys = [k for k in recorded if k not in SKIPPED]
            assert [k for k in keys if k not in ours] == []
            if "points" in recorded and "id" in recorded:
                assert self.ids.setdefault((kind, recorded["id"]), ours["id"]) == ours["id"]
                keys.remove("id")
            for key in keys:
                if kind != "answer" or key not in ("labels", "issues", "jobs", "owner", "next"):
                    self.check(recorded[key], ours[key], key if key in ("shapes", "tracks") else kind)
        elif isinstance(recorded, list):
            assert len(recorded) == len(ours)
            if recorded and isinstance(recorded[0], dict) and {"points", "frame"} <= recorded[0].keys():
                recorded, ours = (sorted(part, key=order) for part in (recorded, ours))
            for one, other in zip(recorded, ours, strict=True):
                self.check(one, other, kind)
        else:
            assert recorded == ours

    def translated(self, body: Any, kind: str = "") -> Any:
        if isinstance(body, dict):
            return {
                key: self.ids.get((kind, value), value) if key == "id" else self.translated(value, key)
                for key, value in body.items()
            }
        return [self.translated(item, kind) for item in body] if isinstance(body, list) else body


def order(shape: dict[str, Any]) -> str:
    return json.dumps([shape["frame"], shape["type"], [float(p) for p in shape["points"]], shape.get("label_id")])


def test_every_recorded_request_is_answered_as_recorded(tmp_path: Path) -> None:
    server = StandIn()
    fill(server.world, tmp_path)
    compared = Compared()
    try:
        for recorded in RECORDINGS:
            if "reset" in recorded:
                for job in server.world.jobs:
                    server.world.annotations.clear(job)
                compared = Compared()
                continue
            if "given" in recorded:
                server.world.annotations.patch(recorded["given"], "update", {"shapes": recorded["shapes"]})
                continue
            name = recorded["name"]
            method = recorded["method"]
            body = recorded["body"] if method == "PATCH" or method == "POST" or method == "PUT" else None
            body = compared.translated(body)
            status, answer = ask(server.url + recorded["path"], method, body, TOKENS.get(name[:3], "full"))
            try:
                assert status == recorded["status"]
                if not isinstance(recorded["answer"], str) or not recorded["answer"].startswith("HTML"):
                    compared.check(recorded["answer"], answer, "answer")
            except AssertionError as error:
                raise AssertionError(f"{name}: {error}\n{recorded['answer']}\n{answer}"[:3000]) from None
    finally:
        server.close()


@pytest.mark.parametrize(
    ("token", "status"),
    [("full", 200), ("expired", 401), ("unknown", 401), ("annot1", 403), ("stranger", 403)],
)
def test_tokens_open_what_their_user_may_see(tmp_path: Path, token: str, status: int) -> None:
    server = StandIn()
    fill(server.world, tmp_path)
    try:
        assert ask(f"{server.url}/api/jobs/13", "GET", None, token)[0] == status
    finally:
        server.close()


def test_links_to_further_pages_can_be_followed(tmp_path: Path) -> None:
    server = StandIn()
    fill(server.world, tmp_path)
    try:
        page = ask(f"{server.url}/api/labels?task_id=6&page_size=2", "GET", None, "full")[1]
        assert re.search(r"page=2", page["next"])
        second = ask(page["next"], "GET", None, "full")[1]
        assert [label["name"] for label in second["results"]] == ["thing", "car"]
    finally:
        server.close()
