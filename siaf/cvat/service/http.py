"""Requests and answers of the service, and what is turned away before anything is done."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from siaf.cvat.server.connection import Refusal
from siaf.cvat.server.faults import ServerFault, Throttled
from siaf.cvat.service.site import Site
from siaf.errors import Busy, InputError, SiafError

SAFE = ("GET", "HEAD")
OWN_HEADER = "x-siaf"


@dataclass(frozen=True)
class Request:
    """One HTTP request; header names in lower case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""

    def json(self) -> dict[str, Any]:
        """The body as a JSON object, {} for an empty one. Raises ApiError."""
        if not self.body:
            return {}
        if self.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise ApiError(415, "media", "JSON is expected", "content-type")
        try:
            content = json.loads(self.body)
        except (ValueError, RecursionError):
            raise ApiError(400, "json", "the body is not JSON", "body") from None
        if not isinstance(content, dict):
            raise ApiError(400, "json", "a JSON object is expected", "body")
        return content


@dataclass(frozen=True)
class Reply:
    """An answer: JSON unless it is bytes."""

    body: Any
    status: int = 200
    kind: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)

    def encoded(self) -> bytes:
        """The body as sent."""
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


class ApiError(Exception):
    """An answer other than success, on purpose."""

    def __init__(self, status: int, code: str, message: str, field: str | None = None, **more: Any) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.field, self.more = status, code, message, field, more

    def reply(self) -> Reply:
        """As `{"error": {...}}`."""
        error = {"code": self.code, "message": self.message, "field": self.field}
        headers = {"Retry-After": "10"} if self.status in (429, 503) else {}
        return Reply({"error": error, **self.more}, self.status, headers=headers)


def check_came_from_site(request: Request, site: Site) -> None:
    """Turn away what a page of another site could have made a browser send. Raises ApiError.

    A forged request carries the cookies, but neither our header (only scripts set it, and only for their own origin,
    since nothing here answers a preflight), nor the site's Origin, nor a token that only the site's pages can read.
    Host is checked too: a foreign name that resolves to this address would make a foreign page the same origin.
    """
    if request.headers.get("host", "").lower() != site.netloc.lower():
        raise ApiError(421, "host", f"this is the service of {site.netloc}", "host")
    if request.method in SAFE:
        return
    if request.headers.get(OWN_HEADER) != "1":
        raise ApiError(403, "forged", "the header X-Siaf: 1 is missing", OWN_HEADER)
    if request.headers.get("origin", "") != site.origin:
        raise ApiError(403, "forged", f"only pages of {site.origin} may ask for this", "origin")
    if not request.headers.get("x-csrftoken"):
        raise ApiError(403, "forged", "the header X-CSRFToken is missing", "x-csrftoken")


def as_api_error(error: SiafError) -> ApiError:
    """What siaf and CVAT refuse, as an answer; CVAT's own no keeps its status."""
    if isinstance(error, Refusal):
        if error.status == 401:
            return ApiError(401, "login", "log in to CVAT: it does not know this session (any more)", "cookie")
        status = error.status if error.status in (403, 404) else 422
        return ApiError(status, "refused", str(error), error.field)
    if isinstance(error, Throttled):
        return ApiError(429, "throttled", str(error))
    if isinstance(error, ServerFault):
        return ApiError(502, "cvat", str(error))
    if isinstance(error, Busy):
        return ApiError(409, "busy", str(error))
    if isinstance(error, InputError):
        return ApiError(422, "impossible", error.message, error.field)
    return ApiError(500, "failed", str(error))
