"""The studio over HTTP: the page's files and its calls, as an ASGI application."""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from http import HTTPStatus
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any
from urllib.parse import parse_qsl

from function.http.asgi import Receive, Scope, Send, read_body, send_reply
from function.http.messages import ApiError, Reply, as_api_error, check_parts
from siaf.errors import Busy, Conflict, SiafError
from siaf.studio.access import HEADERS, SAFE, Access
from siaf.studio.calls import Asked, Calls
from siaf.studio.desk import Desk

_MOST_BYTES, _MOST_PARTS = 64 * 2**20, 4_000_000
_THREADS = 16
_FRAMES = "/api/frames/"
_PICTURE_THREADS = 3
"""Frames have threads of their own: a page that asks for hundreds of them leaves the others free."""
_KINDS = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
    "png": "image/png",
    "json": "application/json",
    "txt": "text/plain; charset=utf-8",
}
log = logging.getLogger("siaf.studio")


class App:
    """An ASGI application for one clip."""

    def __init__(self, calls: Calls, desk: Desk, access: Access) -> None:
        self._calls, self._desk, self._access = calls, desk, access
        self._files = page_files()
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="call")
        self._pictures = ThreadPoolExecutor(_PICTURE_THREADS, thread_name_prefix="picture")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or the server's start and end."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        if scope["type"] != "http":
            return
        try:
            body = await read_body(receive, _MOST_BYTES)
            if body is None:
                return
            answer = asyncio.ensure_future(self._answer(_request(scope, body)))
            if scope["path"].startswith(_FRAMES) and await _left(receive, answer):
                return
            reply = await answer
        except Exception as error:
            reply = _refusal(error)
        headers = {**HEADERS, **reply.headers}
        await send_reply(Reply(reply.body, reply.status, reply.content_type, headers), send)

    async def _live(self, receive: Receive, send: Send) -> None:
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await asyncio.to_thread(self._desk.close)
        for pool in (self._pool, self._pictures):
            pool.shutdown(wait=False, cancel_futures=True)
        await send({"type": "lifespan.shutdown.complete"})

    async def _answer(self, request: Asked) -> Reply:
        self._access.check_host(request)
        if request.path.startswith("/api/"):
            self._access.check_call(request)
            check_parts(request.body, _MOST_PARTS)
            pool = self._pictures if request.path.startswith(_FRAMES) else self._pool
            return await asyncio.get_running_loop().run_in_executor(pool, self._calls.answer, request)
        if request.method not in SAFE:
            raise ApiError(HTTPStatus.METHOD_NOT_ALLOWED, "method", "use GET", "method", {"Allow": "GET"})
        if request.path == "/" and "token" in request.query:
            return self._access.log_in(request.query["token"])
        return self._file(request)

    def _file(self, request: Asked) -> Reply:
        """A file of the page; it holds nothing of the session, so anyone may have it."""
        name = request.path.removeprefix("/") or "index.html"
        if name not in self._files:
            raise ApiError(HTTPStatus.NOT_FOUND, "not_found", "there is no such page", "path")
        content, tag = self._files[name]
        kind = _KINDS[name.rpartition(".")[2]]
        headers = {"ETag": tag, "Cache-Control": "no-cache"}
        if request.header("if-none-match") == tag:
            return Reply(b"", HTTPStatus.NOT_MODIFIED, kind, headers)
        return Reply(content, content_type=kind, headers=headers)


async def _left(receive: Receive, answer: "asyncio.Future[Reply]") -> bool:
    """Wait for an answer; whether the client went away before, as a page does that is scrubbed over a frame. Then the
    answer is not begun any more.
    """
    gone = asyncio.ensure_future(receive())
    either: set[asyncio.Future[Any]] = {answer, gone}
    try:
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        return not answer.done() and answer.cancel()
    finally:
        gone.cancel()


def page_files() -> dict[str, tuple[bytes, str]]:
    """The files of the page by their path, with their content and ETag: nothing else is ever served."""
    found: dict[str, tuple[bytes, str]] = {}

    def collect(folder: Traversable, path: str) -> None:
        for entry in folder.iterdir():
            if entry.is_dir():
                collect(entry, f"{path}{entry.name}/")
            elif entry.name.rpartition(".")[2] in _KINDS:
                content = entry.read_bytes()
                found[path + entry.name] = content, f'"{blake2b(content, digest_size=12).hexdigest()}"'

    web = resources.files("siaf.studio") / "web"
    if web.is_dir():
        collect(web, "")
    return found


def _request(scope: Scope, body: bytes) -> Asked:
    return Asked(
        scope["method"],
        scope["path"],
        body,
        {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]},
        query=dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)),
    )


def _refusal(error: Exception) -> Reply:
    """Whatever went wrong, as an answer."""
    known = as_api_error(error)
    if known is None and isinstance(error, Busy):
        known = ApiError(HTTPStatus.SERVICE_UNAVAILABLE, "busy", str(error), headers={"Retry-After": "1"})
    if known is None and isinstance(error, Conflict):
        known = ApiError(HTTPStatus.CONFLICT, "conflict", str(error))
    if known is None and isinstance(error, SiafError):
        known = ApiError(HTTPStatus.INTERNAL_SERVER_ERROR, "failed", str(error))
    if known is None:
        log.error("%s", error, exc_info=error)
        known = ApiError(HTTPStatus.INTERNAL_SERVER_ERROR, "bug", "see the studio's log")
    return known.reply()
