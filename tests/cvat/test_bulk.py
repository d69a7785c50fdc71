"""Many jobs: one that fails stops nothing, a stopped run goes on, passing faults are waited out."""

import json
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from bench import Bench, Pictures
from standin import StandIn
from standin_http import Request

from siaf.cvat import commands
from siaf.cvat.rounds import bulk
from siaf.cvat.rounds.bulk import BulkRow, Item, bulk_lines, read_items, run_bulk
from siaf.cvat.rounds.sync import SyncOptions
from siaf.errors import InputError
from siaf.session.state_file import read_summary


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "ATTEMPT_DELAYS_S", (0.01, 0.01))


def drawn_job(bench: Bench, pictures: Pictures, label: str = "car") -> int:
    (job,) = bench.task(pictures[:3])
    bench.scribble(job, 0, (8, 20, 20, 20), tag=1, label=label)
    return job


def run(bench: Bench, **arguments: object) -> list[BulkRow]:
    return commands.bulk(bench.client, store=bench.store, sessions=[bench.sessions] * 2, **arguments)  # type: ignore[arg-type]


def test_jobs_are_done_and_one_that_fails_stops_nothing(bench: Bench, standin: StandIn, pictures: Pictures) -> None:
    good, bad, empty = drawn_job(bench, pictures), drawn_job(bench, pictures), bench.task(pictures[:3])[0]
    standin.world.jobs[bad].state = "completed"
    rows = run(bench, jobs=[bad, good, 4711, empty])
    assert [(row.id, row.status) for row in rows] == [
        (bad, "failed"),
        (good, "done"),
        (4711, "failed"),
        (empty, "nothing"),
    ]
    assert rows[1].created == len(bench.masks(good)) > 0
    assert "is completed" in rows[0].error
    assert list(bulk_lines(rows))[-1] == "4 in all, 2 failed"


def test_a_task_is_synced_and_carried_through(anywhere: Bench, pictures: Pictures) -> None:
    jobs = anywhere.task(pictures[:8], segment=4, overlap=1)
    anywhere.scribble(jobs[0], 0, (8, 20, 20, 20), tag=1, label="car")
    (row,) = run(anywhere, tasks=[anywhere.server.job(jobs[0])["task_id"]])
    assert (row.kind, row.status, row.objects) == ("task", "done", 1)
    assert anywhere.masks(jobs[1])


def test_passing_faults_are_waited_out(bench: Bench, standin: StandIn, pictures: Pictures) -> None:
    job = drawn_job(bench, pictures)
    broken: list[Request] = []

    def fault(request: Request) -> int | None:
        if request.method == "PATCH" and len(broken) < 2:
            broken.append(request)
            return 502
        return None

    standin.fault = fault
    (row,) = run(bench, jobs=[job])
    assert (row.status, row.attempts) == ("done", 3)
    bench.masks(job)


def test_faults_that_stay_end_in_the_table(bench: Bench, standin: StandIn, pictures: Pictures) -> None:
    job = drawn_job(bench, pictures)
    standin.fault = lambda request: 503 if request.method == "PATCH" else None
    (row,) = run(bench, jobs=[job])
    assert (row.status, row.attempts) == ("failed", 3)
    assert f"CVAT failed on job {job}: 503" in row.error


def test_a_stopped_run_goes_on(bench: Bench, standin: StandIn, pictures: Pictures, tmp_path: Path) -> None:
    first, second = drawn_job(bench, pictures), drawn_job(bench, pictures)
    results = tmp_path / "results.json"
    standin.world.jobs[second].state = "completed"
    assert [row.status for row in run(bench, jobs=[first, second], results=results)] == ["done", "failed"]
    standin.world.jobs[second].state = "in progress"
    start = len(standin.log)
    assert [row.status for row in run(bench, jobs=[first, second], results=results)] == ["done", "done"]
    assert not [r for r in standin.log[start:] if r.path.startswith(f"/api/jobs/{first}")]
    assert [row["status"] for row in json.loads(results.read_text())] == ["done", "done"]


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl-C raises KeyboardInterrupt, as it does in a terminal; a shell's background jobs are started without."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_stops_all_jobs_and_the_next_run_goes_on(bench: Bench, pictures: Pictures, tmp_path: Path) -> None:
    first, second = (drawn_job(bench, pictures) for _ in range(2))
    results = tmp_path / "results.json"
    seen: list[int] = []

    def stop(done: int, total: int) -> None:
        seen.append(done)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        time.sleep(1)  # until the main thread has noticed

    items: list[Item] = [("job", first), ("job", second)]
    with pytest.raises(KeyboardInterrupt):
        run_bulk(bench.server, items, bench.store, [bench.sessions], SyncOptions(progress=stop), results=results)
    assert seen == [1]
    assert bench.shapes(second) == []
    assert not results.exists()
    assert [row.status for row in run(bench, jobs=[first, second], results=results)] == ["done", "done"]


def test_what_to_work_on(bench: Bench, standin: StandIn, pictures: Pictures, tmp_path: Path) -> None:
    jobs = bench.task(pictures[:6], segment=2)
    standin.world.jobs[jobs[1]].state = "in progress"
    listing = tmp_path / "list.txt"
    listing.write_text(f"# tonight\njob {jobs[0]}\ntask 1\n{jobs[2]}\n\n")
    assert read_items(bench.server, listing=listing) == [("job", jobs[0]), ("task", 1), ("job", jobs[2])]
    assert read_items(bench.server, query="task_id=1&state=in progress") == [("job", jobs[1])]
    assert read_items(bench.server, [5, 5], [5]) == [("job", 5), ("task", 5)]


