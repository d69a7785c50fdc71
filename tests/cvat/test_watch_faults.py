"""What goes wrong with a job, the server or this process stops no watcher, and loses no request."""

from typing import Any

import pytest
from bench import Bench, Pictures
from standin import StandIn
from standin_http import Answer
from watched_job import ask, drawn_job, watcher

from siaf.cvat.job.frames import JobFrames
from siaf.cvat.server import faults
from siaf.cvat.sessions.base import JobSession
from siaf.errors import InputError


def test_a_restart_forgets_nothing(anywhere: Bench, pictures: Pictures) -> None:
    job = drawn_job(anywhere, pictures)
    watch, reports = watcher(anywhere, job)
    ask(anywhere, job)
    watch.look()
    again, later = watcher(anywhere, job)
    assert again.seen == watch.seen
    assert again.look() == []
    assert len(reports) > 0 and later == []


def test_what_is_wrong_with_a_job_does_not_stop_the_others(
    anywhere: Bench, pictures: Pictures, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = anywhere.task(pictures[:6], segment=3)
    anywhere.scribble(second, 4, (8, 20, 20, 20), tag=1, label="car")
    caplog.set_level("WARNING", "siaf.cvat.rounds.watch")
    watch, _ = watcher(anywhere, first)
    ask(anywhere, first)
    ask(anywhere, second, 4)
    assert watch.look() == [first, second]
    assert "nothing is drawn" in caplog.text
    assert anywhere.masks(second)
    caplog.clear()
    assert watch.look() == []
    assert caplog.text == ""


def test_a_bug_on_one_job_does_not_stop_the_others(
    bench: Bench, pictures: Pictures, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = bench.task(pictures[:6], segment=3)
    for job, frame in ((first, 0), (second, 4)):
        bench.scribble(job, frame, (8, 20, 20, 20), tag=1, label="car")
    watch, _ = watcher(bench, first)
    sessions = watch.sessions

    def broken(frames: JobFrames, *rest: Any) -> JobSession:
        if frames.job == first:
            raise RuntimeError("a bug")
        return sessions(frames, *rest)

    watch.sessions = broken
    for job, frame in ((first, 0), (second, 4)):
        ask(bench, job, frame)
    assert watch.look() == [second]
    assert f"job {first}: a bug" in caplog.text
    assert bench.masks(second)


def test_a_fault_of_the_server_is_waited_out(bench: Bench, standin: StandIn, pictures: Pictures) -> None:
    job = drawn_job(bench, pictures)
    watch, reports = watcher(bench, job)
    ask(bench, job)
    standin.fault = lambda request: 503
    looks = 0

    def stop() -> bool:
        nonlocal looks
        looks += 1
        if looks > 3:
            standin.fault = lambda request: None
        return bool(reports)

    watch.run(poll_s=0.05, stop=stop)
    assert bench.masks(job)


TROUBLE: list[Answer] = [
    Answer(
        429, {"detail": "Request was throttled. Expected available in 60 seconds."}, headers=[("Retry-After", "999")]
    ),
    Answer(429, b"slow down", "text/plain"),
    Answer(401, {"detail": "Invalid token."}),
    Answer(403, {"detail": "You do not have permission to perform this action."}),
    Answer(503, b""),
    Answer(200, b"<html>back soon</html>", "text/html"),
    Answer(200, b'{"id": 1, "sta'),
    Answer(200, {"fine": True}),
    Answer(200, []),
]


@pytest.mark.parametrize("trouble", TROUBLE, ids=lambda answer: f"{answer.status}-{str(answer.body)[:12]}")
@pytest.mark.parametrize("method", ["GET", "PATCH"])
def test_a_request_outlives_what_is_not_the_job_s_fault(
    bench: Bench,
    standin: StandIn,
    pictures: Pictures,
    trouble: Answer,
    method: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Also after a restart of the watcher."""
    caplog.set_level("WARNING", "siaf.cvat.rounds.watch")  # whatever other tests have left behind
    monkeypatch.setattr(faults, "THROTTLED_S", 0.0)
    job = drawn_job(bench, pictures)
    watch, _ = watcher(bench, job)
    ask(bench, job)
    standin.fault = lambda request: (
        trouble if request.path.startswith("/api/jobs/") and request.method == method else None
    )
    assert watch.look() == []
    assert len(caplog.records) == 1
    assert "Traceback" not in caplog.text
    standin.fault = lambda request: None
    again, reports = watcher(bench, job)
    assert again.look() == [job]
    assert reports[0].objects == {1: "car"}
    assert bench.masks(job)


@pytest.mark.parametrize("field", ["store", "url", "token", "function 'siaf-tracker'"])
def test_what_is_wrong_with_this_process_is_tried_again(bench: Bench, pictures: Pictures, field: str) -> None:
    job = drawn_job(bench, pictures)
    watch, _ = watcher(bench, job)
    ask(bench, job)
    sessions = watch.sessions

    def broken(*rest: Any) -> JobSession:
        raise InputError("cannot be used", field=field)

    watch.sessions = broken
    assert watch.look() == []
    watch.sessions = sessions
    assert watch.look() == [job]


def test_a_damaged_note_is_named(bench: Bench, pictures: Pictures) -> None:
    job = drawn_job(bench, pictures)
    watch, _ = watcher(bench, job)
    watch._memory.write(b"[1, 2")
    with pytest.raises(InputError, match=r"store: watch-task-\d+\.json is damaged; delete it"):
        watcher(bench, job)
