"""Calls of a deployed function over HTTP, sent again where that may help."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import urllib3

from siaf.cvat.server.answers import Form, UnexpectedAnswer, check_answer
from siaf.cvat.server.faults import ServerFault, Throttled, patiently, retry_after
from siaf.errors import InputError, StateError

Json = dict[str, Any]

RETRY_DELAYS_S = (0.5, 2.0, 5.0, 10.0, 10.0, 15.0, 15.0, 15.0)
"""A function that was killed loads its model again before it answers."""
_FIRST_RETRIES = 3
"""So many if it never answered: the address may be wrong."""
_TIMEOUT = urllib3.Timeout(connect=10.0, read=180.0)


class FunctionClient:
    """The function's HTTP side: JSON or bytes in and out. `sent` and `requests` count what it was asked.

    Every call may be sent again, so that all are, when the connection breaks, the function is busy or starts again.
    Raises ServerFault if that does not help, InputError naming "url" or "token", StateError for a state that does not
    fit.
    """

    def __init__(self, url: str, token: str | None = None) -> None:
        if urlsplit(url).scheme not in ("http", "https"):
            raise InputError(f"{url!r} is not an http(s) address", field="url")
        self.url = url.rstrip("/")
        self.requests = 0
        self.sent = 0
        self._reached = False
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._pool = urllib3.PoolManager(retries=False, timeout=_TIMEOUT)

    def ask(self, method: str, path: str, body: Json | None = None, form: Form = object) -> Json:
        """A call with a JSON answer of this form."""
        data = None if body is None else json.dumps(body).encode()
        return self.read(self.raw(method, path, data, "application/json"), form)

    def read(self, answer: bytes, form: Form) -> Json:
        """An answer's JSON of this form."""
        try:
            content = json.loads(answer)
            check_answer(content, form)
            return dict(content)
        except (ValueError, TypeError):
            reason = ""
        except UnexpectedAnswer as error:
            reason = f" ({error})"
        raise InputError(f"{self.url} does not answer like a siaf function{reason}", field="url")

    def raw(self, method: str, path: str, body: bytes | None = None, kind: str = "application/octet-stream") -> bytes:
        """A call with an answer of bytes."""
        return patiently(lambda: self._once(method, path, body, kind), self._delays(), final=(Gone, Stale))

    def _delays(self) -> Iterator[float]:
        for i, delay in enumerate(RETRY_DELAYS_S):
            if i < _FIRST_RETRIES or self._reached:
                yield delay

    def _once(self, method: str, path: str, body: bytes | None, kind: str) -> bytes:
        self.requests += 1
        self.sent += len(body or b"")
        headers = {**self._headers, **({"Content-Type": kind} if body is not None else {})}
        try:
            response = self._pool.request(method, self.url + path, body=body, headers=headers)
        except urllib3.exceptions.NameResolutionError:
            raise InputError(f"no host has this name: {self.url}", field="url") from None
        except urllib3.exceptions.HTTPError as error:
            raise ServerFault(f"the function at {self.url} does not answer ({error})") from None
        self._reached = True
        if response.status < 300:
            return response.data
        raise self._error(response.status, response.data, response.headers)

    def _error(self, status: int, data: bytes, headers: Any) -> Exception:
        try:
            said = json.loads(data)["error"]
            code, text = str(said["code"]), str(said["message"])
            field = f" ({said['field']})" if said.get("field") else ""
        except (ValueError, KeyError, TypeError):
            code, text, field = "", "no reason given", ""
        if status == 401:
            return InputError(f"the function refuses the token: {text}", field="token")
        if status == 404:
            return Gone(f"{text}{field}" if code else f"{self.url} does not answer like a siaf function (404)")
        if status == 409:
            return Stale(f"somebody else changed the session: {text}")
        if status == 422 and "state" in text:
            return StateError(text, field="state")
        if status == 429:  # a proxy's: the function itself says 503
            return Throttled(f"{self.url} wants fewer requests: 429 {text}", retry_after(headers))
        if status >= 500 or status == 408:
            return ServerFault(f"the function at {self.url} failed: {status} {code} {text}")
        return InputError(f"refused by the function: {status} {text}{field}", field="url")


class Gone(ServerFault):
    """The session, or what else was asked for, is not there (any more)."""


class Stale(ServerFault):
    """The session moved on; the next call starts from the state that is in the store."""