def test_ground_truth_and_completed_jobs_are_named(
    bench: Bench, standin: StandIn, pictures: Pictures, tmp_path: Path
) -> None:
    first, truth, done = bench.task(pictures[:6], segment=2)
    bench.scribble(first, 0, (8, 20, 20, 20), tag=1, label="car")
    standin.world.jobs[truth].kind = "ground_truth"
    standin.world.jobs[done].state = "completed"
    task, results = bench.server.job(first)["task_id"], tmp_path / "results.json"
    (row,) = run(bench, tasks=[task])
    assert row.status == "done"
    assert row.left_out == [f"job {truth} (ground truth)", f"job {done} (completed)"]
    assert f"left out: job {truth} (ground truth), job {done} (completed)" in next(bulk_lines([row]))
    found, apart = run(bench, query=f"task_id={task}&state=new", results=results)
    assert (found.id, found.status) == (first, "done")
    assert (apart.id, apart.status, apart.error) == (
        truth,
        "left out",
        "is a ground-truth job, whose frames are no clip",
    )
    assert list(bulk_lines([found, apart]))[-1] == "2 in all, 0 failed, 1 left out"
    assert [(row["id"], row["status"]) for row in json.loads(results.read_text())] == [
        (truth, "left out"),
        (first, "done"),
    ]
    with pytest.raises(InputError, match=f"query: no job matches .*, only ground-truth jobs: {truth}"):
        read_items(bench.server, query=f"task_id={task}&type=ground_truth")
    with pytest.raises(InputError, match="query: no job matches"):
        read_items(bench.server, query="task_id=99")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "jobs: nothing to do; give --jobs"),
        ({"query": "everything"}, "query: 'everything' is not like"),
        ({"listing": Path("/no/such/list")}, "list: cannot read"),
    ],
)
def test_bad_input_is_named(bench: Bench, arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_items(bench.server, **arguments)  # type: ignore[arg-type]


def test_a_bad_line_of_a_list_is_named(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("job 1\nproject 7\n")
    with pytest.raises(InputError, match=r'list: line 2 of .* is not like "job 7"'):
        read_items(bench.server, listing=tmp_path / "list.txt")


@pytest.mark.adapting
class TestAdaptation:
    """`sync` and `bulk` adapt the network where people made masks, unless they are told not to."""

    @pytest.fixture(autouse=True)
    def _few_steps(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("siaf.session.adaptation._STEPS", 3)

    @staticmethod
    def job(bench: Bench, pictures: Pictures, frames: tuple[int, ...] = (0, 3)) -> int:
        """A job of four frames with masks that a human drew on some."""
        (job,) = bench.task(pictures[:4])
        for frame in frames:
            bench.box_mask(job, frame, (20, 30, 44, 49), "car", tag=1)
        return job

    @staticmethod
    def decoder(bench: Bench, job: int) -> object:
        jobs = bench.store.job(bench.server.url, job)
        state = jobs.state(jobs.ledger())
        assert state is not None
        return read_summary(state).adapted

    def test_bulk_adapts_to_a_mask(self, bench: Bench, pictures: Pictures) -> None:
        job = self.job(bench, pictures, frames=(0,))
        (row,) = run(bench, jobs=[job])
        assert row.status == "done"
        assert self.decoder(bench, job) is not None

    @pytest.mark.parametrize("asked", [None, True])
    def test_sync_adapts_and_says_so(self, bench: Bench, pictures: Pictures, asked: bool | None) -> None:
        job = self.job(bench, pictures)
        report = bench.sync(job, adapt=asked)
        assert "adapted to the masks that people have drawn, corrected or accepted" in report.notes
        assert self.decoder(bench, job) is not None

    def test_sync_does_not_if_told_so(self, bench: Bench, pictures: Pictures) -> None:
        job = self.job(bench, pictures)
        report = bench.sync(job, adapt=False)
        assert not any("adapted" in note for note in report.notes)
        assert self.decoder(bench, job) is None

    @pytest.mark.parametrize("asked", [None, True])
    def test_without_a_mask_it_says_so_if_asked(self, bench: Bench, pictures: Pictures, asked: bool | None) -> None:
        (job,) = bench.task(pictures[:4])
        bench.scribble(job, 2, (25, 40, 40, 40), tag=1, label="car")
        report = bench.sync(job, adapt=asked)
        reason = "not adapted: a mask that somebody has drawn, corrected or accepted is needed"
        assert (reason in report.notes) == bool(asked)
        assert self.decoder(bench, job) is None

    def test_strokes_on_a_drawn_frame_are_not_taken_for_a_mask(self, bench: Bench, pictures: Pictures) -> None:
        """The frame then shows what the strokes gave, which nobody has seen."""
        job = self.job(bench, pictures, frames=(0,))
        bench.scribble(job, 0, (72, 50, 85, 50), tag=2, label="person")
        report = bench.sync(job, adapt=True)
        assert any(note.startswith("not adapted") for note in report.notes)
