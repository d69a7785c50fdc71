"""What a cheap request must not do: cost much, hang, or spoil somebody else's work."""

import gc
import io
import json
import os
import socket
import stat
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from function_client import Client, base64_of, encode
from http_worker import StubbornClient, worker
from numpy.typing import NDArray
from PIL import Image
from redis_server import redis_server
from worst import calls, crafted_images

from function.http import asgi
from function.http.asgi import is_loopback
from function.http.messages import ApiError
from function.settings import Settings
from function.state.tokens import Token, Tokens
from function.store import FileStore, Store, open_store
from function.store.base import Unavailable
from siaf.errors import InputError
from siaf.masks import decode_rle

HEIGHT, WIDTH = 72, 96
REQUESTS = int(os.environ.get("FUZZ_EXAMPLES", "300"))
Frames = NDArray[np.uint8]


def error_of(client: Client, body: Any) -> tuple[int, str]:
    status, answer = client.call("POST", "/", body)
    return status, answer.get("error", {}).get("field")


class TestScans:
    """A progressive JPEG whose scans are repeated."""

    @staticmethod
    def jpeg(repeats: int) -> bytes:
        out = io.BytesIO()
        Image.effect_noise((WIDTH, HEIGHT), 60).convert("RGB").save(out, "JPEG", progressive=True)
        data = out.getvalue()
        last = data.rindex(b"\xff\xda")
        return data[:last] + data[last:-2] * repeats + data[-2:]

    @pytest.mark.parametrize(("repeats", "status"), [(1, 200), (60, 200), (200, 413)])
    def test_a_hundred_are_enough(self, client: Client, repeats: int, status: int) -> None:
        body = {"image": base64_of(self.jpeg(repeats)), "pos_points": [[5, 5]]}
        assert error_of(client, body) == (status, None if status == 200 else "image")


class TestObjects:
    """Objects × pixels."""

    def test_many_boxes_on_a_large_picture_are_refused(self, start: Callable[..., Client], jpegs: list[bytes]) -> None:
        client = start(max_object_pixels=3 * HEIGHT * WIDTH)
        boxes = [corner for i in range(4) for corner in ([5 + i, 5], [30 + i, 30])]
        body = {"image": base64_of(jpegs[0]), "pos_points": [], "obj_bbox": boxes}
        assert error_of(client, body) == (413, "obj_bbox")
        assert error_of(client, {**body, "obj_bbox": boxes[:6]})[0] == 200

    @pytest.mark.parametrize("extra", [{}, {"tag": 1, "frame": 0, "frames": 2}])
    def test_and_many_polygons(self, start: Callable[..., Client], jpegs: list[bytes], extra: dict[str, int]) -> None:
        client = start(max_object_pixels=3 * HEIGHT * WIDTH)
        shape = {"type": "polygon", "points": [5, 5, 30, 5, 30, 30], **extra}
        assert error_of(client, {"image": base64_of(jpegs[0]), "shapes": [shape] * 4}) == (413, "shapes")
        assert error_of(client, {"image": base64_of(jpegs[0]), "shapes": [shape] * 3})[0] == 200

    def test_forty_polygons_at_4k_take_next_to_nothing(self, start: Callable[..., Client]) -> None:
        client = start(max_object_pixels=40 * 3840 * 2160)
        picture = encode(np.zeros((2160, 3840, 3), np.uint8))
        shapes = [{"type": "polygon", "points": [5 + i, 5, 1500, 5 + i, 1500, 1500]} for i in range(40)]
        tracemalloc.start()
        try:
            first = client.cvat(picture, shapes=shapes)
            gc.collect()
            assert tracemalloc.get_traced_memory()[0] < 8 * 2**20  # as much as one bitmap
        finally:
            tracemalloc.stop()
        assert list(client.service._tracker._tracks._live) == [first["states"][0]["revision"]]

    def test_masks_of_large_pictures_are_not_kept_for_long(self, start: Callable[..., Client]) -> None:
        client = start()
        tracks = client.service._tracker._tracks
        pictures = [encode(np.full((3000, 4000, 3), value, np.uint8)) for value in range(8)]
        states = client.cvat(pictures[0], shapes=[{"type": "rectangle", "points": [5, 5, 300, 300]}])["states"]
        for picture in pictures:
            states = client.cvat(picture, shapes=[None], states=states)["states"]
        masks = [kept.track.mask for kept in tracks._live.values() if kept.track.mask is not None]
        assert len(masks) > 1
        assert sum(mask.nbytes for mask in masks) <= 64 * 2**20
        assert client.cvat(pictures[0], shapes=[None], states=states)["states"]

    @pytest.mark.parametrize("box", [[], [[0, 0], [400, 400]]])
    def test_a_mask_is_no_larger_than_a_request_may_be(
        self, start: Callable[..., Client], box: list[list[float]]
    ) -> None:
        """A picture that is too large in any case, and one of which the object is."""
        picture = base64_of(encode(np.zeros((400, 400, 3), np.uint8)))
        body = {"image": picture, "pos_points": [] if box else [[200, 200]], "obj_bbox": box}
        most = 3 * 400 * 400 if box else 2 * 400 * 400 - 1
        status, answer = start(max_body_bytes=most, interactor_reply="mask").call("POST", "/", body)
        assert status == 413
        assert answer["error"]["field"] == "image"
        assert "SIAF_MAX_BODY_BYTES" in answer["error"]["message"]
        assert start(max_body_bytes=most, interactor_reply="shapes").call("POST", "/", body)[0] == 200
        assert start(max_body_bytes=4 * 400 * 400, interactor_reply="mask").call("POST", "/", body)[0] == 200


