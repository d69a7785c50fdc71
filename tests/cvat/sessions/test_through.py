"""`--via cvat`: the same rounds as tracker calls through CVAT's lambda endpoint; no frame passes through the client."""

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bench import Bench, Pictures
from drawn_job import corrected, drawn
from standin import StandIn
from standin_http import Request
from standin_lambda import Function

from function.http.messages import Request as Event
from function.service import Service
from function.settings import Settings
from siaf.cvat import commands
from siaf.cvat.server.faults import ServerFault
from siaf.cvat.sessions.through_cvat import through_cvat
from siaf.errors import InputError

TYPES = ("rectangle", "polygon", "mask", "polyline", "points")


class Quiet:
    """A log that nobody reads."""

    def info_with(self, message: str, *args: object, **kwargs: object) -> None:
        """Nothing."""

    error_with = info_with


@pytest.fixture
def deploy(standin: StandIn, weights: Path) -> Callable[[], None]:
    """Deploy the function in the stand-in's Nuclio; again = all its memory is lost."""

    def start() -> None:
        service = Service.start(Settings(weights=weights, short_side=65, interaction_short_side=65))

        def invoke(payload: dict[str, Any]) -> tuple[int, Any]:
            body = json.loads(json.dumps(payload))
            reply = service.answer(Event("POST", "/", body), Quiet())
            return int(reply.status), json.loads(reply.body)

        standin.functions["siaf"] = Function("siaf", "tracker", invoke, TYPES)

    start()
    return start


def test_rounds_through_cvat_give_the_same_masks(
    bench: Bench, standin: StandIn, deploy: Callable[[], None], pictures: Pictures
) -> None:
    here, there = drawn(bench, pictures), drawn(bench, pictures)
    bench.sync(here)
    corrected(bench, here)
    bench.sync(here)
    bench.sessions = through_cvat(bench.server, "siaf")
    start = len(standin.log)
    bench.sync(there)
    corrected(bench, there)
    bench.sync(there)
    assert bench.contents(there) == bench.contents(here)
    assert not [request for request in standin.log[start:] if request.path.endswith("/data")]


def test_masks_of_new_objects_and_emptied_frames_say_the_same(
    bench: Bench, deploy: Callable[[], None], pictures: Pictures
) -> None:
    """New objects drawn as masks on different frames, then a frame from which every mask is deleted."""
    jobs = [bench.task(pictures[:5])[0] for _ in range(2)]
    ways = (bench.sessions, through_cvat(bench.server, "siaf"))
    for job, bench.sessions in zip(jobs, ways, strict=True):
        bench.box_mask(job, 0, (8, 12, 24, 28), "car", tag=1)
        bench.box_mask(job, 3, (70, 44, 88, 58), "person", tag=2)
        bench.sync(job)
    assert bench.contents(jobs[0]) == bench.contents(jobs[1])
    frame = next(f for f, _ in sorted(bench.masks(jobs[0])) if f not in (0, 3))
    for job, bench.sessions in zip(jobs, ways, strict=True):
        bench.delete(job, *(s for s in bench.shapes(job) if s["frame"] == frame))
        assert bench.sync(job).references == [frame]
    assert bench.contents(jobs[0]) == bench.contents(jobs[1])
    assert all(f != frame for f, _ in bench.masks(jobs[1]))


def test_ctrl_c_keeps_what_is_done(bench: Bench, deploy: Callable[[], None], pictures: Pictures) -> None:
    job, whole = drawn(bench, pictures), drawn(bench, pictures)
    bench.sessions = through_cvat(bench.server, "siaf")
    bench.sync(whole)

    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bench.sync(job, progress=stop)
    rest: list[int] = []
    bench.sync(job, progress=lambda done, total: rest.append(done))
    assert min(rest) > 2
    assert bench.contents(job) == bench.contents(whole)


def test_a_cut_at_any_call_of_the_function_changes_nothing_in_the_end(
    bench: Bench, standin: StandIn, deploy: Callable[[], None], pictures: Pictures, tmp_path: Path
) -> None:
    (job,) = bench.task(pictures[:3])
    bench.scribble(job, 0, (8, 20, 20, 20), tag=1, label="car")
    bench.scribble(job, 2, (72, 50, 85, 50), tag=2, label="person")
    before = copy.deepcopy(standin.world.annotations)
    bench.sessions = through_cvat(bench.server, "siaf")
    bench.sync(job)
    expected = bench.contents(job)
    calls = [request for request in standin.log if request.method == "POST" and "/lambda/" in request.path]
    assert len(calls) >= 5
    for cut in range(1, len(calls) + 1):
        for fault in ("refuse", "drop"):
            shutil.rmtree(tmp_path / "store")
            standin.world.annotations = copy.deepcopy(before)
            seen: list[Request] = []

            def at_the_cut(request: Request, seen: list[Request] = seen, cut: int = cut, fault: str = fault) -> Any:
                if request.method == "POST" and "/lambda/" in request.path:
                    seen.append(request)
                return fault if len(seen) == cut and seen[-1] is request else None

            standin.fault = at_the_cut
            with pytest.raises(ServerFault):
                bench.sync(job)
            standin.fault = lambda request: None
            bench.sync(job)
            assert bench.contents(job) == expected, f"{fault} at call {cut}"


