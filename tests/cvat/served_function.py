"""A function that listens in this process, for rounds whose sessions are in it."""

import threading
import time

import uvicorn
from bench import Bench

from function.serve import App
from function.service import Service
from function.settings import Settings
from siaf.cvat.sessions.function_client import FunctionClient
from siaf.cvat.sessions.remote import remote_sessions


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


def use(bench: Bench, served: Served, token: str | None = None) -> FunctionClient:
    """Rounds of this bench are in that function from now on."""
    function = FunctionClient(served.url, token)
    bench.sessions = remote_sessions(function)
    return function
