"""A function that dies, is restarted, is busy, or is none: what a sync makes of it."""

import copy
import itertools
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from bench import Bench, Pictures
from drawn_job import drawn
from served_function import Served, use
from standin import StandIn
from standin_http import Answer

from siaf.cvat.server import faults
from siaf.cvat.server.faults import ServerFault
from siaf.cvat.sessions import function_client
from siaf.cvat.sessions.function_client import FunctionClient
from siaf.cvat.sessions.remote import remote_sessions
from siaf.errors import InputError, SiafError


@pytest.mark.parametrize("done", [True, False])
def test_a_function_that_dies_in_the_middle(
    bench: Bench,
    standin: StandIn,
    serve: Callable[..., Served],
    pictures: Pictures,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    done: bool,
) -> None:
    """At every call in turn: before it is done, or before anybody hears of it."""
    monkeypatch.setattr(function_client, "RETRY_DELAYS_S", ())
    job = drawn(bench, pictures[:4])
    before = copy.deepcopy(standin.world.annotations)
    use(bench, serve())
    once = FunctionClient._once
    calls, cut = 0, -1

    def dying(self: FunctionClient, method: str, path: str, body: bytes | None, kind: str) -> bytes:
        nonlocal calls
        calls += 1
        if calls == cut and not done:
            raise ServerFault("it is gone")
        answer = once(self, method, path, body, kind)
        if calls == cut:
            raise ServerFault("it was done, but nobody hears of it")
        return answer

    monkeypatch.setattr(FunctionClient, "_once", dying)
    bench.sync(job)
    expected = bench.contents(job)
    for stop in itertools.count(1):
        shutil.rmtree(tmp_path / "store")
        standin.world.annotations = copy.deepcopy(before)
        calls, cut = 0, stop
        try:
            bench.sync(job)
            break
        except ServerFault:
            cut = -1
        bench.sync(job)
        assert bench.contents(job) == expected, f"after a cut at call {stop}"
    assert stop > 6


def forgetting(monkeypatch: pytest.MonkeyPatch, at: int, forget: Callable[[], None]) -> list[str]:
    """Before the `at`-th call the function is killed and started again, without its memory; the calls so far."""
    once = FunctionClient._once
    calls: list[str] = []

    def killed(self: FunctionClient, method: str, path: str, body: bytes | None, kind: str) -> bytes:
        calls.append(f"{method} {path}")
        if len(calls) == at:
            forget()
        return once(self, method, path, body, kind)

    monkeypatch.setattr(FunctionClient, "_once", killed)
    return calls


def test_a_function_that_is_killed_and_starts_again_ends_no_sync(
    bench: Bench,
    standin: StandIn,
    serve: Callable[..., Served],
    pictures: Pictures,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Before the last call of every kind in two rounds; the second one forgets an object and corrects another."""
    job = drawn(bench, pictures[:4])
    before = copy.deepcopy(standin.world.annotations)

    def rounds(forget: int) -> list[str]:
        function = FunctionClient(serve().url)
        bench.sessions = remote_sessions(function)

        def restart() -> None:
            function.url = serve().url

        with monkeypatch.context() as patch:
            calls = forgetting(patch, forget, restart)
            bench.sync(job)
            bench.delete(job, *(s for s in bench.shapes(job) if s["group"] == 1))
            bench.box_mask(job, 1, (5, 55, 20, 65), "person", tag=3)
            bench.scribble(job, 2, (40, 20, 60, 20), tag=2)
            assert bench.sync(job).removed == [1]
            return calls

    calls = rounds(0)
    expected = bench.contents(job)
    assert {"DELETE", "PUT", "POST", "GET"} == {call.split()[0] for call in calls}
    parts = [call.split("/") for call in calls]
    kinds = {(*part[:3:2], *part[4:5]): at for at, part in enumerate(parts, 1)}
    for at in sorted(kinds.values()):
        shutil.rmtree(tmp_path / "store")
        standin.world.annotations = copy.deepcopy(before)
        rounds(at)
        assert bench.contents(job) == expected, f"killed before {calls[at - 1]}"


def test_a_function_that_was_there_is_waited_for_longer(
    serve: Callable[..., Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(faults.time, "sleep", waits.append)
    function = FunctionClient("http://127.0.0.1:9")
    with pytest.raises(ServerFault):
        function.ask("GET", "/v1/info")
    assert sum(waits) < 10
    served = serve()
    function.url = served.url
    assert function.ask("GET", "/v1/info")["model"] == "siaf-t"
    waits.clear()
    function.url = "http://127.0.0.1:9"
    with pytest.raises(ServerFault):
        function.ask("GET", "/v1/info")
    assert sum(waits) > 60


@pytest.mark.parametrize("body", [b"[]", b'{"id": 3}', b'{"id": "x"}', b"<html>"])
def test_an_answer_of_another_form_is_named(bench: Bench, standin: StandIn, pictures: Pictures, body: bytes) -> None:
    job = drawn(bench, pictures)
    bench.sessions = remote_sessions(FunctionClient(standin.url))
    standin.fault = lambda request: Answer(200, body) if request.path.startswith("/v1/") else None
    with pytest.raises(InputError, match="^url: .* does not answer like a siaf function"):
        bench.sync(job)


def test_too_many_requests_are_waited_out(standin: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(faults.time, "sleep", waits.append)
    answers = iter([Answer(429, {}, headers=[("Retry-After", "4")]), Answer(200, {"model": "m"})])
    standin.fault = lambda request: next(answers)
    assert FunctionClient(standin.url).ask("GET", "/v1/info") == {"model": "m"}
    assert waits == [4.0]


@pytest.mark.parametrize(
    ("url", "error", "message"),
    [
        ("function:8000", InputError, "url: 'function:8000' is not an http"),
        ("http://no-such-host.invalid", InputError, "url: no host has this name"),
        ("http://127.0.0.1:9", ServerFault, "does not answer"),
    ],
)
def test_a_wrong_address_is_named(
    bench: Bench, pictures: Pictures, monkeypatch: pytest.MonkeyPatch, url: str, error: type[SiafError], message: str
) -> None:
    monkeypatch.setattr(function_client, "RETRY_DELAYS_S", ())
    job = drawn(bench, pictures)

    def sync() -> None:
        bench.sessions = remote_sessions(FunctionClient(url))
        bench.sync(job)

    with pytest.raises(error, match=message):
        sync()


def test_a_wrong_token_is_named(bench: Bench, serve: Callable[..., Served], pictures: Pictures) -> None:
    job = drawn(bench, pictures)
    served = serve(token="right")
    use(bench, served, "wrong")
    with pytest.raises(InputError, match="token: the function refuses the token"):
        bench.sync(job)
    use(bench, served, "right")
    assert bench.sync(job).created > 0


def test_an_address_that_is_no_function_is_named(
    bench: Bench, pictures: Pictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(function_client, "RETRY_DELAYS_S", ())
    job = drawn(bench, pictures)
    bench.sessions = remote_sessions(FunctionClient(bench.server.url))
    with pytest.raises(SiafError, match=f"{re.escape(bench.server.url)} does not answer like a siaf function"):
        bench.sync(job)
