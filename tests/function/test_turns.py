"""Several who want something of one session: answers given again, old revisions refused, workers and clicks in turn."""

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from function_client import Client
from http_rounds import FIRST, SECOND, Masks, open_session, propagate, read, round_body


def test_an_answer_that_was_lost_is_given_again(client: Client, jpegs: list[bytes]) -> None:
    session = open_session(client, jpegs)
    body = round_body(0, {0: FIRST[3]})
    first = client.ok("POST", f"/v1/sessions/{session}/rounds", body)
    assert client.ok("POST", f"/v1/sessions/{session}/rounds", body) == first
    step = {"budget_s": 1e-6, "after": 0}
    lost = client.ok("POST", f"/v1/sessions/{session}/propagate", step)
    assert client.ok("POST", f"/v1/sessions/{session}/propagate", step) == lost
    assert client.ok("POST", f"/v1/sessions/{session}/rounds", body) == first


def test_another_round_on_an_old_revision_is_refused(client: Client, jpegs: list[bytes]) -> None:
    session = open_session(client, jpegs)
    client.ok("POST", f"/v1/sessions/{session}/rounds", round_body(0, FIRST))
    status, answer = client.call("POST", f"/v1/sessions/{session}/rounds", round_body(0, SECOND))
    assert (status, answer["error"]["code"], answer["error"]["field"]) == (409, "stale", "revision")
    status, answer = client.call("POST", f"/v1/sessions/{session}/propagate", {"revision": 0})
    assert (status, answer["error"]["field"]) == (409, "revision")
    status, answer = client.call("POST", f"/v1/sessions/{session}/propagate", {"after": 5})
    assert (status, answer["error"]["field"]) == (409, "after")


def test_a_labeler_who_clicks_gets_turns_in_between(client: Client, jpegs: list[bytes]) -> None:
    session = open_session(client, jpegs)
    client.ok("POST", f"/v1/sessions/{session}/rounds", round_body(0, {0: FIRST[3]}))
    client.cvat(jpegs[1], pos_points=[[20, 20]], neg_points=[])
    import function.calls.sessions_api as module

    turn, module._TURN_S = module._TURN_S, 1e-6
    try:
        answer = client.ok("POST", f"/v1/sessions/{session}/propagate", {"budget_s": 60})
    finally:
        module._TURN_S = turn
    assert answer["done"] == 1


class TestTwoWorkers:
    """Two replicas on one store."""

    @pytest.fixture
    def workers(self, start: Callable[..., Client], tmp_path: Path) -> list[Client]:
        return [start(store=f"file:{tmp_path}", lock_wait_s=0.05) for _ in range(2)]

    def test_one_of_two_rounds_at_once_wins(self, workers: list[Client], jpegs: list[bytes]) -> None:
        session = open_session(workers[0], jpegs)
        bodies = [round_body(0, {0: FIRST[3]}), round_body(0, {5: FIRST[8]})]
        answers: dict[int, int] = {}

        def send(number: int) -> None:
            answers[number] = workers[number].call("POST", f"/v1/sessions/{session}/rounds", bodies[number])[0]

        threads = [threading.Thread(target=send, args=(number,)) for number in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(answers.values()) in ([200, 409], [200, 503])
        winner = min(answers, key=lambda number: answers[number])
        shown = workers[0].ok("GET", f"/v1/sessions/{session}")
        assert (shown["revision"], shown["interacted"]) == (1, [[0], [5]][winner])

    def test_a_session_that_is_being_worked_on_is_503(self, workers: list[Client], jpegs: list[bytes]) -> None:
        session = open_session(workers[0], jpegs)
        with workers[0].service._store.lock(f"session-{session}", 1):
            status, answer = workers[1].call("POST", f"/v1/sessions/{session}/propagate", {})
        assert (status, answer["error"]["code"]) == (503, "busy")

    def test_they_take_turns(self, workers: list[Client], jpegs: list[bytes], expected: list[Masks]) -> None:
        session = open_session(workers[0], jpegs)
        workers[1].ok("POST", f"/v1/sessions/{session}/rounds", round_body(0, FIRST))
        found: Masks = {}
        while True:
            workers.reverse()
            body = {"budget_s": 1e-6, "after": len(found)}
            answer = workers[0].ok("POST", f"/v1/sessions/{session}/propagate", body)
            before = len(found)
            found |= {before + i: mask for i, mask in enumerate(read(answer["frames"]).values())}
            if answer["done"] == answer["total"]:
                break
        state = [worker.raw("GET", f"/v1/sessions/{session}/state").body for worker in workers]
        assert state[0] == state[1]
        final = propagate(workers[0], session)
        assert all(np.array_equal(final[frame], expected[0][frame]) for frame in final)
