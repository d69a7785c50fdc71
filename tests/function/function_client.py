"""Calls of the function's handler, made as Nuclio makes them."""

import base64
import io
import json
from typing import Any

import nuclio_sdk
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from function.main import handler
from function.serve import make_event
from function.service import Service


def encode(frame: NDArray[np.uint8], kind: str = "PNG") -> bytes:
    """A frame as an image file."""
    out = io.BytesIO()
    Image.fromarray(frame).save(out, kind)
    return out.getvalue()


def base64_of(data: bytes) -> str:
    """As CVAT sends images."""
    return base64.b64encode(data).decode()


class Log:
    """A logger as Nuclio's, that keeps its lines."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def info_with(self, message: str, *args: object, **fields: Any) -> None:
        self.lines.append({"level": "info", "message": message, **fields})

    def error_with(self, message: str, *args: object, **fields: Any) -> None:
        self.lines.append({"level": "error", "message": message, **fields})


class Client:
    """A worker: events in, responses out. `status` and parsed JSON come back."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.log = Log()
        self.context = nuclio_sdk.Context(logger=self.log)
        self.context.user_data.service = service

    def raw(
        self, method: str, path: str, body: bytes = b"", content_type: str = "", headers: dict[str, str] | None = None
    ) -> nuclio_sdk.Response:
        """Any request; the response as Nuclio would get it."""
        lines = {**({"Content-Type": content_type} if content_type else {}), **(headers or {})}
        scope = {
            "method": method,
            "path": path,
            "query_string": b"",
            "headers": [(name.encode(), value.encode()) for name, value in lines.items()],
        }
        response = handler(self.context, make_event(scope, body))
        assert type(response) is nuclio_sdk.Response
        assert all(type(k) is str and type(v) is str for k, v in response.headers.items())
        self._check_documented(method, path, response.status_code)
        return response

    def _check_documented(self, method: str, path: str, status: int) -> None:
        """What a call answers is in the OpenAPI document, in whatever test."""
        known = [route for route in self.service.routes if route.match(path.rstrip("/") or "/") is not None]
        if not known:
            assert status in (404, 413)
            return
        (statuses,) = [[r.status, *r.errors()] for r in known if r.method == method.upper()] or [[405, 413]]
        assert status in statuses, f"{method} {path} answered {status}, which is not in the OpenAPI document"

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """A request with a JSON body; status and parsed answer."""
        data = b"" if body is None else json.dumps(body).encode()
        response = self.raw(method, path, data, "application/json" if body is not None else "", headers)
        assert response.content_type == "application/json"
        return response.status_code, json.loads(response.body)

    def ok(self, method: str, path: str, body: Any = None) -> Any:
        """A request that must succeed; its answer."""
        status, answer = self.call(method, path, body)
        assert 200 <= status < 300, (status, answer, self.log.lines[-2:])
        return answer

    def cvat(self, image: bytes, **body: Any) -> Any:
        """A call as CVAT makes it, which must succeed."""
        return self.ok("POST", "/", {"image": base64_of(image), **body})

    def upload(self, session: str, number: int, image: bytes) -> Any:
        """Put a frame into a session."""
        response = self.raw("PUT", f"/v1/sessions/{session}/frames/{number}", image, "image/png")
        assert response.status_code == 200, response.body
        return json.loads(response.body)
