"""Several sessions, one that computes."""

import threading
import time
from collections.abc import Callable

from studio_client import until

from siaf.studio.turns import CALL, STEP, Turns


class Crowd:
    """Threads that want a turn; `order`: who had one."""

    def __init__(self, turns: Turns) -> None:
        self.turns, self.order = turns, []
        self._threads: list[threading.Thread] = []

    def wants(self, name: str, urgency: int, unless: Callable[[], bool] = lambda: False) -> None:
        begun = threading.Event()

        def want() -> None:
            begun.set()
            with self.turns.take(urgency, unless) as mine:
                self.order.append(name if mine else f"not {name}")

        self._threads.append(threading.Thread(target=want))
        self._threads[-1].start()
        begun.wait(60)
        time.sleep(0.05)  # it asks before the next one does

    def join(self) -> None:
        for thread in self._threads:
            thread.join(60)


def test_who_is_waited_for_goes_first_and_the_others_in_their_order() -> None:
    turns = Turns()
    crowd = Crowd(turns)
    with turns.take(CALL):
        for name, urgency in (("step a", STEP), ("step b", STEP), ("call a", CALL), ("call b", CALL)):
            crowd.wants(name, urgency)
        assert crowd.order == []
    crowd.join()
    assert crowd.order == ["call a", "call b", "step a", "step b"]


def test_who_has_something_more_urgent_to_do_gives_its_place_up() -> None:
    turns, called = Turns(), threading.Event()
    crowd = Crowd(turns)
    with turns.take(CALL):
        crowd.wants("step", STEP, unless=called.is_set)
        called.set()
        turns.nudge()
        until(lambda: crowd.order == ["not step"], "it waits no longer")
    with turns.take(CALL) as mine:
        assert mine
    crowd.join()


def test_spare_time_is_when_nobody_computes_or_waits() -> None:
    turns = Turns()
    with turns.spare() as mine:
        assert mine
        with turns.spare() as another:
            assert not another
    with turns.take(STEP), turns.spare() as mine:
        assert not mine
    with turns.spare() as mine:
        assert mine
