"""A web server on this machine that serves one file, and may misbehave."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Site:
    """What the server serves and how it misbehaves."""

    content: bytes = bytes(range(256)) * 8192
    etag: str | None = '"one"'
    kind: str = "application/octet-stream"
    status: int = 200
    breaks: list[int] = field(default_factory=list)  # bytes after which each answer breaks off
    ranges: bool = True
    asked: list[str | None] = field(default_factory=list)
    url: str = ""


@contextmanager
def serving() -> Iterator[Site]:
    """A running server; what the caller changes of the site counts from the next answer on."""
    served = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            served.asked.append(wanted)
            start = 0
            if wanted and served.ranges and self.headers.get("If-Range") == served.etag:
                start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            self.send_response(206 if start else served.status)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(served.content) - 1}/{len(served.content)}")
            if served.etag:
                self.send_header("ETag", served.etag)
            self.send_header("Content-Type", served.kind)
            self.send_header("Content-Length", str(len(served.content) - start))
            self.end_headers()
            stop = served.breaks.pop(0) if served.breaks else len(served.content)
            with suppress(ConnectionError):  # a client that refuses the answer hangs up
                self.wfile.write(served.content[start : start + stop])

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.url = f"http://127.0.0.1:{server.server_port}/weights.pth"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield served
    server.shutdown()
    thread.join()
    server.server_close()
