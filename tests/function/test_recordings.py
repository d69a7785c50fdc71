"""Every call of a real CVAT server that reached a function, answered as its contract says."""

from collections.abc import Callable

from cvat_replay import post_to, replay
from http_worker import worker

from function.settings import Settings


def test_all_recorded_calls_over_http(settings: Callable[..., Settings]) -> None:
    with worker(settings(log_level="error")) as server:
        assert replay(post_to(f"http://127.0.0.1:{server.port}")) == 47
