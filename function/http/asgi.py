"""What servers over ASGI share: bodies as they arrive, replies as they leave, addresses to listen on."""

import asyncio
import ipaddress
import socket
import time
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any

from function.http.messages import ApiError, Reply, too_large
from function.runtime.heap import give_back
from siaf.errors import InputError

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
_PART_S, _BODY_S = 20.0, 300.0
"""How long a server waits for the next part of a body, and for all of it."""
_LARGE = 2**20
"""Bytes of a body from which its memory is given back at once when it does not arrive whole."""


async def read_body(receive: Receive, most: int) -> bytes | None:
    """A request's body of at most `most` bytes; None if the client has gone. What is over the limit is read to its end
    all the same, so that the client hears why. Raises ApiError 408 for a body that does not come, 413 for a large one.
    """
    parts: list[bytes] = []
    size = 0
    until = time.monotonic() + _BODY_S
    while True:
        try:
            message = await asyncio.wait_for(receive(), min(_PART_S, until - time.monotonic()))
        except TimeoutError:
            raise ApiError(
                HTTPStatus.REQUEST_TIMEOUT,
                "timeout",
                "the body did not arrive",
                "body",
                {"Connection": "close"},
            ) from None
        if message["type"] == "http.disconnect":
            if size > _LARGE:
                parts.clear()
                give_back()
            return None
        part = message.get("body", b"")
        size += len(part)
        if size <= most:
            parts.append(part)
        else:
            parts.clear()
        if not message.get("more_body"):
            break
    if size > most:
        raise too_large(f"{size} bytes, at most {most}", "body")
    return b"".join(parts)


async def send_reply(reply: Reply, send: Send) -> None:
    """Send an answer whole."""
    body = reply.body.encode() if isinstance(reply.body, str) else reply.body
    headers = {"content-type": reply.content_type, "content-length": str(len(body)), **reply.headers}
    await send(
        {
            "type": "http.response.start",
            "status": int(reply.status),
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }
    )
    await send({"type": "http.response.body", "body": body})


def check_address(host: str, port: int, field: str) -> None:
    """InputError naming `field` unless it can be listened on: said before a model is loaded."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"cannot listen on {host}, port {port}: {reason}", field=field) from None


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
