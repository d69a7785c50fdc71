"""A server that restarts, wants fewer requests, or answers in a form that nobody knows."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from bench import Bench, Pictures
from disturbed_job import by_carry, by_sync, first_round, neighbour
from standin import StandIn
from standin_http import Answer, Request

from siaf.cvat.rounds.report import SyncReport
from siaf.cvat.server import connection, faults
from siaf.cvat.server.connection import connect
from siaf.cvat.server.faults import ServerFault


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
