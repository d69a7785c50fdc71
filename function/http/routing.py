"""Which call is answered by what: a table that the handler looks up and the OpenAPI document is made from."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from function.http.messages import ApiError, Reply, Request, bad_request
from function.runtime.timing import phase

BINARY = "binary"
TEXT = "text"
Content = type[BaseModel] | dict[str, Any] | str
"""A body: a model, a JSON schema, or one of the two words above."""

Body = TypeVar("Body", bound=BaseModel)


@dataclass(frozen=True)
class Route:
    """A call. `path` has named parts in braces; `answer` gets the request and those parts."""

    method: str
    path: str
    name: str
    summary: str
    answer: Callable[..., Reply]
    gives: Content
    takes: Content | None = None
    status: int = 200
    open: bool = False
    also: tuple[int, ...] = field(default=())

    def errors(self) -> list[int]:
        """Statuses other than success that it may answer, whoever asks and with whatever body."""
        codes = {408, 413, 500, 503, *self.also}
        if not self.open:
            codes.add(401)
        if "{" in self.path:  # a session, which may have expired, or have a state that is of other weights
            codes |= {404, 422}
        if self.takes is not None:
            codes |= {400, 413, 422}
        return sorted(codes)

    def match(self, path: str) -> dict[str, str] | None:
        """Named parts of `path`, or None if this is not its route."""
        found = re.fullmatch(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", self.path), path)
        return found.groupdict() if found else None


def find(routes: list[Route], request: Request) -> tuple[Route, dict[str, str]]:
    """The route of a request. Raises ApiError 404 or 405."""
    path = request.path.rstrip("/") or "/"
    allowed = []
    for route in routes:
        parts = route.match(path)
        if parts is not None:
            if route.method == request.method.upper():
                return route, parts
            allowed.append(route.method)
    if allowed:
        raise ApiError(
            HTTPStatus.METHOD_NOT_ALLOWED,
            "method",
            f"use {' or '.join(allowed)}",
            "method",
            {"Allow": ", ".join(allowed)},
        )
    raise ApiError(HTTPStatus.NOT_FOUND, "not_found", "there is no such call", "path")


def parse(model: type[Body], request: Request) -> Body:
    """The JSON body as a model. Raises ApiError 400 naming the first field that does not fit."""
    value = request.json()
    if not isinstance(value, dict):
        raise bad_request(f"a JSON object is expected, not {_kind(value)}", "body")
    try:
        with phase("decode"):
            return model.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        raise bad_request(first["msg"], field_name(first["loc"])) from None


def field_name(location: tuple[int | str, ...]) -> str:
    """`("scribbles", 0, "frame")` → `scribbles[0].frame`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return text.lstrip(".") or "body"


def _kind(value: object) -> str:
    names = {list: "a list", str: "a string", bool: "true or false", int: "a number", float: "a number"}
    return names.get(type(value), "that")
