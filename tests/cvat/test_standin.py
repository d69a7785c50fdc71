"""The stand-in answers as a real CVAT 2.73.0 did: recorded requests are sent again, the answers compared."""

import json
import re
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest
from recorded import CALLS, DATA, RECORDINGS, Compared, ask, fill, number
from standin import StandIn
from standin_http import Answer, HttpSide
from standin_lambda import Function
from standin_world import Token

from siaf.cvat.server.connection import Server, connect
from siaf.cvat.server.faults import ServerFault
from siaf.errors import InputError

MADE = ("a09_project_create", "a10_task_create", "a30_task_create_video")
LEFT_OUT = json.loads((DATA / "left_out.json").read_text())
"""Recordings that are sent nowhere here, with the reason."""


@pytest.fixture
def standin(tmp_path: Path) -> StandIn:
    server = StandIn()
    fill(server.world, tmp_path)
    return server


def test_every_recorded_request_is_answered_as_recorded(standin: StandIn) -> None:
    types = ("rectangle", "polygon", "polyline", "points", "mask")
    standin.functions["lab-tracker"] = Function("lab-tracker", "tracker", lambda payload: (200, {}), types)
    compared = Compared()
    for recorded in RECORDINGS:
        if "reset" in recorded:
            for job in standin.world.jobs:
                standin.world.annotations.clear(job)
            compared = Compared()
            continue
        if "given" in recorded:
            given = {kind: recorded.get(kind, []) for kind in ("shapes", "tracks")}
            standin.world.annotations.patch(recorded["given"], "update", given)
            continue
        if recorded["name"] in MADE or "delivery" in recorded:
            continue
        name, method = recorded["name"], recorded["method"]
        body = compared.translated(recorded["body"]) if method in ("PATCH", "POST", "PUT") else None
        body = recorded["raw"].encode() if "raw" in recorded else body
        token = recorded.get("token", "full")
        status, answer = ask(standin.url + recorded["path"], method, body, token)
        try:
            assert status == recorded["status"]
            if recorded["answer"] != "HTML":
                compared.check(recorded["answer"], answer)
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}\n{recorded['answer']}\n{answer}"[:3000]) from None


def test_projects_and_tasks_are_made_as_recorded() -> None:
    server = StandIn()
    number(server.world)
    for recorded in (r for r in RECORDINGS if r.get("name") in MADE):
        status, answer = ask(server.url + recorded["path"], "POST", recorded["body"], "full")
        assert status == recorded["status"]
        Compared().check(recorded["answer"], answer)


def test_deliveries_of_webhooks_are_as_recorded(standin: StandIn) -> None:
    (recorded,) = (r["delivery"] for r in RECORDINGS if "delivery" in r)
    heard: SimpleQueue[dict[str, Any]] = SimpleQueue()
    sink = HttpSide(lambda request: (heard.put(request.body), Answer())[1])
    hook = {"target_url": sink.url, "project_id": 1, "events": ["update:job"], "secret": "s3cret"}
    standin.world.webhooks[recorded["webhook_id"]] = {**hook, "id": recorded["webhook_id"]}
    job = standin.world.jobs[recorded["job"]["id"]]
    ask(f"{standin.url}/api/jobs/{job.id}", "PATCH", {"state": job.state}, "full")
    heard.get(timeout=10)
    ask(f"{standin.url}/api/jobs/{job.id}", "PATCH", {"state": recorded["job"]["state"]}, "full")
    Compared().check(recorded, heard.get(timeout=10))


def test_every_recording_is_compared_or_left_out_for_a_reason() -> None:
    compared = [r["name"] for r in (*RECORDINGS, *CALLS) if "name" in r]
    names = sorted([*compared, *LEFT_OUT])
    assert len(names) == len(set(names)) == 229
    assert all(len(reason) > 10 for reason in LEFT_OUT.values())


@pytest.mark.parametrize(
    ("token", "status"),
    [("full", 200), ("read-only", 200), ("expired", 401), ("unknown", 401), ("annot1", 403), ("stranger", 403)],
)
def test_tokens_open_what_their_user_may_see(standin: StandIn, token: str, status: int) -> None:
    assert ask(f"{standin.url}/api/jobs/13", "GET", None, token)[0] == status


def test_a_password_opens_what_a_token_does(standin: StandIn, client: object) -> None:
    connected = connect(standin.url, user=("admin", "secret"))
    assert Server(connected).job(13)["id"] == 13
    with pytest.raises(InputError, match="user: CVAT does not know user 'admin' with this password"):
        connect(standin.url, user=("admin", "wrong"))
    standin.fault = lambda request: 502 if request.path.endswith("/login") else None
    with pytest.raises(ServerFault, match="CVAT failed on user 'admin': 502"):
        connect(standin.url, user=("admin", "secret"))
    standin.fault = lambda request: "refuse" if request.path.endswith("/login") else None
    with pytest.raises(ServerFault, match="does not answer"):
        connect(standin.url, user=("admin", "secret"))


def test_a_token_that_expires_is_refused_from_then_on(standin: StandIn) -> None:
    standin.world.tokens["short"] = Token("admin")
    assert ask(f"{standin.url}/api/jobs/13", "GET", None, "short")[0] == 200
    standin.world.tokens["short"].expired = True
    assert ask(f"{standin.url}/api/jobs/13", "GET", None, "short")[0] == 401


def test_links_to_further_pages_can_be_followed(standin: StandIn) -> None:
    page = ask(f"{standin.url}/api/labels?task_id=6&page_size=2", "GET", None, "full")[1]
    assert re.search(r"page=2", page["next"])
    second = ask(page["next"], "GET", None, "full")[1]
    assert [label["name"] for label in second["results"]] == ["thing", "car"]
