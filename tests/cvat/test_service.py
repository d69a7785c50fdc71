"""Rounds on request of CVAT's pages: as those of sync, as the person who asks, whatever stops on the way."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from bench import Bench, Pictures, check_ledger
from cvat_sdk.core.client import Client
from service_bench import Browser, first_line, free_port, jobs_of, second_line, serving, stepping, undisturbed, until
from standin import StandIn

from siaf.cvat.server.connection import connect
from siaf.cvat.service.site import Caller, Site
from siaf.cvat.sessions.base import SessionFactory
from siaf.cvat.storage.store import StateStore
from siaf.errors import InputError
from siaf.model.loaded import Model


@pytest.fixture
def service(standin: StandIn, client: Client, store: StateStore, sessions: SessionFactory) -> Iterator[str]:
    """A service with one replica."""
    with serving(standin, store, [sessions]) as url:
        yield url


def test_two_labelers_and_four_rounds_end_as_with_sync(
    bench: Bench,
    standin: StandIn,
    store: StateStore,
    tiny_model: Model,
    sessions: SessionFactory,
    pictures: Pictures,
    tmp_path: Path,
) -> None:
    users = ["annot1", "annot2"]
    jobs = jobs_of(bench, standin, pictures, users)
    with serving(standin, store, [sessions, sessions]) as url:
        browsers = [Browser(standin, url, user) for user in users]
        for work in (lambda job: None, lambda job: second_line(bench, job)):
            for browser, job in zip(browsers, jobs, strict=True):
                work(job)
                assert browser.start(job)["by"] == browser.headers["X-CSRFToken"].removeprefix("csrf-of-")
            rounds = [browser.wait(job) for browser, job in zip(browsers, jobs, strict=True)]
            assert [(r["state"], r["percent"]) for r in rounds] == [("done", 100)] * 2
            assert all(r["report"]["created"] or r["report"]["updated"] for r in rounds)
        metrics = browsers[0].ask("GET", "metrics")[1]
    assert 'siaf_service_rounds_total{outcome="done"} 4.0' in metrics
    assert [bench.contents(job) for job in jobs] == undisturbed(pictures, 2, sessions, tmp_path / "sync", rounds=2)
    for job in jobs:
        check_ledger(bench, job)


def test_writes_are_the_caller_s(bench: Bench, standin: StandIn, service: str, pictures: Pictures) -> None:
    (job,) = jobs_of(bench, standin, pictures, ["annot1"])
    browser = Browser(standin, service, "annot1")
    standin.log.clear()
    browser.start(job)
    browser.wait(job)
    mine = [request for request in standin.log if request.path.startswith("/api/")]
    assert {request.user for request in mine} == {"annot1"}
    assert not any("authorization" in request.headers for request in mine)
    assert {request.headers["origin"] for request in mine} == {standin.url}


@pytest.mark.parametrize(("user", "status"), [("viewer", 403), ("stranger", 403)])
def test_cvat_itself_refuses_who_may_not_write(
    bench: Bench, standin: StandIn, service: str, pictures: Pictures, user: str, status: int
) -> None:
    (job,) = jobs_of(bench, standin, pictures, ["annot1"])
    before = bench.everything(job)
    got, answer = Browser(standin, service, user).ask("POST", f"jobs/{job}/rounds", {})
    assert (got, answer["error"]["code"]) == (status, "refused")
    assert "You do not have permission" in answer["error"]["message"]
    refused = standin.log[-1]
    assert (refused.user, refused.status) == (user, 403)
    assert bench.everything(job) == before
    assert Browser(standin, service, "annot1").ask("GET", f"jobs/{job}/rounds/current")[0] == 404


def test_a_viewer_may_look_but_not_cancel(bench: Bench, standin: StandIn, service: str, pictures: Pictures) -> None:
    (job,) = jobs_of(bench, standin, pictures, ["annot1"])
    labeler, viewer = Browser(standin, service, "annot1"), Browser(standin, service, "viewer")
    labeler.start(job)
    labeler.wait(job)
    assert viewer.round(job)["by"] == "annot1"
    assert viewer.ask("DELETE", f"jobs/{job}/rounds/current")[0] == 403
    assert Browser(standin, service, "stranger").ask("GET", f"jobs/{job}/rounds/current")[0] == 403


FORGED = [
    ({"Origin": "https://evil.example"}, 403, "forged"),
    ({"Origin": None}, 403, "forged"),
    ({"X_Siaf": None}, 403, "forged"),
    ({"X_CSRFToken": None}, 403, "forged"),
    ({"X_CSRFToken": "guessed"}, 403, "refused"),
    ({"Host": "rebound.example"}, 421, "host"),
    ({"Cookie": None}, 401, "login"),
    ({"Cookie": "sessionid=unknown; csrftoken=x"}, 401, "login"),
    ({"Content_Type": "text/plain"}, 415, "media"),
]


@pytest.mark.parametrize(("changed", "status", "code"), FORGED, ids=lambda value: str(value))
def test_what_another_site_could_send_is_refused(
    bench: Bench,
    standin: StandIn,
    service: str,
    pictures: Pictures,
    changed: dict[str, str | None],
    status: int,
    code: str,
) -> None:
    (job,) = jobs_of(bench, standin, pictures, ["annot1"])
    browser = Browser(standin, service, "annot1")
    got, answer = browser.ask("POST", f"jobs/{job}/rounds", {}, **changed)
    assert (got, answer["error"]["code"]) == (status, code)
    assert browser.ask("GET", f"jobs/{job}/rounds/current")[0] == 404
    assert bench.masks(job) == {}


def test_options_that_do_not_exist_are_named(bench: Bench, standin: StandIn, service: str, pictures: Pictures) -> None:
    (job,) = jobs_of(bench, standin, pictures, ["annot1"])
    browser = Browser(standin, service, "annot1")
    for body, field in (({"frames": "1-2"}, "frames"), ({"yes": 1}, "yes"), ([], "body")):
        status, answer = browser.ask("POST", f"jobs/{job}/rounds", body)
        assert (status, answer["error"]["field"]) == (400, field)
    assert browser.ask("POST", "jobs/999/rounds", {})[0] == 404
    assert browser.ask("GET", f"jobs/{job}/next?after=x")[1]["error"]["field"] == "after"
    assert browser.ask("PUT", f"jobs/{job}/rounds/current")[0] == 405
    assert browser.ask("GET", "jobs")[0] == 404


def test_cancelled_in_the_middle_it_goes_on_where_it_was(
    bench: Bench,
    standin: StandIn,
    store: StateStore,
    sessions: SessionFactory,
    pictures: Pictures,
    tmp_path: Path,
) -> None:
    """A second one asks meanwhile, and waits on another job."""
    jobs = jobs_of(bench, standin, pictures, ["annot1", "annot2"])
    reached, go_on = threading.Event(), threading.Event()
    frames: list[int] = []

    def gate(done: int) -> None:
        frames.append(done)
        if done == 1 and not go_on.is_set():
            reached.set()
            assert go_on.wait(240)

    with serving(standin, store, [stepping(sessions, gate)]) as url:
        first, second = Browser(standin, url, "annot1"), Browser(standin, url, "annot2")
        first.start(jobs[0])
        assert reached.wait(240)
        status, answer = first.ask("POST", f"jobs/{jobs[0]}/rounds", {})
        assert (status, answer["error"]["code"], answer["round"]["by"]) == (409, "taken", "annot1")
        second.start(jobs[1])
        waiting = second.round(jobs[1])
        assert (waiting["state"], waiting["percent"]) == ("waiting", 0)
        assert second.ask("DELETE", f"jobs/{jobs[1]}/rounds/current")[1]["state"] == "cancelled"
        assert first.ask("DELETE", f"jobs/{jobs[0]}/rounds/current")[1]["message"] == "stopping at the next frame"
        go_on.set()
        over = first.wait(jobs[0])
        assert over["state"] == "cancelled"
        assert "what is done is kept" in over["message"]
        assert bench.masks(jobs[0]) == {}
        assert first.ask("DELETE", f"jobs/{jobs[0]}/rounds/current")[0] == 404
        frames.clear()
        for browser, job in ((first, jobs[0]), (second, jobs[1])):
            browser.start(job)
            assert browser.wait(job)["state"] == "done"
    assert [bench.contents(job) for job in jobs] == undisturbed(pictures, 2, sessions, tmp_path / "sync", rounds=1)


def test_killed_in_the_middle_it_loses_and_doubles_nothing(
    bench: Bench, standin: StandIn, pictures: Pictures, sessions: SessionFactory, tmp_path: Path
) -> None:
    """SIGKILL while frames are filled; the next service says so, and ends where an undisturbed one would."""
    (job,) = bench.task(pictures[:6])
    standin.world.jobs[job].assignee = "annot1"
    first_line(bench, job)
    second_line(bench, job)
    shop, port = str(tmp_path / "store"), free_port()

    def run(how: str) -> subprocess.Popen[str]:
        script = str(Path(__file__).with_name("service_bench.py"))
        command = [sys.executable, script, standin.url, shop, str(port), how]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def listens() -> bool:
        try:
            return browser.ask("GET", "health/live")[0] == 200
        except OSError:
            return False

    browser = Browser(standin, f"http://127.0.0.1:{port}", "annot1")
    process = run("hangs")
    try:
        until(listens, "the service listens")
        browser.start(job)
        assert process.stdout is not None
        assert process.stdout.readline() == "frame 3\n"
    finally:
        process.kill()
        process.wait()
    assert "csrf-of-annot1" not in "".join(p.read_text("latin-1") for p in Path(shop).rglob("*") if p.is_file())
    process = run("goes on")
    try:
        until(listens, "the service listens")
        found = browser.round(job)
        assert (found["state"], found["by"]) == ("interrupted", "annot1")
        assert "ask again" in found["message"]
        browser.start(job)
        assert browser.wait(job)["state"] == "done"
    finally:
        process.terminate()
        assert process.wait(60) in (0, -15)
    once = bench.contents(job)
    check_ledger(bench, job)
    other = StandIn()
    place = tmp_path / "sync"
    place.mkdir()
    quiet = Bench(connect(other.url, token="full"), StateStore(str(place / "store")), sessions, place)
    (same,) = quiet.task(pictures[:6])
    first_line(quiet, same)
    second_line(quiet, same)
    quiet.sync(same)
    assert once == quiet.contents(same)
    other.close()


def test_questions_are_asked_and_answered(bench: Bench, standin: StandIn, service: str, pictures: Pictures) -> None:
    (job,) = jobs_of(bench, standin, pictures, ["annot1"])
    browser = Browser(standin, service, "annot1")
    for box in ((2, 2, 9, 9), (40, 40, 60, 60)):
        area = (box[2] - box[0] + 1) * (box[3] - box[1] + 1)
        bench.draw(job, 1, "mask", [0, area, *box], "person", object=0)
    browser.start(job)
    asked = browser.wait(job)
    assert (asked["state"], asked["error"]["code"]) == ("failed", "questions")
    assert len(asked["error"]["questions"]) == 1
    assert bench.shapes(job)[0]["source"] == "manual"
    browser.start(job, yes=True)
    assert browser.wait(job)["state"] == "done"


def test_what_fails_says_why(bench: Bench, standin: StandIn, service: str, pictures: Pictures) -> None:
    (job,) = bench.task(pictures[:2])
    standin.world.jobs[job].assignee = "annot1"
    browser = Browser(standin, service, "annot1")
    browser.start(job)
    assert browser.wait(job)["error"]["code"] == "nothing_drawn"
    standin.fault = lambda request: 503
    assert browser.ask("GET", f"jobs/{job}/rounds/current")[0] == 502
    assert browser.ask("GET", "health/ready")[0] == 503
    assert browser.ask("GET", "health/live")[0] == 200
    standin.fault = lambda request: None
    assert browser.ask("GET", "health/ready")[0] == 200


def test_the_next_frame_follows_the_one_that_is_shown(
    bench: Bench, standin: StandIn, service: str, store: StateStore, pictures: Pictures
) -> None:
    jobs = jobs_of(bench, standin, pictures, ["annot1", "annot2"])
    browser = Browser(standin, service, "annot2")
    path = f"jobs/{jobs[1]}/next"
    assert browser.ask("GET", path)[1] == {"job": jobs[1], "round": 0, "frames": [], "frame": None}
    place = store.job(bench.server.url, jobs[1])
    ledger = place.ledger()
    ledger.round, ledger.suggest = 1, [2, 0, 1]
    place.save(ledger)
    standin.world.jobs[jobs[1]].deleted = [4]
    found = [browser.ask("GET", f"{path}{query}")[1] for query in ("", "?after=5", "?after=3", "?after=4")]
    assert [answer["frame"] for answer in found] == [5, 3, 5, 5]
    assert found[0]["frames"] == [5, 3]


@pytest.mark.parametrize(
    ("address", "origin"),
    [
        ("https://cvat.example.com/", "https://cvat.example.com"),
        ("https://CVAT.example.com:443", "https://cvat.example.com"),
        ("http://10.0.0.1:8080", "http://10.0.0.1:8080"),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_origins_are_as_browsers_write_them(address: str, origin: str) -> None:
    assert Site.parse(address).origin == origin


@pytest.mark.parametrize("address", ["cvat.example.com", "ftp://x", "https://x/cvat", "https://x:99999", "https://"])
def test_other_sites_are_named(address: str) -> None:
    with pytest.raises(InputError, match="^site: "):
        Site.parse(address)


def test_cookies_of_others_do_not_hide_the_session() -> None:
    headers = {"cookie": 'a={"b": 1}; sessionid=abc; odd[x]=1; csrftoken=def', "x-csrftoken": "def"}
    assert Caller.of(headers) == Caller("abc", "def", "def")
    assert Caller.of({"cookie": 'sessionid="a\r\nX: y"'}) is None
    assert Caller.of({"cookie": "csrftoken=def"}) is None
    with pytest.raises(InputError, match="^org: "):
        Caller.of(headers, "a b")


# -- what is done about rounds ----------------------------------------------------------------------------------------


def control(browser: Browser, job: int, **wish: object) -> dict[str, object]:
    status, asked = browser.ask("POST", f"jobs/{job}/rounds", wish)
    assert status == 202, asked
    return dict(browser.wait(job))


def test_rounds_are_taken_back_and_objects_changed_as_the_person_who_asks(
    bench: Bench, standin: StandIn, service: str, pictures: Pictures
) -> None:
    (job,) = bench.task(pictures[:4])
    standin.world.jobs[job].assignee = "annot1"
    for tag, box in {1: (8, 12, 24, 28), 2: (68, 42, 86, 58), 3: (80, 2, 94, 9)}.items():
        bench.box_mask(job, 0, box, "car", tag)
    browser = Browser(standin, service, "annot1")
    browser.start(job)
    browser.wait(job)
    before = bench.contents(job)
    standin.log.clear()
    swapped = control(browser, job, do="swap", objects=[1, 2], from_frame=2)
    assert (swapped["state"], swapped["percent"]) == ("done", 100)
    assert "swapped; round 2" in "\n".join(swapped["lines"])
    assert {request.user for request in standin.log if request.path.startswith("/api/")} == {"annot1"}
    assert bench.contents(job) != before
    undone = control(browser, job, do="undo")
    assert (undone["report"]["done"], undone["report"]["round"]) == ("undo", 1)
    assert bench.contents(job) == before
    failed = control(browser, job, do="merge", objects=[1, 9], from_frame=2)
    assert (failed["state"], failed["error"]["field"]) == ("failed", "objects")
    check_ledger(bench, job)


def test_a_viewer_takes_nothing_back(bench: Bench, standin: StandIn, service: str, pictures: Pictures) -> None:
    (job,) = jobs_of(bench, standin, pictures, ["annot1"])
    first = Browser(standin, service, "annot1")
    first.start(job)
    first.wait(job)
    before = bench.everything(job)
    assert Browser(standin, service, "viewer").ask("POST", f"jobs/{job}/rounds", {"do": "undo"})[0] == 403
    assert bench.everything(job) == before


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"do": "jump"}, "do"),
        ({"do": ["undo"]}, "do"),
        ({"do": "undo", "yes": True}, "yes"),
        ({"do": "undo", "objects": [1]}, "objects"),
        ({"do": "swap", "objects": [1], "from_frame": 2}, "objects"),
        ({"do": "swap", "objects": "12", "from_frame": 2}, "objects"),
        ({"do": "swap", "objects": [1, 2]}, "from_frame"),
        ({"do": "swap", "objects": [1, 2], "from_frame": "2"}, "from_frame"),
        ({"objects": [1, 2]}, "objects"),
        ({"from_frame": 3}, "from_frame"),
        ({"undo": True}, "undo"),
        ({"frames": [5, 3]}, "frames"),
        ({"frames": [1]}, "frames"),
        ({"frames": "1-3"}, "frames"),
        ({"barriers": ["3"]}, "barriers"),
        ({"barriers": [-1]}, "barriers"),
        ({"do": "undo", "frames": [1, 2]}, "frames"),
    ],
)
def test_a_wrong_wish_is_named(
    bench: Bench, standin: StandIn, service: str, pictures: Pictures, body: dict[str, object], field: str
) -> None:
    (job,) = bench.task(pictures[:2])
    standin.world.jobs[job].assignee = "annot1"
    status, answer = Browser(standin, service, "annot1").ask("POST", f"jobs/{job}/rounds", body)
    assert (status, answer["error"]["code"], answer["error"]["field"]) == (400, "bad_request", field)
