"""The handler behind uvicorn, for laptops, tests and whoever has no Nuclio; requests become events as Nuclio's do."""

import asyncio
import logging
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qsl
from uuid import uuid4

import nuclio_sdk
import nuclio_sdk.logger
import uvicorn
from nuclio_sdk.event import Event, EventDeserializerKinds

from function.http.asgi import Receive, Scope, Send, check_address, is_loopback, read_body, send_reply
from function.http.messages import ApiError, Busy, Reply, Request, check_parts
from function.main import handler
from function.runtime.impatience import ImpatientProtocol
from function.service import Service
from function.settings import Settings, load_settings

_LOGGER = "siaf"


class App:
    """An ASGI application around a service. As in a Nuclio worker, one event at a time; others wait their turn."""

    def __init__(self, service: Service, settings: Settings) -> None:
        self._settings = settings
        self._context = nuclio_sdk.Context(logger=_logger(settings.log_level), worker_id="0")
        self._context.user_data.service = service
        health = service.health
        self._probes = {"/v2/health/live": health.live, "/v2/health/ready": health.ready}
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="worker")
        self._free = asyncio.Semaphore(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or the server's start and end."""
        if scope["type"] == "lifespan":
            while (await receive())["type"] != "lifespan.shutdown":
                await send({"type": "lifespan.startup.complete"})
            await send({"type": "lifespan.shutdown.complete"})
            return
        try:
            body = await read_body(receive, self._settings.max_body_bytes)
            if body is None:
                return
            reply = await self._answer(scope, body)
        except ApiError as error:
            reply = error.reply()
        await send_reply(reply, send)

    async def _answer(self, scope: Scope, body: bytes) -> Reply:
        if scope["path"].startswith("/__internal/health"):  # as Nuclio's processor
            return Reply("", content_type="text/plain")
        if (probe := self._probes.get(scope["path"])) and scope["method"] == "GET":  # also while the worker works
            return await asyncio.to_thread(probe, Request("GET", scope["path"], b"", {}))
        if scope["method"] == "POST":  # before it becomes objects
            check_parts(body, self._settings.max_parts)
        try:
            await asyncio.wait_for(self._free.acquire(), self._settings.worker_wait_s)
        except TimeoutError:
            raise Busy("the worker is busy") from None
        try:
            event = await asyncio.get_running_loop().run_in_executor(self._worker, make_event, scope, body)
            response = await asyncio.get_running_loop().run_in_executor(self._worker, handler, self._context, event)
        finally:
            self._free.release()
        return Reply(response.body, response.status_code, response.content_type, response.headers)


def make_event(scope: Scope, body: bytes) -> Event:
    """The event that Nuclio's Python wrapper makes of a request: JSON is parsed under exactly one content type."""
    headers = {name.decode("latin-1").title(): value.decode("latin-1") for name, value in scope["headers"]}
    content_type = headers.get("Content-Type", "")
    message = {
        "body": body,
        "content_type": content_type,
        "trigger": {"kind": "http", "name": "serve"},
        "fields": dict(parse_qsl(scope["query_string"].decode("latin-1"))),
        "headers": headers,
        "id": str(uuid4()),
        "method": scope["method"],
        "path": scope["path"],
        "size": len(body),
        "timestamp": int(time.time()),
        "url": "",
        "shard_id": 0,
        "num_shards": 0,
        "type": "",
        "type_version": "",
        "version": "",
    }
    return Event.deserialize(message, EventDeserializerKinds.msgpack)


def _logger(level: str) -> nuclio_sdk.logger.Logger:
    logger = nuclio_sdk.logger.Logger(level.upper(), _LOGGER)
    logger.set_handler("serve", sys.stderr, nuclio_sdk.logger.JSONFormatter())
    for handler_ in logging.getLogger(_LOGGER).handlers:  # Nuclio's logger hands on everything, whatever its level
        handler_.setLevel(level.upper())
    return logger


def serve(host: str, port: int, settings: Settings | None = None) -> None:
    """Serve until stopped; port 0 takes a free one. Raises SiafError for an address or settings that cannot be met."""
    settings = settings or load_settings()
    check_address(host, port, "--host")
    app = App(Service.start(settings), settings)
    if not settings.token and not is_loopback(host):
        logging.getLogger(_LOGGER).warning(f"anybody who reaches {host} may use /v1: set SIAF_TOKEN")
    level = "warning" if settings.log_level == "info" else settings.log_level
    # No access log: paths hold the ids of sessions.
    uvicorn.run(app, host=host, port=port, log_level=level, access_log=False, http=ImpatientProtocol)
