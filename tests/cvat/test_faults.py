"""Faults: a round that is cut off anywhere ends, when repeated, where an undisturbed one ends."""

import copy
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from bench import Bench, Pictures
from standin import StandIn
from standin_http import Answer, Request

from siaf.cvat.rounds.report import SyncReport
from siaf.cvat.server import connection, faults
from siaf.cvat.server.connection import Action, Server, connect
from siaf.cvat.server.faults import ServerFault
from siaf.cvat.writing import changes as writing
from siaf.errors import Busy, InputError, SiafError

BOX_POINTS = [0.0, 300.0, 30.0, 30.0, 44.0, 49.0]


def first_round(bench: Bench, pictures: Pictures, frames: int = 3, **task: Any) -> int:
    """A job on which two objects were scribbled."""
    (job,) = bench.task(pictures[:frames], **task)
    bench.scribble(job, 0, (8, 20, 20, 20), tag=1, label="car")
    bench.scribble(job, 2, (72, 50, 85, 50), tag=2, label="person")
    return job


def second_round(bench: Bench, pictures: Pictures) -> int:
    """A job in which a human edited a mask, deleted one, drew one and scribbled after the first round."""
    job = first_round(bench, pictures)
    bench.sync(job)
    masks = bench.shapes(job)
    bench.edit(job, next(s for s in masks if (s["frame"], s["group"]) == (0, 1)), points=BOX_POINTS)
    bench.delete(job, next(s for s in masks if (s["frame"], s["group"]) == (2, 1)))
    bench.box_mask(job, 1, (5, 55, 20, 65), "person", tag=3)
    bench.scribble(job, 1, (40, 20, 60, 20), tag=2)
    return job


def as_tracks(bench: Bench, pictures: Pictures) -> int:
    """A job written as masks, to be written as tracks now."""
    job = first_round(bench, pictures, labels=(("car", "any"), ("person", "any")))
    bench.sync(job)
    bench.scribble(job, 1, (40, 20, 60, 20), tag=2)
    return job


def neighbour(bench: Bench, pictures: Pictures) -> int:
    """A job that shares two frames with the one before it, which is synced; something is drawn on it already."""
    first, second = bench.task(pictures[:5], segment=4, overlap=2)
    bench.scribble(first, 0, (8, 20, 20, 20), tag=1, label="car")
    bench.sync(first)
    bench.scribble(second, 4, (72, 50, 85, 50), tag=2, label="person")
    return second


def by_sync(bench: Bench, job: int, **options: Any) -> SyncReport:
    return bench.sync(job, **options)


def by_carry(bench: Bench, job: int, **options: Any) -> SyncReport:
    (report,) = bench.carry(from_job=job - 1, to_job=job, **options)
    return report


