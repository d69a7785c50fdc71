"""The service behind uvicorn."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qsl

import uvicorn

from siaf.cvat.service.board import Board
from siaf.cvat.service.calls import Calls
from siaf.cvat.service.http import ApiError, Reply, Request

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_MOST_BYTES = 2**16
_BODY_S = 20.0
_THREADS = 32
"""Calls that wait for CVAT at the same time."""
log = logging.getLogger("siaf.cvat.service")


class App:
    """An ASGI application."""

    def __init__(self, calls: Calls, board: Board) -> None:
        self._calls, self._board = calls, board
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="call")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or the server's start and end."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        if scope["type"] != "http":
            return
        try:
            body = await _body(receive)
            if body is None:
                return
            request = Request(
                scope["method"],
                scope["path"],
                dict(parse_qsl(scope["query_string"].decode("latin-1"))),
                {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]},
                body,
            )
            if scope["path"] == "/siaf/health/live":  # also while every thread waits for CVAT
                reply = self._calls.answer(request)
            else:
                reply = await asyncio.get_running_loop().run_in_executor(self._pool, self._calls.answer, request)
        except ApiError as error:
            reply = error.reply()
        except Exception as error:
            log.exception("%s", error)
            reply = ApiError(500, "bug", "see the service's log").reply()
        await _send(reply, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await asyncio.to_thread(self._board.close)
        self._pool.shutdown(wait=False, cancel_futures=True)
        await send({"type": "lifespan.shutdown.complete"})


def make_server(app: App, host: str, port: int) -> uvicorn.Server:
    """A server that is still to be run. No access log: proxies have one."""
    return uvicorn.Server(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=30,
        )
    )


async def _body(receive: Receive) -> bytes | None:
    """A request's body, None if the client has gone. Raises ApiError."""
    body = bytearray()
    while True:
        try:
            message = await asyncio.wait_for(receive(), _BODY_S)
        except TimeoutError:
            raise ApiError(408, "timeout", "the body did not arrive", "body") from None
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if len(body) > _MOST_BYTES:
            raise ApiError(413, "too_large", f"more than {_MOST_BYTES} bytes", "body")
        if not message.get("more_body"):
            return bytes(body)


async def _send(reply: Reply, send: Send) -> None:
    body = reply.encoded()
    headers = {"content-type": reply.kind, "content-length": str(len(body)), **reply.headers}
    await send(
        {
            "type": "http.response.start",
            "status": reply.status,
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        }
    )
    await send({"type": "http.response.body", "body": body})
