"""Between requests: frames are encoded ahead, and nothing else changes."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from function_client import Client
from http_rounds import FIRST, open_session, propagate, round_body

from function.runtime.idle import Idle
from siaf.model.loaded import Model


def test_a_task_waits_for_the_end_of_a_request() -> None:
    idle, done = Idle(), threading.Event()
    with idle.interrupted():
        idle.add(done.set)
        assert not done.wait(0.2)
    assert done.wait(10)


def test_a_request_waits_for_the_one_task_that_has_begun() -> None:
    idle, begun, end = Idle(), threading.Event(), threading.Event()
    order: list[str] = []
    idle.add(lambda: (begun.set(), end.wait(10), order.append("first")))
    idle.add(lambda: order.append("second"))
    begun.wait(10)
    threading.Timer(0.1, end.set).start()
    with idle.interrupted():
        order.append("request")
    wait_until(lambda: len(order) == 3)
    assert order == ["first", "request", "second"]


def test_a_task_that_fails_is_forgotten() -> None:
    idle, done = Idle(), threading.Event()
    idle.add(lambda: 1 / 0)
    idle.add(done.set)
    assert done.wait(10)


def test_uploaded_frames_are_encoded_before_the_round(
    client: Client, start: Callable[..., Client], jpegs: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead = start(encode_ahead=True)
    session, plain = open_session(ahead, jpegs), open_session(client, jpegs)
    cache = ahead.service._features
    wait_until(lambda: len(cache._entries) == len(jpegs))
    expected = [
        client.ok("POST", f"/v1/sessions/{plain}/rounds", round_body(0, FIRST))["frames"],
        propagate(client, plain),
    ]
    monkeypatch.delattr(Model, "encode_batch")
    found = [
        ahead.ok("POST", f"/v1/sessions/{session}/rounds", round_body(0, FIRST))["frames"],
        propagate(ahead, session),
    ]
    assert found[0] == expected[0]
    assert found[1].keys() == expected[1].keys()
    assert all((found[1][frame] == mask).all() for frame, mask in expected[1].items())


def test_features_may_be_kept_on_disk(start: Callable[..., Client], jpegs: list[bytes], tmp_path: Path) -> None:
    spilling = start(feature_bytes=2**20, feature_folder=tmp_path)
    session = open_session(spilling, jpegs)
    spilling.ok("POST", f"/v1/sessions/{session}/rounds", round_body(0, FIRST))
    propagate(spilling, session)
    assert list(tmp_path.glob("*.features"))


def wait_until(true: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)