@pytest.mark.parametrize(
    ("prepare", "run", "options"),
    [
        (first_round, by_sync, {"scribbles": "mark"}),
        (second_round, by_sync, {"scribbles": "remove"}),
        (as_tracks, by_sync, {"write_as": "polygon-track"}),
        (neighbour, by_carry, {}),
    ],
)
def test_a_cut_at_any_request_changes_nothing_in_the_end(
    bench: Bench,
    standin: StandIn,
    pictures: Pictures,
    tmp_path: Path,
    prepare: Callable[[Bench, Pictures], int],
    run: Callable[..., SyncReport],
    options: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = prepare(bench, pictures)
    monkeypatch.setattr(writing, "MAX_BATCH_SHAPES", 4)
    human = [s for s in bench.shapes(job) if s["source"] != "auto"]
    before = copy.deepcopy(standin.world.annotations)
    (tmp_path / "store").mkdir(exist_ok=True)
    shutil.copytree(tmp_path / "store", tmp_path / "before")
    start = len(standin.log)
    run(bench, job, **options)
    requests = standin.log[start:]
    expected = bench.contents(job)
    assert sum(request.method == "PATCH" for request in requests) >= 2

    for cut, request in enumerate(requests):
        # "refuse": the request never arrived; "drop": it was done, and the answer got lost
        for fault in ("refuse", "drop") if request.method == "PATCH" else ("refuse",):
            shutil.rmtree(tmp_path / "store")
            shutil.copytree(tmp_path / "before", tmp_path / "store")
            standin.world.annotations = copy.deepcopy(before)
            stop = len(standin.log) + cut + 1
            standin.fault = lambda _, stop=stop, fault=fault: fault if len(standin.log) == stop else None
            with pytest.raises(ServerFault):
                run(bench, job, **options)
            standin.fault = lambda request: None
            run(bench, job, **options)
            assert bench.contents(job) == expected, f"{fault} at request {cut}: {request}"
            kept = {s["id"]: s for s in bench.shapes(job)}
            assert all(kept[s["id"]] == s for s in human)
            again = run(bench, job, **options)
            assert not again.changed


@pytest.mark.parametrize("done", [True, False])
def test_a_write_that_is_cut_off_is_neither_lost_nor_doubled(
    anywhere: Bench, pictures: Pictures, done: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client itself is cut off, so that a real server can be asked too: before a write, or before its answer."""
    monkeypatch.setattr(writing, "MAX_BATCH_SHAPES", 1)
    send = Server.patch_annotations
    for cut, job in enumerate(anywhere.task(pictures[:9], segment=3)):
        anywhere.scribble(job, 3 * cut, (8, 20, 20, 20), tag=1, label="car")
        scribbles = anywhere.shapes(job, "polyline")
        writes: list[str] = []

        def write(
            server: Server, number: int, action: Action, writes: list[str] = writes, cut: int = cut, **what: Any
        ) -> Any:
            writes.append(action)
            broken = len(writes) == cut + 1
            answer = send(server, number, action, **what) if done or not broken else {}
            if broken:
                raise ServerFault("cut off")
            return answer

        with monkeypatch.context() as patch:
            patch.setattr(Server, "patch_annotations", write)
            with pytest.raises(ServerFault, match="cut off"):
                anywhere.sync(job)
        anywhere.sync(job)
        assert (3 * cut, 1) in anywhere.masks(job)
        assert anywhere.shapes(job, "polyline") == scribbles
        again = anywhere.sync(job)
        assert not again.changed


def test_what_a_human_deletes_after_a_lost_answer_stays_deleted(
    bench: Bench, standin: StandIn, pictures: Pictures
) -> None:
    job = first_round(bench, pictures)
    patches: list[Request] = []

    def lose_the_answer(request: Request) -> str | None:
        if request.method == "PATCH" and b'"mask"' in request.raw:
            patches.append(request)
        return "drop" if patches and request is patches[0] else None

    standin.fault = lose_the_answer
    with pytest.raises(ServerFault):
        bench.sync(job)
    written = bench.masks(job)
    spot = next(spot for spot in sorted(written) if spot[0] == 1)
    bench.delete(job, next(s for s in bench.shapes(job) if (s["frame"], s["group"]) == spot))
    assert bench.sync(job).references == [1]
    assert spot not in bench.masks(job)


def test_a_restart_of_the_server_is_waited_for(
    bench: Bench, standin: StandIn, pictures: Pictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "RETRY_DELAYS_S", (0.01, 0.01, 0.01))
    job = first_round(bench, pictures)
    broken: list[Request] = []

    def restarting(request: Request) -> int | str | None:
        if request.method == "GET" and len(broken) < 3:
            broken.append(request)
            return 503 if len(broken) % 2 else "refuse"
        return None

    standin.fault = restarting
    assert bench.sync(job).created > 0
    assert len(broken) == 3


@pytest.mark.parametrize("headers", [[("Retry-After", "7")], []])
@pytest.mark.parametrize("method", ["GET", "PATCH"])
@pytest.mark.parametrize(("prepare", "run"), [(first_round, by_sync), (neighbour, by_carry)])
def test_too_many_requests_are_waited_out(
    bench: Bench,
    standin: StandIn,
    pictures: Pictures,
    prepare: Callable[[Bench, Pictures], int],
    run: Callable[..., SyncReport],
    method: str,
    headers: list[tuple[str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Reads and writes alike, as long as CVAT says: nothing was done by what it answers with 429."""
    waits: list[float] = []
    monkeypatch.setattr(faults.time, "sleep", waits.append)
    job = prepare(bench, pictures)
    turned: list[Request] = []

    def throttle(request: Request) -> Answer | None:
        if request.method != method or request.path.endswith("/data") or len(turned) == 3:
            return None
        turned.append(request)
        return Answer(429, {"detail": "Request was throttled."}, headers=headers)

    standin.fault = throttle
    assert run(bench, job).created > 0
    assert len(turned) == 3
    bench.masks(job)
    assert waits[:3] == ([7.0, 7.0, 7.0] if headers else [1.0, 2.0, 4.0])


@pytest.mark.parametrize(("header", "seconds"), [("3", 3.0), ("0", None), ("soon", None), ("", None), ("-5", None)])
def test_retry_after_is_seconds_or_nothing(header: str, seconds: float | None) -> None:
    assert faults.retry_after({"Retry-After": header}) == seconds


def test_retry_after_may_be_a_date() -> None:
    at = datetime.now(UTC) + timedelta(seconds=40)
    assert faults.retry_after({"Retry-After": format_datetime(at, usegmt=True)}) == pytest.approx(39.5, abs=1)


def test_a_pause_longer_than_anybody_waits_is_said(bench: Bench, standin: StandIn, pictures: Pictures) -> None:
    job = first_round(bench, pictures)
    standin.fault = lambda request: Answer(429, {"detail": "Too many."}, headers=[("Retry-After", "3600")])
    with pytest.raises(ServerFault, match=f"CVAT wants fewer requests, on job {job}: 429 Too many"):
        bench.sync(job)


def test_a_log_in_is_not_called_wrong_for_429(standin: StandIn, client: object) -> None:
    answers = iter([Answer(429, {"detail": "Too many."}, headers=[("Retry-After", "1")]), None])
    standin.fault = lambda request: next(answers) if request.path.endswith("/login") else None
    assert connect(standin.url, user=("admin", "secret"))


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("jobs/J", {"id": 1}, "answered job J in a form siaf does not know: type is missing"),
        ("jobs/J", ["x"], 'answered job J in a form siaf does not know: it is \\["x"\\] instead of an object'),
        (
            "jobs/J/data/meta",
            {"frames": 3},
            "answered job J in a form siaf does not know: frames is 3 instead of a list",
        ),
        ("jobs/J/annotations", {"shapes": [{"type": 5}]}, r"shapes\[0\].type is 5 instead of a text"),
        ("jobs/J/annotations", {"shapes": [], "tracks": [], "tags": [7]}, r"tags\[0\] is 7 instead of an object"),
        ("labels", {"results": [{"id": "1"}], "next": None}, r'results\[0\].id is "1" instead of a whole number'),
        ("labels", {"count": 0}, "answered labels in a form siaf does not know: results is missing"),
        ("labels", None, "answered labels in a form siaf does not know: it is null instead of an object"),
    ],
)
def test_an_answer_of_another_form_is_named(
    bench: Bench, standin: StandIn, pictures: Pictures, path: str, body: Any, message: str
) -> None:
    job = first_round(bench, pictures)
    wanted = f"/api/{path}".replace("J", str(job))
    standin.fault = lambda request: Answer(200, body) if request.path == wanted else None
    with pytest.raises(ServerFault, match=message.replace("job J", f"job {job}")):
        bench.sync(job)


