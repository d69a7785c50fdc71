"""Connections of people who do not mean well: long lists, half a body, nothing at all."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from function_client import Client
from http_worker import StubbornClient, worker

from function.http import asgi
from function.settings import Settings


@pytest.fixture(scope="module")
def port(settings: Callable[..., Settings]) -> Iterator[int]:
    with worker(settings(log_level="error")) as running:
        yield running.port


def test_many_lists_are_refused_before_they_are_made(port: int) -> None:
    body = b'{"image": "", "pos_points": [' + b"[]," * 10**7 + b"[]]}"
    start = time.monotonic()
    status, answer = StubbornClient(port).bytes("POST", "/", body, "application/json")
    assert (status, json.loads(answer)["error"]["field"]) == (413, "body")
    assert time.monotonic() - start < 30


def test_half_a_body_is_not_taken_for_a_whole_one(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"POST /v1/sessions HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\n{}")
    assert StubbornClient(port).json("GET", "/v1/info")["name"] == "siaf"


def test_who_says_nothing_is_not_waited_for() -> None:
    import asyncio

    import function.runtime.impatience as module

    async def closes(words: bytes) -> bool:
        from uvicorn import Config
        from uvicorn.server import ServerState

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await asyncio.sleep(60)

        config = Config(app, lifespan="off", log_level="error")
        config.load()
        loop = asyncio.get_running_loop()
        make = lambda: module.ImpatientProtocol(config=config, server_state=ServerState(), app_state={})  # noqa: E731
        server = await loop.create_server(make, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(words)
        try:
            return await asyncio.wait_for(reader.read(), 2) == b""
        except TimeoutError:
            return False
        finally:
            writer.close()
            server.close()

    kept, module.HEADERS_S = module.HEADERS_S, 0.2
    try:
        for words in (b"", b"GET / HTTP/1.1\r\nHost:"):
            assert asyncio.run(closes(words))
        assert not asyncio.run(closes(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
    finally:
        module.HEADERS_S = kept


def test_a_body_that_does_not_come_is_answered_as_documented(
    client: Client, settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    import asyncio

    import function.serve as module

    monkeypatch.setattr(asgi, "_PART_S", 0.05)
    app = module.App(client.service, settings(log_level="error"))
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return await asyncio.Event().wait()

    for route in client.service.routes:
        sent.clear()
        asyncio.run(app({"type": "http", "method": route.method, "path": route.path, "headers": []}, receive, send))
        assert sent[0]["status"] == 408
        assert 408 in route.errors()
