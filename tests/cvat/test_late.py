"""Writes that CVAT does late, and syncs that wake up late: nothing is doubled, nothing of siaf's becomes a human's."""

import copy
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bench import Bench, Pictures, check_ledger
from disturbed_job import BOX_POINTS, as_tracks, by_carry, by_sync, first_round, neighbour, second_round
from standin import StandIn
from standin_http import Request

from siaf.cvat.rounds.report import SyncReport
from siaf.cvat.server.connection import Server
from siaf.cvat.server.faults import ServerFault
from siaf.cvat.storage import store as store_module
from siaf.cvat.storage.store import JobStore
from siaf.cvat.writing import changes as writing
from siaf.errors import Busy


def is_write(request: Request) -> bool:
    """Whether a request writes shapes or tracks; the check of rights is an empty one."""
    return request.method == "PATCH" and (b'"points"' in request.raw)


def restore(bench: Bench, standin: StandIn, annotations: Any, store: Path, before: Path) -> None:
    standin.world.annotations = copy.deepcopy(annotations)
    shutil.rmtree(store)
    shutil.copytree(before, store)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    ("prepare", "run", "options"),
    [
        (first_round, by_sync, {}),
        (second_round, by_sync, {"scribbles": "mark"}),
        (as_tracks, by_sync, {"write_as": "polygon-track"}),
        (neighbour, by_carry, {}),
    ],
)
def test_a_write_that_is_done_late_changes_nothing_in_the_end(
    bench: Bench,
    standin: StandIn,
    pictures: Pictures,
    tmp_path: Path,
    prepare: Callable[[Bench, Pictures], int],
    run: Callable[..., SyncReport],
    options: dict[str, Any],
    when: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every write in turn is answered with 504 and done before the next sync, or after it."""
    job = prepare(bench, pictures)
    monkeypatch.setattr(writing, "MAX_BATCH_SHAPES", 4)
    human = [s for s in bench.shapes(job) if s["source"] != "auto"]
    annotations = copy.deepcopy(standin.world.annotations)
    (tmp_path / "store").mkdir(exist_ok=True)
    shutil.copytree(tmp_path / "store", tmp_path / "before")
    start = len(standin.log)
    run(bench, job, **options)
    expected = bench.contents(job)
    writes = sum(is_write(request) for request in standin.log[start:])
    assert writes >= 1
    for cut in range(writes):
        restore(bench, standin, annotations, tmp_path / "store", tmp_path / "before")
        seen: list[Request] = []

        def late(request: Request, seen: list[Request] = seen, cut: int = cut) -> str | None:
            seen += [request] if is_write(request) else []
            return "late" if len(seen) == cut + 1 and seen[-1] is request else None

        standin.fault = late
        with pytest.raises(ServerFault, match="504"):
            run(bench, job, **options)
        standin.fault = lambda request: None
        if when == "before":
            standin.catch_up()
        run(bench, job, **options)
        standin.catch_up()
        run(bench, job, **options)
        assert bench.contents(job) == expected, f"write {cut} {when}"
        kept = {s["id"]: s for s in bench.shapes(job)}
        assert all(kept[s["id"]] == s for s in human)
        check_ledger(bench, job)
        again = run(bench, job, **options)
        assert not again.changed


def figures(track: dict[str, Any]) -> list[Any]:
    """What a track shows, keyframe by keyframe."""
    return [track["group"], *((k["frame"], k["outside"], k["points"]) for k in track["shapes"])]


def late_once(standin: StandIn) -> None:
    """The next write is done late."""
    seen: list[Request] = []

    def late(request: Request) -> str | None:
        seen.extend([request] if is_write(request) else [])
        return "late" if seen and request is seen[0] else None

    standin.fault = late


@pytest.mark.parametrize("write_as", ["mask", "polygon-track"])
def test_a_late_creation_of_an_earlier_round_is_not_a_human_s(
    bench: Bench, standin: StandIn, pictures: Pictures, write_as: str
) -> None:
    """It says what the session no longer says: a round went by, and its own shapes are written."""
    labels = (("car", "any"), ("person", "any"))
    job, whole = (first_round(bench, pictures, frames=4, labels=labels) for _ in range(2))
    late_once(standin)
    with pytest.raises(ServerFault):
        bench.sync(job, write_as=write_as)
    standin.fault = lambda request: None
    bench.sync(whole, write_as=write_as)
    for number in (job, whole):
        bench.scribble(number, 1, (40, 20, 60, 20), tag=2)
        bench.sync(number, write_as=write_as)
    standin.catch_up()
    report = bench.sync(job)
    assert report.deleted + report.tracks["deleted"] > 0
    for number in (job, whole):
        bench.scribble(number, 3, (10, 60, 20, 60), tag=1)
        report = bench.sync(number)
    assert report.human + report.human_keyframes == 0
    one, other = ({(s["frame"], s["group"]): s["points"] for s in bench.shapes(number)} for number in (job, whole))
    assert one == other
    assert [figures(t) for t in bench.tracks(job)] == [figures(t) for t in bench.tracks(whole)]
    assert len(bench.tracks(job)) == (0 if write_as == "mask" else 2)
    check_ledger(bench, job)


def test_a_late_update_is_not_a_human_s(bench: Bench, standin: StandIn, pictures: Pictures) -> None:
    job = first_round(bench, pictures)
    bench.sync(job)
    bench.scribble(job, 1, (40, 20, 60, 20), tag=2)
    late_once(standin)
    with pytest.raises(ServerFault):
        bench.sync(job)
    standin.fault = lambda request: None
    bench.scribble(job, 1, (10, 60, 20, 60), tag=1)
    bench.sync(job)
    expected = bench.contents(job)
    standin.catch_up()
    report = bench.sync(job)
    assert (report.references, report.human + report.human_keyframes) == ([], 0)
    assert bench.contents(job) == expected
    check_ledger(bench, job)


def test_a_late_deletion_is_not_a_human_s(bench: Bench, standin: StandIn, pictures: Pictures) -> None:
    """A human takes the tracks for masks; the masks' deletion is done late, when masks are wanted again."""
    job = first_round(bench, pictures, labels=(("car", "any"), ("person", "any")))
    bench.sync(job)
    expected = bench.contents(job)
    late_once(standin)
    with pytest.raises(ServerFault):
        bench.sync(job, write_as="polygon-track")
    standin.fault = lambda request: None
    bench.sync(job, write_as="mask")
    standin.catch_up()
    assert bench.shapes(job) == []
    report = bench.sync(job, write_as="mask")
    assert (report.references, report.removed) == ([], [])
    assert bench.contents(job) == expected
    check_ledger(bench, job)


def test_what_a_human_did_with_one_of_two_stays(bench: Bench, standin: StandIn, pictures: Pictures) -> None:
    job = first_round(bench, pictures)
    late_once(standin)
    with pytest.raises(ServerFault):
        bench.sync(job)
    standin.fault = lambda request: None
    bench.sync(job)
    spot = next(spot for spot in sorted(bench.masks(job)) if spot[0] == 1)
    standin.catch_up()
    doubled = [s for s in bench.shapes(job) if (s["frame"], s["group"]) == spot]
    assert len(doubled) == 2
    bench.edit(job, doubled[1], points=BOX_POINTS)
    report = bench.sync(job)
    assert report.references == [1]
    assert bench.masks(job)[spot] == BOX_POINTS
    check_ledger(bench, job)


def test_a_keyframe_that_a_human_changed_in_a_doubled_track_stays(
    bench: Bench, standin: StandIn, pictures: Pictures
) -> None:
    job = as_tracks(bench, pictures)
    bench.sync(job)
    seen: list[Request] = []

    def late(request: Request) -> str | None:
        if is_write(request) and request.query["action"] == "create":
            seen.append(request)
            return "late"
        return None

    standin.fault = late
    with pytest.raises(ServerFault):
        bench.sync(job, write_as="polygon-track")
    standin.fault = lambda request: None
    bench.sync(job)
    standin.catch_up()
    old = max((t for t in bench.tracks(job) if t["group"] == 1), key=lambda t: t["id"])
    square = [30.0, 30.0, 44.0, 30.0, 44.0, 49.0, 30.0, 49.0]
    shapes = [{**k, "points": square} if k["frame"] == 0 else k for k in old["shapes"]]
    bench.server.patch_annotations(job, "update", tracks=[{**old, "source": "semi-auto", "shapes": shapes}])
    report = bench.sync(job)
    assert report.references == [0]
    (kept,) = (t for t in bench.tracks(job) if t["group"] == 1)
    assert (kept["id"], kept["shapes"][0]["points"]) == (old["id"], square)
    assert bench.sync(job).changed is False


def test_a_mask_whose_deletion_was_taken_back_is_siaf_s_still(bench: Bench, pictures: Pictures) -> None:
    """CVAT's interface makes it anew, as it was: same content, another id."""
    job = first_round(bench, pictures)
    bench.sync(job)
    shape = next(s for s in bench.shapes(job) if s["frame"] == 1)
    bench.delete(job, shape)
    bench.server.patch_annotations(job, "create", shapes=[{k: v for k, v in shape.items() if k != "id"}])
    report = bench.sync(job)
    assert (report.references, report.human + report.human_keyframes) == ([], 0)
    check_ledger(bench, job)


def expire(bench: Bench, job: int) -> None:
    """The lease has run out, as it does while a laptop sleeps."""
    place = bench.store.job(bench.server.url, job)
    path = f"{place._folder}/lock.json"
    place._store.write(path, json.dumps({**place._lease(path), "until": str(time.time() - 1)}).encode())


def hooked(monkeypatch: pytest.MonkeyPatch, owner: type, name: str, at: int, act: Callable[[], None]) -> None:
    """Before the `at`-th call of a method, `act` happens."""
    inner = getattr(owner, name)
    calls = 0

    def outer(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == at:
            act()
        return inner(*args, **kwargs)

    monkeypatch.setattr(owner, name, outer)


@pytest.mark.parametrize("tracks", [False, True])
@pytest.mark.parametrize("place", [(Server, "patch_annotations"), (Server, "_once"), (JobStore, "save")])
def test_a_sync_that_slept_while_another_one_took_over_writes_nothing(
    bench: Bench,
    standin: StandIn,
    pictures: Pictures,
    tmp_path: Path,
    place: tuple[type, str],
    tracks: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At every call in turn. Of what was on its way to CVAT already nothing is left after the next sync."""
    monkeypatch.setattr(store_module, "_SETTLE_S", 0.0)
    job = (as_tracks if tracks else first_round)(bench, pictures)
    options: dict[str, Any] = {"write_as": "polygon-track"} if tracks else {}
    annotations = copy.deepcopy(standin.world.annotations)
    (tmp_path / "store").mkdir(exist_ok=True)
    shutil.copytree(tmp_path / "store", tmp_path / "before")
    bench.sync(job, **options)
    expected = bench.contents(job)
    slept = 0
    for at in range(1, 100):
        restore(bench, standin, annotations, tmp_path / "store", tmp_path / "before")
        happened: list[bool] = []

        def sleep(happened: list[bool] = happened) -> None:
            happened.append(True)
            if (tmp_path / "store").rglob("lock.json"):
                expire(bench, job)
            bench.sync(job, **options)

        with monkeypatch.context() as patch:
            hooked(patch, *place, at, sleep)
            try:
                bench.sync(job, **options)
            except (Busy, ServerFault):
                slept += 1
        if not happened:
            break
        if place[1] != "_once":
            assert bench.contents(job) == expected, f"{place[1]} {at}"
        bench.sync(job, **options)
        assert bench.contents(job) == expected, f"{place[1]} {at}"
        check_ledger(bench, job)
    assert slept > 1