@pytest.mark.parametrize(
    "body", [{"shapes": [], "tracks": []}, {"shapes": [{}], "tracks": []}, [], b"<html>", b'{"sha']
)
def test_a_write_with_a_strange_answer_is_neither_lost_nor_doubled(
    bench: Bench, standin: StandIn, pictures: Pictures, body: Any
) -> None:
    job, whole = (first_round(bench, pictures) for _ in range(2))
    bench.sync(whole)
    for done in (False, True):

        def strange(request: Request, done: bool = done) -> Answer | None:
            if b'"mask"' not in request.raw:
                return None
            if done:  # CVAT did it, and a proxy answered
                standin._respond(request)
            return Answer(200, body)

        standin.fault = strange
        with pytest.raises(ServerFault):
            bench.sync(job)
        standin.fault = lambda request: None
    bench.sync(job)
    assert bench.contents(job) == bench.contents(whole)


def test_ctrl_c_keeps_what_is_done(bench: Bench, pictures: Pictures) -> None:
    job, whole = (first_round(bench, pictures, frames=6) for _ in range(2))
    bench.sync(whole)
    calls: list[tuple[int, int]] = []

    def stop(done: int, total: int) -> None:
        calls.append((done, total))
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bench.sync(job, progress=stop)
    assert bench.shapes(job) == []
    rest: list[int] = []
    bench.sync(job, progress=lambda done, total: rest.append(done))
    assert rest[0] == 3
    assert bench.masks(job) == bench.masks(whole)