class TestForeignSession:
    """A session that somebody made of the same pixels."""

    def test_one_of_another_size_cannot_bind_a_frame(self, start: Callable[..., Client], jpegs: list[bytes]) -> None:
        client = start()
        own = client.ok("POST", "/v1/sessions", {"frames": 1, "width": WIDTH, "height": HEIGHT})["id"]
        digest = client.upload(own, 0, jpegs[0])["digest"]
        other = client.ok("POST", "/v1/sessions", {"frames": 1, "width": 10, "height": 10})["id"]
        body = {"digests": [{"frame": 0, "digest": digest}]}
        assert client.ok("POST", f"/v1/sessions/{other}/frames/missing", body)["missing"] == [0]
        twin = client.ok("POST", "/v1/sessions", {"frames": 1, "width": WIDTH, "height": HEIGHT})["id"]
        assert client.ok("POST", f"/v1/sessions/{twin}/frames/missing", body)["missing"] == []

    @pytest.mark.parametrize("spoil", ["record", "state", "size"])
    def test_whatever_is_wrong_with_it_the_click_is_answered(
        self, start: Callable[..., Client], jpegs: list[bytes], spoil: str
    ) -> None:
        client = start(interactor_reply="shapes")
        session = client.ok("POST", "/v1/sessions", {"frames": 1, "width": WIDTH, "height": HEIGHT})["id"]
        client.upload(session, 0, jpegs[0])
        round_ = {"revision": 0, "scribbles": [{"frame": 0, "strokes": [{"tag": 7, "points": [[15, 20]]}]}]}
        client.ok("POST", f"/v1/sessions/{session}/rounds", round_)
        store, key = client.service._store, f"session/{session}/record"
        record = json.loads(store.get(key))
        client.service._sessions._live.clear()
        if spoil == "record":
            store.put(key, b"{}", 60)
        elif spoil == "state":
            store.put(record["state"], b"no state", 60)
        else:
            store.put(key, json.dumps({**record, "width": 10, "height": 10}).encode(), 60)
        (shape,) = client.cvat(jpegs[0], pos_points=[[15, 20]], neg_points=[])["shapes"]
        assert "tag" not in shape

    def test_a_part_of_a_frame_is_looked_at_alone(self, start: Callable[..., Client], jpegs: list[bytes]) -> None:
        """What CVAT sends of a region of interest: a cut-out, JPEG pictures compressed anew."""
        client = start()
        session = client.ok("POST", "/v1/sessions", {"frames": 1, "width": WIDTH, "height": HEIGHT})["id"]
        client.upload(session, 0, jpegs[0])
        round_ = {"revision": 0, "scribbles": [{"frame": 0, "strokes": [{"tag": 7, "points": [[15, 20]]}]}]}
        client.ok("POST", f"/v1/sessions/{session}/rounds", round_)
        left, top, right, bottom = region = (4, 6, 60, 50)
        packed = io.BytesIO()
        Image.open(io.BytesIO(jpegs[0])).crop(region).save(packed, "JPEG")
        click = [[15 - left, 20 - top]]
        (shape,) = client.cvat(packed.getvalue(), pos_points=click, neg_points=[])["shapes"]
        assert "tag" not in shape
        mask = decode_rle(shape["points"], height=bottom - top, width=right - left)
        assert mask[20 - top, 15 - left]
        (whole,) = client.cvat(jpegs[0], pos_points=[[15, 20]], neg_points=[])["shapes"]
        assert whole["tag"] == 7

    def test_sharing_can_be_turned_off(self, start: Callable[..., Client], jpegs: list[bytes]) -> None:
        client = start(share_frames=False, interactor_reply="shapes")
        session = client.ok("POST", "/v1/sessions", {"frames": 1, "width": WIDTH, "height": HEIGHT})["id"]
        digest = client.upload(session, 0, jpegs[0])["digest"]
        round_ = {"revision": 0, "scribbles": [{"frame": 0, "strokes": [{"tag": 7, "points": [[15, 20]]}]}]}
        client.ok("POST", f"/v1/sessions/{session}/rounds", round_)
        (shape,) = client.cvat(jpegs[0], pos_points=[[15, 20]], neg_points=[])["shapes"]
        assert "tag" not in shape
        twin = client.ok("POST", "/v1/sessions", {"frames": 1, "width": WIDTH, "height": HEIGHT})["id"]
        body = {"digests": [{"frame": 0, "digest": digest}]}
        assert client.ok("POST", f"/v1/sessions/{twin}/frames/missing", body)["missing"] == [0]


