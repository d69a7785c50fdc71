"""The actions in a real Chromium, on pages that offer what CVAT's application does: `make test-browser`."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bench import Bench, Pictures
from cvat_sdk.core.client import Client
from cvat_site import CvatSite
from service_bench import LINES, Browser, first_line, frame_of, jobs_of, serving, stepping, undisturbed, until
from standin import StandIn
from standin_sessions import sign_in

from siaf.cvat.sessions.base import SessionFactory
from siaf.cvat.storage.store import StateStore

pytestmark = pytest.mark.browser

ROUND = "SIAF: commit scribbles and propagate"
PART = "SIAF: commit scribbles and propagate from frame to frame"
NEXT = "SIAF: next frame to fix"
UNDO = "SIAF: undo last round"
SWAP = "SIAF: swap two objects from a frame on"
MERGE = "SIAF: merge two objects from a frame on"
SPLIT = "SIAF: split an object from a frame on"
CONTROLS = [UNDO, SWAP, MERGE, SPLIT]
PATIENCE_MS = 240_000
Open = Callable[..., Any]


@pytest.fixture
def site(standin: StandIn, client: Client) -> Iterator[CvatSite]:
    made = CvatSite(standin.url)
    yield made
    made.close()


@pytest.fixture
def open_page(chromium: Any, site: CvatSite, standin: StandIn) -> Iterator[Open]:
    """Opens a job as a user."""
    contexts = []

    def make(user: str, job: int, query: str = "", before: Callable[[Any], object] = lambda page: None) -> Any:
        context = chromium.new_context()
        contexts.append(context)
        cookies = sign_in(standin.world, user)
        context.add_cookies([{"name": k, "value": v, "url": site.url} for k, v in cookies.items()])
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        before(page)
        page.goto(f"{site.url}/tasks/1/jobs/{job}?job={job}{query}")
        return page

    yield make
    for context in contexts:
        context.close()


@pytest.fixture
def served(site: CvatSite, standin: StandIn, store: StateStore, sessions: SessionFactory) -> Iterator[str]:
    with serving(standin, store, [sessions], site.url) as url:
        site.service = url
        yield url


def press(page: Any, action: str, **parameters: int) -> None:
    page.wait_for_selector(f"#actions option[value='{action}']", state="attached")
    page.select_option("#actions", action)
    for name, value in parameters.items():
        page.fill(f"#parameters input[name='{name.replace('_', ' ')}']", str(value))
    page.click("#run")


def run(page: Any, action: str, **parameters: int) -> str:
    """Run an action to its end; what the panel, or CVAT's notification, says then."""
    press(page, action, **parameters)
    page.wait_for_selector("#dialog[data-running='']", state="attached")
    return str(page.inner_text("#notification") or page.inner_text("#siaf-panel"))


def line(bench: Bench, job: int, frame: int, tag: int, label: str) -> dict[str, Any]:
    """A scribble as a page has it before it is saved."""
    return {
        "type": "polyline",
        "frame": frame,
        "label_id": bench.label_id(job, "scribble"),
        "points": list(LINES[tag]),
        "source": "manual",
        "attributes": bench.attributes(job, "scribble", {"object": tag, "label": label}),
    }


def test_two_labelers_and_four_rounds_by_button_only(
    bench: Bench,
    standin: StandIn,
    served: str,
    open_page: Open,
    sessions: SessionFactory,
    pictures: Pictures,
    tmp_path: Path,
) -> None:
    users = ["annot1", "annot2"]
    jobs = bench.task(pictures[:6], segment=3)
    pages = []
    for job, user in zip(jobs, users, strict=True):
        standin.world.jobs[job].assignee = user
        pages.append(open_page(user, job))
    for tag, label, at in ((1, "car", 0), (2, "person", 2)):
        for page, job in zip(pages, jobs, strict=True):
            drawn = line(bench, job, frame_of(bench, job, at), tag, label)
            page.evaluate("shape => { window.job.unsaved.push(shape); }", drawn)
            press(page, ROUND)
        for page, job in zip(pages, jobs, strict=True):
            page.wait_for_selector("#dialog[data-running='']", state="attached")
            assert page.inner_text("#notification") == ""
            said = page.inner_text("#siaf-panel")
            assert f"job {job}, round {tag}" in said
            assert "scribbles on frames" in said
            shown = page.evaluate("window.job.shapes.map(shape => shape.id).sort((a, b) => a - b)")
            assert shown == sorted(s["id"] for s in bench.server.annotations(job)["shapes"])
            assert page.evaluate("window.job.committed") == [{"shapes": [], "tags": [], "tracks": []}] * 2
    assert [bench.contents(job) for job in jobs] == undisturbed(pictures, 2, sessions, tmp_path / "sync", rounds=2)