def test_two_syncs_never_work_on_one_job_together(bench: Bench, pictures: Pictures) -> None:
    job = first_round(bench, pictures)
    refused: list[str] = []

    def second(done: int, total: int) -> None:
        with pytest.raises(Busy) as error:
            bench.sync(job)
        refused.append(str(error.value))

    bench.sync(job, progress=second)
    assert refused
    assert all(f"another sync is working on job {job} (process " in text for text in refused)
    bench.masks(job)


@pytest.mark.parametrize(
    ("token", "message"),
    [
        ("expired", "token: CVAT refuses the token: wrong, expired or missing"),
        ("unknown", "token: CVAT refuses the token"),
        ("annot1", "job 1: no permission"),
    ],
)
def test_what_a_token_does_not_open_is_said(
    standin: StandIn, bench: Bench, pictures: Pictures, token: str, message: str
) -> None:
    job = first_round(bench, pictures)
    bench.client = connect(standin.url, token=token)
    with pytest.raises(InputError, match=message):
        bench.sync(job)


def test_a_read_only_token_is_noticed_before_the_work(standin: StandIn, bench: Bench, pictures: Pictures) -> None:
    job = first_round(bench, pictures)
    bench.client = connect(standin.url, token="read-only")
    worked: list[int] = []
    with pytest.raises(InputError, match="check that the token may write"):
        bench.sync(job, progress=lambda done, total: worked.append(done))
    assert worked == []
    assert bench.sync(job, dry_run=True).objects == {1: "car", 2: "person"}
    bench.client = connect(standin.url, token="full")
    assert bench.sync(job).created > 0


def test_an_assigned_user_may_sync(standin: StandIn, bench: Bench, pictures: Pictures) -> None:
    job = first_round(bench, pictures)
    standin.world.jobs[job].assignee = "annot1"
    bench.client = connect(standin.url, token="annot1")
    assert bench.sync(job).created > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dimension": "3d"}, "is a 3d job"),
        ({"media_type": "audio"}, "is an audio job"),
        ({"kind": "ground_truth", "included": [0, 2]}, "is a ground-truth job"),
        ({"state": "completed"}, "is completed"),
    ],
)
def test_jobs_that_cannot_be_segmented_are_refused(
    bench: Bench, standin: StandIn, pictures: Pictures, change: dict[str, Any], message: str
) -> None:
    job = first_round(bench, pictures)
    for name, value in change.items():
        setattr(standin.world.jobs[job], name, value)
    with pytest.raises(InputError, match=f"job {job}: {message}"):
        bench.sync(job)


def test_a_missing_job_is_named(bench: Bench) -> None:
    with pytest.raises(InputError, match=r"^job 4711: not found"):
        bench.sync(4711)


def test_frames_of_different_sizes_are_refused_by_name(bench: Bench, pictures: Pictures) -> None:
    (job,) = bench.task(pictures[:3])
    (mixed,) = bench.task_of([pictures[0], pictures[1][:60], pictures[2]])
    with pytest.raises(InputError, match=f"job {mixed}: frame 1 is 96×60 pixels, most are 96×72"):
        bench.sync(mixed)
    assert job != mixed


@pytest.mark.parametrize(
    ("host", "error", "message"),
    [
        ("http://no-such-host.invalid", InputError, "host: no host has this name"),
        ("http://127.0.0.1:9", ServerFault, "does not answer"),
        ("ftp://127.0.0.1", InputError, "host: 'ftp://127.0.0.1' is not a server's address"),
    ],
)
def test_a_wrong_host_is_named(client: object, host: str, error: type[SiafError], message: str) -> None:
    with pytest.raises(error, match=message):
        connect(host, token="full")


def test_a_host_that_is_not_cvat_is_named(standin: StandIn, client: object) -> None:
    standin.fault = lambda request: 404
    with pytest.raises(InputError, match="host"):
        connect(standin.url, token="full")