def test_replicas_agree_again_after_redis_has_lost_its_data() -> None:
    """One of them is restarted before the other asks."""
    token = Token("s", 1, 0, "r")
    with redis_server() as url:
        stores: list[Store] = [open_store(url, 2**20) for _ in range(2)]
        stays, restarts = Tokens(stores[0]), Tokens(stores[1])
        restarts.read(stays.sign(token), "states[0]")
        stores[0].delete("secret")
        restarted = Tokens(stores[1])
        assert stays.read(restarted.sign(token), "states[0]") == token
        assert restarted.read(stays.sign(token), "states[0]") == token
        signed = stays.sign(token)
        stores[0].delete("secret")  # and where nobody was restarted, the old one comes back
        assert restarted.read(signed, "states[0]") == token
        with pytest.raises(ApiError):
            restarted.read({**signed, "tag": 2}, "states[0]")


class TestFolder:
    """A store in a folder that others can reach."""

    def test_a_folder_that_was_removed_is_made_again(self, tmp_path: Path) -> None:
        import shutil

        store = FileStore(str(tmp_path / "store"), 2**20)
        store.put("a/b", b"x", 60)
        shutil.rmtree(tmp_path / "store")
        assert store.get("a/b") is None
        with store.lock("l", 1):
            store.put("a/b", b"y", 60)
        assert store.get("a/b") == b"y"
        shutil.rmtree(tmp_path / "store")
        store.sweep()
        store.delete("a/b")
        assert store.touch(["a/b"], 60) == [False]

    def test_one_that_cannot_be_made_again_is_unavailable(self, tmp_path: Path) -> None:
        import shutil

        store = FileStore(str(tmp_path / "store"), 2**20)
        shutil.rmtree(tmp_path / "store")
        (tmp_path / "store").write_text("in the way")
        for call in (lambda: store.put("a", b"x", 60), lambda: store.swap("a", None, b"x", 60)):
            with pytest.raises(Unavailable):
                call()

    def test_empty_folders_leave(self, tmp_path: Path) -> None:
        store = FileStore(str(tmp_path), 2**20)
        store.put("a/b/c", b"x", 0.01)
        store.put("a/d", b"x", 60)
        time.sleep(0.05)
        store.sweep()
        assert [p.name for p in (tmp_path / "data").rglob("*")] == ["a", "d"]

    @pytest.mark.parametrize("spoil", [lambda d: d[:-1], lambda d: d[:-1] + b"?", lambda d: b"", lambda d: d[9:]])
    def test_a_damaged_entry_is_absent(self, tmp_path: Path, spoil: Callable[[bytes], bytes]) -> None:
        store = FileStore(str(tmp_path), 2**20)
        store.put("a", b"some bytes", 60)
        path = tmp_path / "data" / "a"
        times = path.stat().st_atime, path.stat().st_mtime
        path.write_bytes(spoil(path.read_bytes()))
        os.utime(path, times)
        assert store.get("a") is None
        assert store.swap("a", None, b"new", 60)
        assert store.get("a") == b"new"

    def test_nobody_else_may_read_it(self, tmp_path: Path) -> None:
        store = FileStore(str(tmp_path / "store"), 2**20)
        store.put("a/b", b"x", 60)
        with store.lock("l", 1):
            pass
        for path in (tmp_path / "store").rglob("*"):
            assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path

    def test_no_request_waits_for_a_sweep(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        store, swept, go = FileStore(str(tmp_path), 2**20), threading.Event(), threading.Event()
        monkeypatch.setattr(store, "_sweep", lambda: (go.wait(10), swept.set()))
        store._swept = -1e9
        store.put("a", b"x", 60)
        assert not swept.is_set()
        go.set()
        assert swept.wait(10)


@pytest.fixture(scope="module")
def port(settings: Callable[..., Settings]) -> Iterator[int]:
    with worker(settings(log_level="error")) as running:
        yield running.port


class TestServer:
    """Connections of people who do not mean well."""

    def test_many_lists_are_refused_before_they_are_made(self, port: int) -> None:
        body = b'{"image": "", "pos_points": [' + b"[]," * 10**7 + b"[]]}"
        start = time.monotonic()
        status, answer = StubbornClient(port).bytes("POST", "/", body, "application/json")
        assert (status, json.loads(answer)["error"]["field"]) == (413, "body")
        assert time.monotonic() - start < 30

    def test_half_a_body_is_not_taken_for_a_whole_one(self, port: int) -> None:
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(b"POST /v1/sessions HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\n{}")
        assert StubbornClient(port).json("GET", "/v1/info")["name"] == "siaf"

    def test_who_says_nothing_is_not_waited_for(self) -> None:
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


@pytest.mark.parametrize(("host", "own"), [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False)])
def test_only_this_machine_needs_no_token(
    host: str,
    own: bool,
    settings: Callable[..., Settings],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import function.serve as module

    monkeypatch.setattr(module.uvicorn, "run", lambda *args, **kwargs: None)
    idle = SimpleNamespace(health=SimpleNamespace(live=None, ready=None))
    monkeypatch.setattr(module.Service, "start", lambda settings: idle)
    monkeypatch.setattr(module, "check_address", lambda host, port, field: None)  # not every machine has IPv6
    for token, warned in ((None, not own), ("swordfish", False)):
        module.serve(host, 0, settings(token=token))
        assert ("set SIAF_TOKEN" in capsys.readouterr().err) == warned
    assert is_loopback(host) == own


def test_an_address_that_cannot_be_had_is_named_before_a_model_is_loaded(settings: Callable[..., Settings]) -> None:
    import function.serve as module

    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(InputError, match="--host: cannot listen"):
        module.serve("127.0.0.1", taken.getsockname()[1], settings(weights=Path("nope")))
    with pytest.raises(InputError, match=r"--host: cannot listen on no\.such\.host\.invalid, port 8080"):
        module.serve("no.such.host.invalid", 8080, settings(weights=Path("nope")))


def test_no_line_of_the_log_has_all_of_a_session_s_id(start: Callable[..., Client], jpegs: list[bytes]) -> None:
    client = start()
    session = client.ok("POST", "/v1/sessions", {"frames": 1, "width": WIDTH, "height": HEIGHT})["id"]
    client.upload(session, 0, jpegs[0])
    client.cvat(jpegs[0], shapes=[{"type": "rectangle", "points": [5, 10, 25, 30]}])
    assert session not in json.dumps(client.log.lines)
    assert session[:8] in json.dumps(client.log.lines)
    assert all(len(line["session"] or "") <= 8 for line in client.log.lines)


def test_the_document_says_what_the_mask_holds(client: Client, jpegs: list[bytes]) -> None:
    paths = client.ok("GET", "/v1/openapi.json")["paths"]
    reply = paths["/"]["post"]["responses"]["200"]["content"]["application/json"]["schema"]["anyOf"][0]
    allowed = reply["properties"]["mask"]["items"]["items"]["enum"]
    assert set(np.unique(client.cvat(jpegs[0], pos_points=[[15, 20]])["mask"])) <= set(allowed)


def test_malformed_requests_are_answered_in_words(client: Client) -> None:
    """The short form of `tests/function/worst.py`, which also measures."""
    session = f"/v1/sessions/{client.ok('POST', '/v1/sessions', {'frames': 4, 'width': WIDTH, 'height': HEIGHT})['id']}"
    assert len(list(crafted_images())) >= 95
    pictures = 0
    heavy = ("many ", "a click on 40", "8 boxes on 40", "255 boxes on 40", "image: PNG of", "frame: PNG of")
    count = 0
    for what, method, path, data in calls(session, b""):
        if what.startswith(heavy):
            continue
        if what.startswith("image: "):
            pictures += 1
            if pictures % 4:  # a click takes its time; as frames of a session all of them come
                continue
        response = client.raw(method, path, data, "application/json" if method == "POST" else "")
        assert response.status_code < 500, (what, client.log.lines[-2:])
        count += 1
        if count == REQUESTS:
            break
