"""Receives CVAT's webhooks: who sent them is checked, what they say is only a hint to look."""

import hashlib
import hmac
import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from siaf.errors import InputError

MAX_BYTES = 2**20


def is_signed(body: bytes, signature: str, secret: str) -> bool:
    """Whether `X-Signature-256` is the one of this body (contract §6)."""
    expected = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected.encode(), signature.encode())


class WebhookReceiver:
    """Listens on `address` ("host:port", port 0 takes a free one) for jobs that were updated: `on_job` gets the id.

    Raises InputError, naming "listen", for an address that cannot be listened on.
    """

    def __init__(self, address: str, secret: str, on_job: Callable[[int], None]) -> None:
        if not secret:
            raise InputError("webhooks need a secret: set SIAF_WEBHOOK_SECRET", field="listen")
        host, _, port = address.rpartition(":")
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            timeout = 10

            def do_POST(self) -> None:
                length = self.headers.get("Content-Length", "")
                if not (length.isascii() and length.isdigit() and len(length) < 10) or int(length) > MAX_BYTES:
                    self._answer(413)
                    return
                body = self.rfile.read(int(length))
                if not is_signed(body, self.headers.get("X-Signature-256", ""), secret):
                    self._answer(401)
                    return
                self._answer(200)
                receiver._take(body, on_job)

            def _answer(self, status: int) -> None:
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Quiet."""

        try:
            self._server = ThreadingHTTPServer((host or "0.0.0.0", int(port)), Handler)
        except (OSError, ValueError, OverflowError) as error:
            raise InputError(f"cannot listen on {address!r} ({error})", field="listen") from None
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()

    @staticmethod
    def _take(body: bytes, on_job: Callable[[int], None]) -> None:
        try:
            payload = json.loads(body)
            if payload.get("event") == "update:job":
                on_job(int(payload["job"]["id"]))
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
            return  # signed, but nothing that concerns us
