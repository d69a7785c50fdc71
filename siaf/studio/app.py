"""The studio over HTTP: the page's files and its calls, as an ASGI application."""

import asyncio
import html
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
from siaf.studio.calls import Asked
from siaf.studio.clip import Unopened
from siaf.studio.rooms import Rooms

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
    """An ASGI application for what `rooms` has open."""

    def __init__(self, rooms: Rooms, access: Access) -> None:
        self._rooms, self._access = rooms, access
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
        number, path = self._rooms.split(scope["path"])
        try:
            body = await read_body(receive, _MOST_BYTES)
            if body is None:
                return
            answer = asyncio.ensure_future(self._answer(number, _request(scope, path, body)))
            if path.startswith(_FRAMES) and await _left(receive, answer):
                return
            reply = await answer
        except Exception as error:
            known = _refusal(error)
            reply = known.reply() if number is None or path != "/" else problem_page(number, known)
        headers = {**HEADERS, **reply.headers}
        await send_reply(Reply(reply.body, reply.status, reply.content_type, headers), send)

    async def _live(self, receive: Receive, send: Send) -> None:
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await asyncio.to_thread(self._rooms.close)
        for pool in (self._pool, self._pictures):
            pool.shutdown(wait=False, cancel_futures=True)
        await send({"type": "lifespan.shutdown.complete"})

    async def _answer(self, number: int | None, request: Asked) -> Reply:
        self._access.check_host(request)
        if request.path.startswith("/api/"):
            self._access.check_call(request)
            check_parts(request.body, _MOST_PARTS)
            pool = self._pictures if request.path.startswith(_FRAMES) else self._pool
            return await asyncio.get_running_loop().run_in_executor(pool, self._call, number, request)
        if request.method not in SAFE:
            raise ApiError(HTTPStatus.METHOD_NOT_ALLOWED, "method", "use GET", "method", {"Allow": "GET"})
        if request.path == "/" and "token" in request.query:
            return self._access.log_in(request.query["token"])
        if request.path == "/" and number is not None:  # whoever follows a link hears here why it leads nowhere
            self._access.check_token(request)
            await asyncio.get_running_loop().run_in_executor(self._pool, self._rooms.enter, number)
            return self._file(request, "index.html")
        if request.path == "/":
            return self._file(request, self._rooms.start)
        if number is None and self._rooms.split(f"{request.path}/")[0] is not None:  # the page's addresses are relative
            return Reply("", HTTPStatus.SEE_OTHER, "text/plain", {"Location": f"{request.path.rpartition('/')[2]}/"})
        return self._file(request, request.path.removeprefix("/"))

    def _call(self, number: int | None, request: Asked) -> Reply:
        room = self._rooms.enter(number)
        if room is None:
            raise ApiError(HTTPStatus.NOT_FOUND, "not_found", "calls are of a job, as /jobs/42/api/session", "path")
        return room.calls.answer(request)

    def _file(self, request: Asked, name: str) -> Reply:
        """A file of the page; it holds nothing of the session, so anyone may have it."""
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


def _request(scope: Scope, path: str, body: bytes) -> Asked:
    return Asked(
        scope["method"],
        path,
        body,
        {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]},
        query=dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)),
    )


def _refusal(error: Exception) -> ApiError:
    """Whatever went wrong, as an answer."""
    if isinstance(error, Unopened):
        return ApiError(HTTPStatus(error.status), "unopened", error.message, error.field)
    if isinstance(error, Busy):
        return ApiError(HTTPStatus.SERVICE_UNAVAILABLE, "busy", str(error), headers={"Retry-After": "1"})
    if isinstance(error, Conflict):
        return ApiError(HTTPStatus.CONFLICT, "conflict", str(error))
    known = as_api_error(error)
    if known is None and isinstance(error, SiafError):
        known = ApiError(HTTPStatus.INTERNAL_SERVER_ERROR, "failed", str(error))
    if known is None:
        log.error("%s", error, exc_info=error)
        known = ApiError(HTTPStatus.INTERNAL_SERVER_ERROR, "bug", "see the studio's log")
    return known


def problem_page(number: int, error: ApiError) -> Reply:
    """Why a job is not open, for whoever followed a link to it."""
    title, message = f"Job {number} is not open", error.message
    if error.field and error.field.startswith("job "):
        message = f"{error.field}: {message}"
    page = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title} – SIAF studio</title>'
        '<link rel="icon" href="icon.svg" type="image/svg+xml"><link rel="stylesheet" href="theme.css">'
        '<link rel="stylesheet" href="start.css"></head><body class="plain"><main>'
        f'<h1>{title}</h1><p role="alert">{html.escape(message)}</p>'
        '<p><a href="../../">Open another job</a></p></main></body></html>'
    )
    headers = {"Cache-Control": "no-store", **error.headers}
    return Reply(page, error.status, "text/html; charset=utf-8", headers)
