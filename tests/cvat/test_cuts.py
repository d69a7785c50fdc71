"""A round that is cut off anywhere ends, when repeated, where an undisturbed one ends."""

import copy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bench import Bench, Pictures
from disturbed_job import as_tracks, by_carry, by_sync, first_round, neighbour, second_round
from standin import StandIn
from standin_http import Answer, Request

from siaf.cvat.rounds.report import SyncReport
from siaf.cvat.server.connection import Action, Server
from siaf.cvat.server.faults import ServerFault
from siaf.cvat.writing import changes as writing
from siaf.errors import Busy


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
