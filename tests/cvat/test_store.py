"""The store: whole or not at all, one sync at a time, in folders and at fsspec URLs."""

import json
import os
import socket
import time
import uuid
from pathlib import Path

import pytest

from siaf.cvat.job import settling
from siaf.cvat.job.ledger import VERSION, LabeledObject, Ledger, OwnShape, OwnTrack, Pending
from siaf.cvat.job.settling import settle
from siaf.cvat.storage import store as store_module
from siaf.cvat.storage.store import JobStore, StateStore, default_store
from siaf.errors import Busy, InputError, SiafError, StateError


@pytest.fixture(params=["folder", "memory"])
def jobs(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> JobStore:
    monkeypatch.setattr(store_module, "_SETTLE_S", 0.01)
    url = str(tmp_path / "store") if request.param == "folder" else f"memory://{uuid.uuid4().hex}"
    return StateStore(url).job("http://cvat.example:8080", 14)


def full_ledger() -> Ledger:
    return Ledger(
        14,
        round=3,
        objects={1: LabeledObject("car"), 2: LabeledObject("person", by_label=True)},
        strokes={"ab": 2},
        shapes={5: OwnShape(0, 1, "m")},
        tracks={6: OwnTrack(2, "t", {3: "k"})},
        absent={(4, 1)},
        pending=Pending("update", [5, None], [OwnShape(0, 1, "n"), OwnShape(1, 1, "o")]),
        carried={4: "x"},
        digests={0: "d"},
        undecided=[Pending("create", [None], tracks=[OwnTrack(2, "t", {3: "k"})], since=12.5)],
    )


def test_a_ledger_comes_back_as_it_was(jobs: JobStore) -> None:
    assert jobs.ledger() == Ledger(14)
    jobs.save(full_ledger())
    assert jobs.ledger() == full_ledger()


def test_a_state_goes_with_its_ledger(jobs: JobStore) -> None:
    ledger = Ledger(14)
    assert jobs.state(ledger) is None
    jobs.save(ledger, b"first")
    jobs.save(ledger, b"second")
    assert jobs.state(jobs.ledger()) == b"second"
    jobs.save(ledger)
    assert jobs.state(jobs.ledger()) == b"second"


def created(*marks: str) -> Ledger:
    """A ledger whose last write, of one shape on each frame, was not answered."""
    ids: list[int | None] = [None] * len(marks)
    return Ledger(14, pending=Pending("create", ids, [OwnShape(frame, 1, mark) for frame, mark in enumerate(marks)]))


def test_a_creation_that_was_not_done_leaves_nothing() -> None:
    ledger = created("a", "b")
    settle(ledger, {7: "drawn by somebody"}, {}, {})
    assert (ledger.pending, ledger.shapes) == (None, {})
    assert [write.shapes for write in ledger.undecided] == [[OwnShape(0, 1, "a"), OwnShape(1, 1, "b")]]


def test_what_a_human_deleted_of_a_creation_that_was_done_is_known() -> None:
    ledger = created("a", "b", "c")
    settle(ledger, {7: "a", 9: "c"}, {}, {"s7", "s9"})
    assert ledger.shapes == {7: OwnShape(0, 1, "a"), 9: OwnShape(2, 1, "c"), -1: OwnShape(1, 1, "b")}
    assert ledger.undecided == []


def test_an_undecided_write_is_forgotten_after_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = created("a")
    settle(ledger, {}, {}, {})
    start = time.time()
    monkeypatch.setattr(settling.time, "time", lambda: start + settling.LATE_S - 60)
    settle(ledger, {}, {}, {})
    assert len(ledger.undecided) == 1
    monkeypatch.setattr(settling.time, "time", lambda: start + settling.LATE_S + 60)
    settle(ledger, {}, {}, {})
    assert ledger.undecided == []


def test_two_creations_in_doubt_make_no_deletion(jobs: JobStore) -> None:
    """Of two unanswered creations the earlier one turned up: nobody deleted what only the later one has."""
    ledger = created("a", "b")
    settle(ledger, {}, {}, {})
    ledger.pending = Pending("create", [None, None], [OwnShape(0, 1, "new"), OwnShape(1, 1, "b")])
    settle(ledger, {7: "a", 8: "b"}, {}, {"s7", "s8"})
    assert ledger.shapes == {7: OwnShape(0, 1, "a"), 8: OwnShape(1, 1, "b")}


def test_a_lost_state_is_an_error(jobs: JobStore) -> None:
    with pytest.raises(
        SiafError, match=r"has lost .*/state-0\.siaf; put that file back, or delete the folder .*job-14"
    ):
        jobs.state(Ledger(14, state="state-0.siaf"))


def test_only_one_may_hold_a_job(jobs: JobStore) -> None:
    with jobs.locked() as still_mine:
        still_mine()
        with (
            pytest.raises(Busy, match=rf"another sync is working on job 14 \(process {os.getpid()} on "),
            jobs.locked(),
        ):
            pass
    with jobs.locked():
        pass


def test_a_second_one_may_wait(jobs: JobStore) -> None:
    with jobs.locked(), pytest.raises(Busy), jobs.locked(wait_s=0.2):
        pass
    with jobs.locked(wait_s=0.2):
        pass


@pytest.mark.parametrize(
    "lease",
    [
        {"token": "x", "host": socket.gethostname(), "pid": str(2**22 + 1), "until": str(time.time() + 300)},
        {"token": "x", "host": socket.gethostname(), "pid": str(os.getpid()), "until": str(time.time() + 300)},
        {"token": "x", "host": "elsewhere", "pid": "1", "until": str(time.time() - 1)},
        {"nonsense": "1"},
    ],
)
def test_the_lock_of_a_dead_sync_is_taken_over(jobs: JobStore, lease: dict[str, str]) -> None:
    jobs._store.write(f"{jobs._folder}/lock.json", json.dumps(lease).encode())
    with jobs.locked() as still_mine:
        still_mine()
        assert json.loads(jobs._store.read(f"{jobs._folder}/lock.json") or b"")["token"] != "x"


def test_a_living_sync_elsewhere_is_respected(jobs: JobStore) -> None:
    lease = {"token": "x", "host": "elsewhere", "pid": "1", "until": str(time.time() + 300)}
    jobs._store.write(f"{jobs._folder}/lock.json", json.dumps(lease).encode())
    with pytest.raises(Busy, match="process 1 on elsewhere"), jobs.locked():
        pass


def test_whoever_lost_the_lock_stops(jobs: JobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "LEASE_S", 0.05)
    with jobs.locked() as still_mine:
        still_mine()
        while jobs._lease(f"{jobs._folder}/lock.json").get("token") != "other":
            take_over(jobs)
            time.sleep(0.1)  # a renewal may be under way
        with pytest.raises(Busy, match="process 1 on h.* took over job"):
            still_mine()


def take_over(jobs: JobStore) -> None:
    """What another machine writes that found the lease run out."""
    until = str(time.time() + 300)
    lease = {"token": "other", "host": "h", "pid": "1", "until": until}
    jobs._store.write(f"{jobs._folder}/lock.json", json.dumps(lease).encode())


def test_whoever_lost_the_lock_is_told_before_any_renewal(jobs: JobStore) -> None:
    with jobs.locked() as still_mine:
        take_over(jobs)
        with pytest.raises(Busy, match="process 1 on h.* took over job"):
            still_mine()


def test_whoever_lost_the_lock_saves_nothing(jobs: JobStore) -> None:
    jobs.save(full_ledger(), b"theirs")
    saved = jobs.ledger()
    with jobs.locked():
        take_over(jobs)
        with pytest.raises(Busy):
            jobs.save(Ledger(14), b"mine")
    assert jobs.ledger() == saved
    assert jobs.state(saved) == b"theirs"
    assert json.loads(jobs._store.read(f"{jobs._folder}/lock.json") or b"")["token"] == "other"


def test_whoever_slept_past_the_lease_and_is_alone_goes_on(jobs: JobStore) -> None:
    path = f"{jobs._folder}/lock.json"
    with jobs.locked() as still_mine:
        jobs._store.write(path, json.dumps({**jobs._lease(path), "until": str(time.time() - 60)}).encode())
        still_mine()
        assert float(jobs._lease(path)["until"]) > time.time()


def test_a_long_sync_keeps_its_lock(jobs: JobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "LEASE_S", 0.3)
    with jobs.locked() as still_mine:
        time.sleep(0.6)
        assert float(jobs._lease(f"{jobs._folder}/lock.json")["until"]) > time.time()
        still_mine()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"nonsense", "damaged"),
        (b"{}", "damaged"),
        (json.dumps({"version": 99}).encode(), "written by a newer siaf"),
        (json.dumps({"version": 1}).encode(), "written by an older siaf"),
        (json.dumps({"version": VERSION, "job": 14, "shapes": 3}).encode(), "damaged"),
    ],
)
def test_a_damaged_ledger_is_named(tmp_path: Path, data: bytes, message: str) -> None:
    store = StateStore(str(tmp_path))
    folder = tmp_path / "cvat.example" / "job-14"
    folder.mkdir(parents=True)
    (folder / "ledger.json").write_bytes(data)
    with pytest.raises(StateError, match=f"ledger.json: {message}"):
        store.job("https://cvat.example", 14).ledger()


def test_a_place_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"^store: "):
        StateStore(str(tmp_path / "file" / "below"))
    with pytest.raises(InputError, match=r"^store: "):
        StateStore("nosuchprotocol://bucket")


def test_servers_are_kept_apart(tmp_path: Path) -> None:
    store = StateStore(str(tmp_path))
    store.job("https://one.example", 14).save(full_ledger())
    assert store.job("https://two.example", 14).ledger() == Ledger(14)


def test_the_default_store_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIAF_STORE", "s3://bucket/siaf")
    assert default_store() == "s3://bucket/siaf"
    monkeypatch.delenv("SIAF_STORE")
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert default_store() == "/state/siaf/cvat"