def test_cancel_and_reload_in_the_middle(
    bench: Bench,
    standin: StandIn,
    site: CvatSite,
    store: StateStore,
    open_page: Open,
    sessions: SessionFactory,
    pictures: Pictures,
    tmp_path: Path,
) -> None:
    (job,) = jobs_of(bench, standin, pictures, ["annot1"])
    reached, go_on = threading.Event(), threading.Event()

    def gate(done: int) -> None:
        if not go_on.is_set():
            reached.set()
            assert go_on.wait(240)

    with serving(standin, store, [stepping(sessions, gate)], site.url) as site.service:
        page = open_page("annot1", job)
        press(page, ROUND)
        assert reached.wait(240)
        page.click("#cancel")
        page.wait_for_function("document.querySelector('#progress').textContent.includes('stopping at the next frame')")
        go_on.set()
        page.wait_for_selector("#dialog[data-running='']", state="attached")
        assert "what is done is kept" in page.inner_text("#siaf-panel")
        assert bench.masks(job) == {}
        reached.clear()
        go_on.clear()
        press(page, ROUND)
        until(lambda: reached.is_set() or bench.masks(job), "the round goes on")
        page.reload()
        press(page, ROUND)
        page.wait_for_function("document.querySelector('#progress').textContent.includes('annot1 asked for')")
        go_on.set()
        page.wait_for_selector("#dialog[data-running='']", state="attached")
        assert "new" in page.inner_text("#siaf-panel")
    assert bench.contents(job) == undisturbed(pictures, 1, sessions, tmp_path / "sync", rounds=1)[0]


def test_the_next_frame_is_jumped_to(
    bench: Bench, standin: StandIn, site: CvatSite, served: str, store: StateStore, open_page: Open, pictures: Pictures
) -> None:
    (job,) = jobs_of(bench, standin, pictures, ["annot1"])
    page = open_page("annot1", job)
    assert "no round has been run" in run(page, NEXT)
    place = store.job(site.url, job)
    ledger = place.ledger()
    ledger.round, ledger.suggest = 1, [2, 1]
    place.save(ledger)
    frames = []
    for _ in range(3):
        assert "of: 2, 1" in run(page, NEXT)
        frames.append(page.evaluate("window.state.annotation.player.frame.number"))
    assert frames == [2, 1, 2]


def test_objects_are_swapped_merged_and_split_and_all_of_it_taken_back(
    bench: Bench, standin: StandIn, served: str, open_page: Open, pictures: Pictures
) -> None:
    (job,) = bench.task(pictures[:4])
    standin.world.jobs[job].assignee = "annot1"
    for tag, box in {1: (8, 12, 24, 28), 2: (68, 42, 86, 58), 3: (80, 2, 94, 9)}.items():
        bench.box_mask(job, 0, box, "car", tag)
    page = open_page("annot1", job, "&frame=2&start=0&stop=3")
    assert "there is no round to take back" in run(page, UNDO)
    assert "round 1" in run(page, ROUND)
    assert {tag for _, tag in bench.masks(job)} == {1, 2, 3}

    def contents() -> list[Any]:
        """But for scores: on a frame that a change pinned, siaf is as sure as of one that people drew on."""
        return [{key: value for key, value in entry.items() if key != "score"} for entry in bench.contents(job)]

    rounds, before = [contents()], bench.masks(job)
    page.select_option("#actions", SWAP)
    fields = page.evaluate(
        "[...document.querySelectorAll('#parameters input')].map(i => [i.name, i.min, i.max, i.value])"
    )
    assert fields == [
        ["Object", "1", "255", "1"],
        ["Other object", "1", "255", "2"],
        ["From frame", "0", "3", "2"],  # the one that is shown
    ]
    assert "swapped; round 2" in run(page, SWAP)
    after = bench.masks(job)
    for frame in range(4):
        one, two = (2, 1) if frame >= 2 else (1, 2)
        assert (after.get((frame, one)), after.get((frame, two))) == (before.get((frame, 1)), before.get((frame, 2)))
    rounds.append(contents())
    assert "merged; round 3" in run(page, MERGE, Object_that_stays=1, Object_that_joins_it=3, From_frame=1)
    assert {tag for frame, tag in bench.masks(job) if frame} == {1, 2}
    rounds.append(contents())
    assert "split; round 4" in run(page, SPLIT, Object=2, From_frame=3)
    assert {tag for frame, tag in bench.masks(job) if frame == 3} == {1, 4}
    shown = {shape["id"] for shape in page.evaluate("window.job.shapes")}
    assert shown == {shape["id"] for shape in bench.everything(job)["shapes"]}  # refreshed in place
    assert "there is no object 9 in the job" in run(page, SPLIT, Object=9, From_frame=3)
    for before_round in reversed(rounds):
        assert "taken back" in run(page, UNDO)
        assert contents() == before_round


def test_a_round_goes_from_frame_to_frame(
    bench: Bench, standin: StandIn, served: str, open_page: Open, pictures: Pictures
) -> None:
    (job,) = bench.task(pictures[:6])
    standin.world.jobs[job].assignee = "annot1"
    first_line(bench, job)
    page = open_page("annot1", job, "&frame=2&start=0&stop=5")
    assert "scribbles on frames 0" in run(page, PART, To_frame=3)
    assert {frame for frame, _ in bench.masks(job)} == {0, 2, 3}
    run(page, ROUND)
    assert {frame for frame, _ in bench.masks(job)} == set(range(6))


