"""The HTTP side of the CVAT stand-in: requests in, answers out, faults on demand."""

import gzip
import json
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

JSON = "application/vnd.cvat+json"


@dataclass
class Request:
    """What a client sent; path without a trailing slash, the last value of every query parameter."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    raw: bytes
    status: int = 0
    sent: int = 0
    user: str | None = None

    @property
    def body(self) -> Any:
        return json.loads(self.raw) if self.raw else {}

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass
class Answer:
    """Status, body (JSON unless bytes) and content type."""

    status: int = 200
    body: Any = None
    kind: str = JSON
    headers: Sequence[tuple[str, str]] = ()

    def encoded(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        return b"" if self.status == 204 else json.dumps(self.body).encode()


Fault = Callable[[Request], "str | int | Answer | None"]
"""Asked for every request: None = serve it, "refuse" = cut before it is done, "drop" = done, but no answer arrives,
"late" = answered with 504 and done by the next `catch_up`, a number or an answer = this, without doing it."""


class HttpSide:
    """A server on a free port of localhost. `log` holds every request, `fault` may break some."""

    def __init__(self, respond: Callable[[Request], Answer]) -> None:
        self.log: list[Request] = []
        self.fault: Fault = lambda request: None
        self.late: list[Request] = []
        self._respond = respond
        self._lock = threading.Lock()
        side = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 30
            wbufsize = -1  # header and body in one packet, or the client waits 40 ms for the second

            def do_GET(self) -> None:
                side._serve(self)

            do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_GET

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()

    def catch_up(self) -> None:
        """Do what was answered with 504 and is still to be done."""
        with self._lock:
            while self.late:
                self._respond(self.late.pop(0))

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        request = Request(
            handler.command,
            parts.path.rstrip("/"),
            {key: values[-1] for key, values in parse_qs(parts.query, keep_blank_values=True).items()},
            {key.lower(): value for key, value in handler.headers.items()},
            handler.rfile.read(int(handler.headers.get("Content-Length") or 0)),
        )
        with self._lock:
            self.log.append(request)
            fault = self.fault(request)
            answer = Answer(fault, "") if isinstance(fault, int) else Answer()
            if isinstance(fault, Answer):
                answer = fault
            elif fault is None or fault == "drop":
                answer = self._respond(request)
            elif fault == "late":
                self.late.append(request)
                answer = Answer(504, b"<html>Gateway Time-out</html>", "text/html")
        request.status = answer.status
        if fault in ("refuse", "drop"):
            handler.close_connection = True
            handler.connection.shutdown(socket.SHUT_RDWR)
            return
        content = answer.encoded()
        handler.send_response(answer.status)
        if "gzip" in request.headers.get("accept-encoding", "") and answer.kind == JSON and len(content) > 200:
            content = gzip.compress(content, 1)
            handler.send_header("Content-Encoding", "gzip")
        request.sent = len(content)
        for name, value in [("Content-Type", answer.kind), *answer.headers]:
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        if request.method != "HEAD":
            handler.wfile.write(content)