def test_a_function_that_forgot_everything_goes_on_from_the_masks(
    bench: Bench, deploy: Callable[[], None], pictures: Pictures
) -> None:
    job = drawn(bench, pictures)
    bench.sessions = through_cvat(bench.server, "siaf")
    bench.sync(job)
    kept = {spot: points for spot, points in bench.masks(job).items() if spot[0] in (0, 3)}
    deploy()
    bench.scribble(job, 4, (40, 60, 50, 60), tag=2)
    assert bench.sync(job).round == 2
    masks = bench.masks(job)
    assert all(masks[spot] == points for spot, points in kept.items())


def test_a_function_that_starts_again_in_the_middle_ends_no_sync(
    bench: Bench, standin: StandIn, deploy: Callable[[], None], pictures: Pictures
) -> None:
    """CVAT hands on that the session is unknown; the job is not at fault."""
    job = drawn(bench, pictures)
    bench.sessions = through_cvat(bench.server, "siaf")
    frames = 0

    def killed(done: int, total: int) -> None:
        nonlocal frames
        frames += 1
        if frames == 2:
            deploy()

    report = bench.sync(job, progress=killed)
    assert frames > 2
    assert report.notes == [
        "the session had another model or input size, so this round started from the annotated frames' masks"
    ]
    assert {spot[0] for spot in bench.masks(job)} == set(range(5))
    assert bench.sync(job).changed is False


def test_an_object_is_forgotten(bench: Bench, deploy: Callable[[], None], pictures: Pictures) -> None:
    job = drawn(bench, pictures)
    bench.sessions = through_cvat(bench.server, "siaf")
    bench.sync(job)
    bench.delete(job, *(s for s in bench.shapes(job) if s["group"] == 2))
    assert bench.sync(job).removed == [2]
    assert {tag for _, tag in bench.masks(job)} == {1}
    bench.scribble(job, 4, (40, 60, 50, 60), tag=1)
    bench.sync(job)
    assert {tag for _, tag in bench.masks(job)} == {1}


def test_a_neighbouring_job_gets_masks_from_shared_frames(
    bench: Bench, deploy: Callable[[], None], pictures: Pictures
) -> None:
    first, second = bench.task(pictures[:8], segment=5, overlap=2)
    bench.scribble(first, 0, (8, 20, 20, 20), tag=1, label="car")
    bench.sessions = through_cvat(bench.server, "siaf")
    bench.sync(first)
    bench.carry(from_job=first, to_job=second)
    shared = {spot: points for spot, points in bench.masks(first).items() if spot[0] in (3, 4)}
    assert shared
    assert {s: p for s, p in bench.masks(second).items() if s[0] in (3, 4)} == shared


def test_a_job_may_change_between_the_ways(bench: Bench, deploy: Callable[[], None], pictures: Pictures) -> None:
    job = drawn(bench, pictures)
    local = bench.sessions
    bench.sync(job)
    bench.scribble(job, 4, (40, 60, 50, 60), tag=2)
    bench.sessions = through_cvat(bench.server, "siaf")
    report = bench.sync(job)
    kept = {spot: points for spot, points in bench.masks(job).items() if spot[0] in (0, 3, 4)}
    assert report.round == 2
    bench.scribble(job, 2, (40, 60, 50, 60), tag=2)
    bench.sessions = local
    report = bench.sync(job)
    assert report.notes == [
        "the session had another model or input size, so this round started from the annotated frames' masks"
    ]
    assert {spot: points for spot, points in bench.masks(job).items() if spot[0] in (0, 3, 4)} == kept


def test_a_function_that_cannot_do_it_is_named(bench: Bench, standin: StandIn, pictures: Pictures) -> None:
    job = drawn(bench, pictures)
    bench.sessions = through_cvat(bench.server, "siaf")
    with pytest.raises(InputError, match="function 'siaf': not found"):
        bench.sync(job)
    standin.functions["siaf"] = Function("siaf", "tracker", lambda payload: (200, {}))
    with pytest.raises(InputError, match="function 'siaf': is not a tracker for mask, points, polyline"):
        bench.sync(job)
    standin.functions["siaf"] = Function("siaf", "tracker", lambda payload: (200, {"states": []}), TYPES)
    with pytest.raises(InputError, match="does not answer like a siaf function"):
        bench.sync(job)


def test_objects_are_changed_and_rounds_taken_back(
    bench: Bench, deploy: Callable[[], None], pictures: Pictures
) -> None:
    """There is no session here but its masks: the function is told anew from the interacted frames."""
    bench.sessions = through_cvat(bench.server, "siaf")
    job = drawn(bench, pictures)
    bench.sync(job)
    before = bench.masks(job)
    commands.control(bench.client, job, "swap", store=bench.store, objects=[1, 2], from_frame=2)
    names = {1: 2, 2: 1}
    assert bench.masks(job) == {(f, names[t] if f >= 2 else t): points for (f, t), points in before.items()}
    changed = bench.masks(job)
    assert not bench.sync(job).changed
    bench.scribble(job, 4, (60, 50, 70, 50), tag=1, label="car")
    bench.sync(job)
    assert {spot: points for spot, points in bench.masks(job).items() if spot[0] in (1, 2)} == {
        spot: points for spot, points in changed.items() if spot[0] in (1, 2)
    }
    for wanted in (changed, before):
        commands.control(bench.client, job, "undo", store=bench.store)
        assert bench.masks(job) == wanted