def test_who_may_not_write_is_told_so(
    bench: Bench, standin: StandIn, served: str, open_page: Open, pictures: Pictures
) -> None:
    (job,) = jobs_of(bench, standin, pictures, ["annot1"])
    assert "You do not have permission" in run(open_page("viewer", job), ROUND)
    assert bench.masks(job) == {}


def test_what_was_not_used_is_listed(
    bench: Bench, standin: StandIn, served: str, open_page: Open, pictures: Pictures
) -> None:
    (job,) = jobs_of(bench, standin, pictures, ["annot1"])
    bench.scribble(job, 1, LINES[2], tag=3, label="<b>car")
    said = run(open_page("annot1", job), ROUND)
    assert "not used: polyline" in said
    assert "<b>car" in said  # as text, whatever it looks like


def test_questions_are_asked_in_the_page(
    bench: Bench, standin: StandIn, served: str, open_page: Open, pictures: Pictures
) -> None:
    (job,) = jobs_of(bench, standin, pictures, ["annot1"])
    for box in ((2, 2, 9, 9), (40, 40, 60, 60)):
        area = (box[2] - box[0] + 1) * (box[3] - box[1] + 1)
        bench.draw(job, 1, "mask", [0, area, *box], "person", object=0)
    page = open_page("annot1", job)
    asked: list[str] = []
    page.once("dialog", lambda dialog: (asked.append(dialog.message), dialog.dismiss()))
    assert "have no number" in run(page, ROUND)
    assert "together they would become object" in asked[0]
    page.once("dialog", lambda dialog: dialog.accept())
    assert "masks used as they are" in run(page, ROUND)


def test_another_origin_starts_nothing(
    bench: Bench, standin: StandIn, site: CvatSite, served: str, open_page: Open, pictures: Pictures
) -> None:
    """The cookies travel: ports are no border for them. All else is missing, and a preflight is not answered."""
    (job,) = jobs_of(bench, standin, pictures, ["annot1"])
    evil = CvatSite(standin.url)
    page = open_page("annot1", job)
    page.goto(f"{evil.url}/?job=0")
    forge = """async ([url, headers]) => fetch(url, {
        method: 'POST', mode: headers ? 'cors' : 'no-cors', credentials: 'include', headers: headers ?? {}, body: '{}',
    }).then(() => 'sent', () => 'stopped')"""
    url = f"{site.url}/siaf/jobs/{job}/rounds"
    assert page.evaluate(forge, [url, None]) == "sent"
    assert page.evaluate(forge, [url, {"X-Siaf": "1", "X-CSRFToken": "csrf-of-annot1"}]) == "stopped"
    browser = Browser(standin, served, "annot1", site.url)
    assert browser.ask("GET", f"jobs/{job}/rounds/current")[0] == 404
    metrics = browser.ask("GET", "metrics")[1]
    assert 'siaf_service_requests_total{call="start",status="403"} 1.0' in metrics
    evil.close()


@pytest.mark.parametrize(
    ("lacks", "left"),
    [
        ("actionCreators.changeFrameAsync", [ROUND, PART, *CONTROLS]),
        ("actions.register", []),
        ("classes.BaseCollectionAction", []),
        ("window.cvatUI", []),
    ],
)
def test_a_hook_that_a_version_lacks_is_named(
    bench: Bench, standin: StandIn, served: str, open_page: Open, pictures: Pictures, lacks: str, left: list[str]
) -> None:
    (job,) = bench.task(pictures[:2])
    standin.world.jobs[job].assignee = "annot1"
    late = lacks == "window.cvatUI"
    page = open_page("annot1", job, f"&lacks={lacks}", lambda page: page.clock.install() if late else None)
    if late:
        page.clock.fast_forward(61_000)
    page.wait_for_selector("#siaf-panel")
    said = page.inner_text("#siaf-panel")
    assert f"{lacks}: " in said
    assert ("siaf:run" in said) == (not left)
    assert page.evaluate("[...document.querySelectorAll('#actions option')].map(o => o.value)") == left


def test_a_service_that_is_away_is_named(
    bench: Bench, standin: StandIn, site: CvatSite, served: str, open_page: Open, pictures: Pictures
) -> None:
    (job,) = bench.task(pictures[:2])
    standin.world.jobs[job].assignee = "annot1"
    page = open_page("annot1", job)
    page.wait_for_selector(f"#actions option[value='{ROUND}']", state="attached")
    site.service = "http://127.0.0.1:1"
    assert "SIAF: the service under /siaf/ answers 502" in run(page, ROUND)
    assert page.evaluate("window.job.committed") is None


def test_drawn_lines_are_saved_first(
    bench: Bench, standin: StandIn, served: str, open_page: Open, pictures: Pictures
) -> None:
    (job,) = bench.task(pictures[:2])
    standin.world.jobs[job].assignee = "annot1"
    first_line(bench, job)
    page = open_page("annot1", job)
    page.evaluate("shape => { window.job.unsaved.push(shape); }", line(bench, job, 1, 1, "car"))
    assert "scribbles on frames 0, 1" in run(page, ROUND)
