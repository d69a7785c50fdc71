"""Requests that the function refuses: pictures to send, and how an error is read."""

import io
import json
from typing import Any

import numpy as np
from function_client import Client
from PIL import Image

HEIGHT, WIDTH = 72, 96
RNG = np.random.default_rng(5)
PICTURE = Image.fromarray(RNG.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8))
BOX = {"type": "rectangle", "points": [5, 10, 25, 30]}
NAN, INFINITE = float("nan"), float("inf")


def file(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """A picture as an image file."""
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def error_of(client: Client, body: Any, method: str = "POST", path: str = "/") -> tuple[int, str | None]:
    """Status and field of the error that a body gets."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return raw_error(client, data, method, path)


def raw_error(client: Client, data: bytes, method: str = "POST", path: str = "/") -> tuple[int, str | None]:
    """The same for any bytes; every error has a message in words."""
    response = client.raw(method, path, data, "application/json")
    assert response.content_type == "application/json"
    answer = json.loads(response.body)
    assert answer.keys() == {"error"}
    assert answer["error"].keys() == {"code", "message", "field"}
    assert "Traceback" not in response.body
    assert answer["error"]["message"]
    return response.status_code, answer["error"]["field"]
