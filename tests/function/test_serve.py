"""The handler over real HTTP, as Nuclio would be reached, and the addresses that it may listen on."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
from function_client import base64_of
from http_worker import StubbornClient, Worker, worker

from function.http.asgi import is_loopback
from function.settings import Settings
from function.store import open_store
from siaf.errors import InputError


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The server's, which others may open too."""
    return f"file:{tmp_path_factory.mktemp('store')}"


@pytest.fixture(scope="module")
def server(settings: Callable[..., Settings], store: str) -> Iterator[Worker]:
    changes = {"log_level": "error", "token": "swordfish", "worker_wait_s": 0.1, "max_body_bytes": 200_000}
    with worker(settings(**changes, store=store, lock_wait_s=60)) as running:
        yield running


@pytest.fixture
def http(server: Worker) -> StubbornClient:
    return StubbornClient(server.port, token="swordfish")


def click(images: list[bytes], number: int) -> bytes:
    points = [[20.0 + number / 10, 20.0]]
    return json.dumps({"image": base64_of(images[number % 12]), "pos_points": points, "neg_points": []}).encode()


def test_a_click_a_session_and_its_state(http: StubbornClient, jpegs: list[bytes]) -> None:
    status, answer = http.bytes("POST", "/", click(jpegs, 0), "application/json")
    assert (status, len(json.loads(answer)["shapes"])) == (200, 1)
    session = http.json("POST", "/v1/sessions", {"frames": 2, "width": 96, "height": 72})["id"]
    assert http.bytes("PUT", f"/v1/sessions/{session}/frames/1", jpegs[1], "image/jpeg")[0] == 200
    status, state = http.bytes("GET", f"/v1/sessions/{session}/state")
    assert (status, state[:1] != b"{") == (200, True)
    assert http.bytes("GET", "/__internal/health")[0] == 200


def test_too_much_is_refused_in_words(http: StubbornClient) -> None:
    status, answer = http.bytes("POST", "/", b"x" * 300_000, "application/json")
    assert (status, json.loads(answer)["error"]["code"]) == (413, "too_large")


def test_the_token(server: Worker) -> None:
    assert StubbornClient(server.port).bytes("POST", "/v1/sessions")[0] == 401


def test_two_at_once_are_both_answered(http: StubbornClient, jpegs: list[bytes]) -> None:
    answers: list[tuple[int, bytes]] = []

    def ask(number: int) -> None:
        answers.append(http.bytes("POST", "/", click(jpegs, number), "application/json"))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [status for status, _ in answers] == [200] * 8


def test_waiting_too_long_is_503(server: Worker, http: StubbornClient, store: str, jpegs: list[bytes]) -> None:
    """Here for a worker that waits itself, for a session that somebody else holds."""
    import http.client as connections

    def ask() -> tuple[int, bytes]:
        connection = connections.HTTPConnection("127.0.0.1", server.port, timeout=60)
        connection.request("POST", "/", click(jpegs, 0), {"Content-Type": "application/json"})
        reply = connection.getresponse()
        return reply.status, reply.read()

    session = http.json("POST", "/v1/sessions", {"frames": 2, "width": 96, "height": 72})["id"]
    with ThreadPoolExecutor() as pool:
        with open_store(store, 2**30).lock(f"session-{session}", 1):
            held = pool.submit(http.bytes, "DELETE", f"/v1/sessions/{session}")
            deadline = time.monotonic() + 60
            while (answer := ask())[0] == 200 and time.monotonic() < deadline:
                time.sleep(0.01)  # the worker has not begun to wait
            assert (answer[0], json.loads(answer[1])["error"]["code"]) == (503, "busy")
        assert held.result()[0] == 200
    assert ask()[0] == 200


def test_settings_that_cannot_be_met_end_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from function.serve import serve
    from siaf.errors import SiafError

    monkeypatch.setenv("SIAF_WEIGHTS", str(tmp_path / "none"))
    with pytest.raises(SiafError, match="SIAF_WEIGHTS: no such file"):
        serve("127.0.0.1", 0)


def test_probes_are_answered_while_the_worker_works(server: Worker, jpegs: list[bytes]) -> None:
    import http.client

    begun = threading.Event()

    def click_long() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        points = [[i % 90, i % 70] for i in range(3000)]
        body = json.dumps({"image": base64_of(jpegs[0]), "pos_points": points, "neg_points": []})
        connection.request("POST", "/", body, {"Content-Type": "application/json"})
        begun.set()
        connection.getresponse().read()

    threads = [threading.Thread(target=click_long) for _ in range(4)]
    for thread in threads:
        thread.start()
    begun.wait()
    answers = [StubbornClient(server.port).json("GET", f"/v2/health/{what}") for what in ("live", "ready") * 5]
    for thread in threads:
        thread.join()
    assert answers == [{"live": True}, {"ready": True}] * 5


@pytest.mark.parametrize(("host", "own"), [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False)])
def test_only_this_machine_needs_no_token(
    host: str,
    own: bool,
    settings: Callable[..., Settings],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import function.serve as module

    monkeypatch.setattr(module.uvicorn, "run", lambda *args, **kwargs: None)
    idle = SimpleNamespace(health=SimpleNamespace(live=None, ready=None))
    monkeypatch.setattr(module.Service, "start", lambda settings: idle)
    monkeypatch.setattr(module, "check_address", lambda host, port, field: None)  # not every machine has IPv6
    for token, warned in ((None, not own), ("swordfish", False)):
        module.serve(host, 0, settings(token=token))
        assert ("set SIAF_TOKEN" in capsys.readouterr().err) == warned
    assert is_loopback(host) == own


def test_an_address_that_cannot_be_had_is_named_before_a_model_is_loaded(settings: Callable[..., Settings]) -> None:
    import function.serve as module

    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(InputError, match="--host: cannot listen"):
        module.serve("127.0.0.1", taken.getsockname()[1], settings(weights=Path("nope")))
    with pytest.raises(InputError, match=r"--host: cannot listen on no\.such\.host\.invalid, port 8080"):
        module.serve("no.such.host.invalid", 8080, settings(weights=Path("nope")))
