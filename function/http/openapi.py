"""The OpenAPI document, made from the route table and the pydantic models; `docs/openapi.json` is a copy of it."""

import json
import re
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from function.http.routing import BINARY, TEXT, Content, Route
from function.http.schemas import ErrorReply

_REASONS = {
    400: "not what this call takes",
    401: "the token is missing or wrong",
    404: "unknown or expired",
    408: "the body did not arrive in time (`siaf serve`)",
    409: "not the revision, or not the frames, that the caller thinks",
    413: "over a limit",
    415: "not an image that can be read",
    422: "well-formed but impossible",
    500: "a bug: the log has more under the X-Request-Id of the answer",
    503: "busy; try again",
}
_PARAMETERS = {
    "session": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
    "frame": {"type": "integer", "minimum": 0},
    "tag": {"type": "integer", "minimum": 1, "maximum": 255},
}


def document(routes: list[Route], version: str) -> dict[str, Any]:
    """OpenAPI 3.1 of all routes."""
    used = {c for r in routes for c in (r.takes, r.gives) if isinstance(c, type) and issubclass(c, BaseModel)} | {
        ErrorReply
    }
    ordered = sorted(used, key=lambda model: model.__name__)
    _, schemas = models_json_schema(
        [(model, "validation") for model in ordered], ref_template="#/components/schemas/{model}"
    )
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "SIAF",
            "version": version,
            "description": (
                "Interactive video object segmentation: rounds of scribbles and masks on many frames."
                " A path that is not here is answered 404, another method of one that is, 405."
            ),
        },
        "paths": paths,
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def render(doc: dict[str, Any]) -> str:
    """The text of `docs/openapi.json`."""
    return json.dumps(doc, indent=1, ensure_ascii=False) + "\n"


def _operation(route: Route) -> dict[str, Any]:
    names = re.findall(r"{(\w+)}", route.path)
    operation: dict[str, Any] = {"operationId": route.name, "summary": route.summary}
    if names:
        operation["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": _PARAMETERS[name]} for name in names
        ]
    if route.takes is not None:
        operation["requestBody"] = {"required": True, "content": _content(route.takes)}
    error = {"$ref": "#/components/schemas/ErrorReply"}
    operation["responses"] = {
        str(route.status): {"description": "done", "content": _content(route.gives)},
        **{
            str(status): {"description": _REASONS[status], "content": {"application/json": {"schema": error}}}
            for status in route.errors()
        },
    }
    operation["security"] = [] if route.open else [{"token": []}, {}]
    return operation


def _content(kind: Content) -> dict[str, Any]:
    if kind is BINARY:
        return {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
    if kind is TEXT:
        return {"text/plain": {"schema": {"type": "string"}}}
    if isinstance(kind, dict):
        return {"application/json": {"schema": kind}}
    assert isinstance(kind, type)
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{kind.__name__}"}}}
