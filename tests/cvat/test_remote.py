"""`--url`: the same rounds with the session in a function give the same masks, and frames travel once."""

import copy
import io
import itertools
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import uvicorn
from bench import Bench, Pictures
from standin import StandIn
from standin_http import Answer
from standin_media import write_video

from function.serve import App
from function.service import Service
from function.settings import Settings
from siaf.cvat import commands
from siaf.cvat.server import faults
from siaf.cvat.server.faults import ServerFault
from siaf.cvat.sessions import function_client
from siaf.cvat.sessions.base import SessionFactory
from siaf.cvat.sessions.function_client import FunctionClient
from siaf.cvat.sessions.local import local_sessions
from siaf.cvat.sessions.remote import remote_sessions
from siaf.errors import InputError, SiafError
from siaf.frames.source import frame_digest
from siaf.model.loaded import Model
from siaf.session.state_file import read_summary, with_digests
from siaf.weights import load_model, save_weights


class Served:
    """A function on a free port."""

    def __init__(self, settings: Settings) -> None:
        self._server = uvicorn.Server(uvicorn.Config(App(Service.start(settings), settings), port=0, log_level="error"))
        threading.Thread(target=self._server.run, daemon=True).start()
        while not self._server.started:
            time.sleep(0.01)
        port = self._server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"

    def stop(self) -> None:
        self._server.should_exit = True


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory, tiny_model: Model) -> Path:
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_weights(path, "siaf-t", tiny_model.interaction.state_dict(), tiny_model.propagation.state_dict(), {})
    return path


@pytest.fixture
def sessions(weights: Path) -> SessionFactory:
    """This process, with the function's weights."""
    model = load_model("siaf-t", device="cpu", weights=weights)
    model = replace(model, short_side=65, interaction_short_side=65)
    return local_sessions(lambda: model)


@pytest.fixture
def serve(weights: Path, tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """Start a function; keywords are settings."""
    kept = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("SIAF_")}
    started = []

    def start(**changes: object) -> Served:
        small = {"weights": weights, "short_side": 65, "interaction_short_side": 65, "log_level": "error"}
        started.append(Served(Settings(**{**small, **changes})))  # type: ignore[arg-type]
        return started[-1]

    yield start
    for served in started:
        served.stop()
    os.environ.update(kept)


def drawn(bench: Bench, pictures: Pictures) -> int:
    (job,) = bench.task(pictures[:5])
    bench.scribble(job, 0, (8, 20, 20, 20), tag=1, label="car")
    bench.scribble(job, 3, (72, 50, 85, 50), tag=2, label="person")
    return job


def use(bench: Bench, served: Served, token: str | None = None) -> FunctionClient:
    function = FunctionClient(served.url, token)
    bench.sessions = remote_sessions(function)
    return function


def corrected(bench: Bench, job: int) -> None:
    frame, tag = next(spot for spot in sorted(bench.masks(job)) if spot[0] in (1, 2, 4))
    shape = next(s for s in bench.shapes(job) if (s["frame"], s["group"]) == (frame, tag))
    bench.edit(job, shape, points=[0.0, 300.0, 30.0, 30.0, 44.0, 49.0])
    bench.scribble(job, 4, (10, 60, 20, 60), tag=3, label="person")
    bench.draw(job, 4, "rectangle", (30, 40, 51, 61), "person", object=4)


def test_rounds_in_a_function_give_the_same_masks(
    bench: Bench, serve: Callable[..., Served], pictures: Pictures
) -> None:
    here, there = drawn(bench, pictures), drawn(bench, pictures)
    local = bench.sessions
    for change in (lambda job: None, lambda job: corrected(bench, job)):
        change(here)
        bench.sessions = local
        bench.sync(here)
    use(bench, serve())
    for change in (lambda job: None, lambda job: corrected(bench, job)):
        change(there)
        bench.sync(there)
    assert bench.contents(there) == bench.contents(here)


def test_frames_are_uploaded_once(bench: Bench, serve: Callable[..., Served], pictures: Pictures) -> None:
    job = drawn(bench, pictures)
    use(bench, serve())
    first = bench.sync(job)
    assert first.uploaded_frames == 5
    files = sum(path.stat().st_size for path in bench.folder.glob("0-*.png"))
    assert first.uploaded == files
    assert first.uploaded_frames < first.calls < 3 * first.uploaded_frames
    bench.scribble(job, 4, (10, 60, 20, 60), tag=3, label="person")
    assert bench.sync(job).uploaded_frames == 0


def test_a_function_that_forgot_everything_is_given_the_state_again(
    bench: Bench, serve: Callable[..., Served], pictures: Pictures
) -> None:
    job, whole = drawn(bench, pictures), drawn(bench, pictures)
    use(bench, serve())
    for number in (job, whole):
        bench.sync(number)
        corrected(bench, number)
    bench.sync(whole)
    use(bench, serve())
    report = bench.sync(job)
    assert report.round == 2
    assert report.uploaded_frames == 5
    assert bench.contents(job) == bench.contents(whole)


def test_a_round_goes_on_in_this_process(bench: Bench, serve: Callable[..., Served], pictures: Pictures) -> None:
    job = drawn(bench, pictures)
    local = bench.sessions
    use(bench, serve())
    bench.sync(job)
    corrected(bench, job)
    bench.sessions = local
    assert bench.sync(job).round == 2


