"""Requests, replies and errors, apart from how they travel."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from siaf.errors import InputError
from siaf.frames.images import ImageError, ImageTooLarge


@dataclass(frozen=True)
class Request:
    """One HTTP request. `body` is what Nuclio makes of it: parsed JSON, or bytes where it did not or could not."""

    method: str
    path: str
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    id: str = ""
    size: int | None = None
    """Bytes of the body as it came."""

    def header(self, name: str) -> str | None:
        """A header's value, whatever the case of its name."""
        return next((str(v) for k, v in self.headers.items() if k.lower() == name.lower()), None)

    def json(self) -> Any:
        """The body as JSON. Raises ApiError 400 if it is empty or no JSON."""
        if not isinstance(self.body, bytes | bytearray):
            if self.body is None:
                raise ApiError(HTTPStatus.BAD_REQUEST, "empty", "the body is empty; JSON is expected", "body")
            return self.body
        if not self.body:
            raise ApiError(HTTPStatus.BAD_REQUEST, "empty", "the body is empty; JSON is expected", "body")
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError) as error:
            reason = str(error) or type(error).__name__
            raise ApiError(HTTPStatus.BAD_REQUEST, "json", f"the body is not JSON: {reason[:200]}", "body") from None

    def bytes(self) -> bytes:
        """The body as it came. Raises ApiError 400 if it is empty, 415 if it came as JSON."""
        if isinstance(self.body, bytes | bytearray):
            if self.body:
                return bytes(self.body)
        elif self.body is not None:
            raise ApiError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "media", "raw bytes are expected, not JSON", "body")
        raise ApiError(HTTPStatus.BAD_REQUEST, "empty", "the body is empty", "body")


@dataclass(frozen=True)
class Reply:
    """An answer: JSON text or, for states, bytes."""

    body: str | bytes
    status: int = 200
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)


class ApiError(Exception):
    """An answer other than success, on purpose."""

    def __init__(
        self,
        status: HTTPStatus,
        code: str,
        message: str,
        field: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.field = status, code, message, field
        self.headers = headers or {}

    def reply(self) -> Reply:
        """As `{"error": {...}}`."""
        body = {"error": {"code": self.code, "message": self.message, "field": self.field}}
        return Reply(json.dumps(body), self.status, headers=self.headers)


class Busy(ApiError):
    """Somebody else is at it, or the store is away: the same request may succeed in a moment."""

    def __init__(self, message: str) -> None:
        super().__init__(HTTPStatus.SERVICE_UNAVAILABLE, "busy", message, headers={"Retry-After": "1"})


def bad_request(message: str, field: str) -> ApiError:
    """400: not what this call takes."""
    return ApiError(HTTPStatus.BAD_REQUEST, "bad_request", message, field)


def impossible(message: str, field: str) -> ApiError:
    """422: well-formed, but it cannot be."""
    return ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, "impossible", message, field)


def too_large(message: str, field: str) -> ApiError:
    """413: over a limit."""
    return ApiError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large", message, field)


def not_found(message: str, field: str) -> ApiError:
    """404: unknown or expired."""
    return ApiError(HTTPStatus.NOT_FOUND, "not_found", message, field)


def stale(message: str, field: str = "revision") -> ApiError:
    """409: the session is not what the caller thinks it is."""
    return ApiError(HTTPStatus.CONFLICT, "stale", message, field)


def check_parts(body: bytes, most: int) -> None:
    """ApiError 413 if JSON has more lists, objects and keys than any call needs: in Python they take far more room."""
    parts = body.count(b"[") + body.count(b"{") + body.count(b":")
    if parts > most:
        raise too_large(f"{parts} lists, objects and keys, at most {most}", "body")


@contextmanager
def request_fields(**names: str) -> Iterator[None]:
    """What siaf calls by the name of an argument is named as the request has it: `picture="image"`."""
    try:
        yield
    except InputError as error:
        argument = error.field.split("[")[0].split(".")[0]
        if argument in names:
            error.field = names[argument] + error.field.removeprefix(argument)
            error.args = (f"{error.field}: {error.message}",)
        raise


def as_api_error(error: Exception) -> ApiError | None:
    """What siaf raises on purpose as an answer; None for anything else, which is a bug."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, ImageTooLarge):
        return too_large(error.message, error.field)
    if isinstance(error, ImageError):
        return ApiError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "not_an_image", error.message, error.field)
    if isinstance(error, InputError):
        return impossible(error.message, error.field)
    return None