def test_new_weights_begin_again_from_the_annotated_frames(
    bench: Bench, serve: Callable[..., Served], pictures: Pictures, tiny_model: Model
) -> None:
    job = drawn(bench, pictures)
    bench.sessions = local_sessions(lambda: tiny_model)  # its digest is not that of the function's file
    bench.sync(job)
    kept = {spot: points for spot, points in bench.masks(job).items() if spot[0] in (0, 3)}
    bench.scribble(job, 4, (40, 60, 50, 60), tag=2)
    use(bench, serve())
    report = bench.sync(job)
    assert report.notes == [
        "the session had another model or input size, so this round started from the annotated frames' masks"
    ]
    assert {spot: points for spot, points in bench.masks(job).items() if spot[0] in (0, 3)} == kept
    assert bench.sync(job).notes == []


@pytest.mark.parametrize("change", [{"short_side": 97}, {"autocast": True}])
def test_another_input_size_begins_again_in_this_process_too(
    bench: Bench, serve: Callable[..., Served], pictures: Pictures, tiny_model: Model, change: dict[str, object]
) -> None:
    job = drawn(bench, pictures)
    bench.sessions = local_sessions(lambda: tiny_model)
    bench.sync(job)
    kept = {spot: points for spot, points in bench.masks(job).items() if spot[0] in (0, 3)}
    bench.scribble(job, 4, (40, 60, 50, 60), tag=2)
    other = replace(tiny_model, **change)
    bench.sessions = local_sessions(lambda: other)
    report = bench.sync(job)
    assert report.notes == [
        "the session had another model or input size, so this round started from the annotated frames' masks"
    ]
    assert {spot: points for spot, points in bench.masks(job).items() if spot[0] in (0, 3)} == kept
    assert bench.sync(job).notes == []


def test_a_function_of_another_input_size_begins_again(
    bench: Bench, serve: Callable[..., Served], pictures: Pictures
) -> None:
    job = drawn(bench, pictures)
    use(bench, serve())
    bench.sync(job)
    bench.scribble(job, 4, (40, 60, 50, 60), tag=2)
    use(bench, serve(short_side=97))
    report = bench.sync(job)
    assert report.notes == [
        "the session had another model or input size, so this round started from the annotated frames' masks"
    ]


def test_a_state_of_a_video_that_was_read_without_exact_rounding_goes_on(
    bench: Bench, serve: Callable[..., Served], clip: Pictures, tmp_path: Path
) -> None:
    """The function has pixels only, and could not tell: whoever has the video says that it is the same."""
    path = tmp_path / "film.mp4"
    noisy = np.clip(clip + np.random.default_rng(0).integers(-40, 40, clip.shape), 0, 255).astype(np.uint8)
    with open(path, "wb+") as file:
        write_video(file, noisy)  # type: ignore[arg-type]
    (job,) = bench.video_task(path)
    bench.scribble(job, 0, (8, 20, 20, 20), tag=1, label="car")
    bench.sync(job)
    first = bench.store.job(bench.server.url, job)
    state = first.state(first.ledger())
    assert state is not None
    (other,) = bench.video_task(path)
    bench.scribble(other, 3, (72, 50, 85, 50), tag=2, label="person")
    with av.open(io.BytesIO(bench.server.chunk(job, 0))) as chunk:
        former = frame_digest(next(chunk.decode(video=0)).to_ndarray(format="rgb24"))
    assert former != read_summary(state).digests[0]
    old = with_digests(state, {0: former})
    (tmp_path / "old.siaf").write_bytes(old)
    commands.import_state(bench.client, other, tmp_path / "old.siaf", store=bench.store)
    use(bench, serve())
    report = bench.sync(other)
    assert report.round == 2
    jobs = bench.store.job(bench.server.url, other)
    summary = read_summary(jobs.state(jobs.ledger()) or b"")
    assert summary.digests.keys() == {0, 3}
    assert summary.rounds == 2


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
    with pytest.raises(SiafError):
        bench.sync(job)


@pytest.mark.parametrize("setting", [False, True])
def test_a_function_adapts_if_asked_or_set_so(
    bench: Bench, serve: Callable[..., Served], pictures: Pictures, monkeypatch: pytest.MonkeyPatch, setting: bool
) -> None:
    monkeypatch.setattr("siaf.session.adaptation._STEPS", 3)

    def masks(adapt: bool) -> dict:
        (job,) = bench.task(pictures[:5])
        for frame in (0, 4):
            bench.box_mask(job, frame, (20, 30, 44, 49), "car", tag=1)
        report = bench.sync(job, adapt=adapt)
        assert any(note.startswith("adapted to") for note in report.notes) == adapt
        return {spot: points for spot, points in bench.masks(job).items() if spot[0] in (1, 2, 3)}

    here, without = masks(adapt=True), masks(adapt=False)
    assert here != without
    use(bench, serve(adapt=setting))
    assert masks(adapt=True) == here
    assert masks(adapt=False) == (here if setting else without)


def test_limits_and_changed_objects_reach_the_function(
    bench: Bench, serve: Callable[..., Served], pictures: Pictures
) -> None:
    """The function's session is the one before an undo or a swap: it gets the changed state with the next round."""
    here, there = drawn(bench, pictures), drawn(bench, pictures)
    local, served = bench.sessions, serve()
    for job in (here, there):
        if job == there:
            use(bench, served)
        else:
            bench.sessions = local
        bench.sync(job, frames=(1, 2))
        bench.sync(job, barriers=[2])
        for do, objects in (("split", [1]), ("undo", []), ("split", [1])):
            frame = None if do == "undo" else 1
            commands.control(bench.client, job, do, store=bench.store, objects=objects, from_frame=frame)
        bench.scribble(job, 4, (60, 50, 70, 50), tag=2, label="person")
        bench.sync(job)
    assert bench.contents(there) == bench.contents(here)
    assert 3 in {tag for _, tag in bench.masks(there)}
