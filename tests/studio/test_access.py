"""Who may ask the studio."""

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
from studio_client import FIRST, Page, Studio, free_port, studio_on

from function.http.messages import ApiError, Request
from siaf.errors import InputError
from siaf.model.loaded import Model
from siaf.studio import app
from siaf.studio.access import Access
from siaf.studio.holding import HELD_S, Holder
from siaf.studio.server import Door

BODY = json.dumps({"revision": 0, "scribbles": [{"frame": 1, "strokes": [FIRST]}]}).encode()
FORGED = [
    ({"Origin": "https://evil.example"}, 403, "forged"),
    ({"Origin": "http://127.0.0.1:1"}, 403, "forged"),
    ({"Origin": "null"}, 403, "forged"),
    ({"Origin": None}, 403, "forged"),
    ({"X_Siaf": None}, 403, "forged"),
    ({"Sec_Fetch_Site": "cross-site"}, 403, "forged"),
    ({"Content_Type": "text/plain"}, 415, "media"),
    ({"Content_Type": None}, 415, "media"),
    ({"X_Siaf_Tab": None}, 400, "bad_request"),
    ({"X_Siaf_Tab": "other"}, 423, "readonly"),
    ({"Host": "rebound.example"}, 421, "host"),
    ({"Host": None}, 421, "host"),
]


@pytest.mark.parametrize(("changed", "status", "code"), FORGED, ids=lambda value: str(value))
def test_what_another_page_could_send_is_refused(
    page: Page, changed: dict[str, str | None], status: int, code: str
) -> None:
    headers = {"Content_Type": "application/json", **changed}
    if headers.get("Host", "") is None:
        page.headers["Connection"] = "close"
    got, _, content = page.send("POST", "/api/rounds", BODY, **headers)
    if got == 400 and not content.startswith(b"{"):  # without a Host the server itself says no
        assert changed == {"Host": None}
        return
    assert (got, json.loads(content)["error"]["code"]) == (status, code)
    assert page.get("session")["rounds"] == 0


@pytest.mark.parametrize("call", ["session", "masks?frames=1", "progress"])
def test_looking_needs_our_name_too(page: Page, call: str) -> None:
    assert page.ask("GET", call, Host="rebound.example:80")[0] == 421
    assert page.ask("GET", call, Sec_Fetch_Site="cross-site")[0] == 403
    assert page.ask("GET", call, Sec_Fetch_Site="same-origin", Host=f"localhost:{page.port}")[0] == 200


def test_no_other_site_is_let_in_by_a_preflight(page: Page) -> None:
    ask = {"Origin": "https://evil.example", "Access_Control_Request_Method": "POST"}
    status, headers, _ = page.send("OPTIONS", "/api/rounds", **ask)
    assert status == 403
    assert not [name for name in headers if name.lower().startswith("access-control")]


def test_every_answer_keeps_the_page_to_itself(page: Page) -> None:
    for path in ("/", "/api/session", "/api/frames/0", "/api/nothing", "/nothing"):
        headers = page.send("GET", path)[1]
        assert "default-src 'self'" in headers["Content-Security-Policy"], path
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"], path
        assert headers["X-Content-Type-Options"] == "nosniff", path
        assert headers["Referrer-Policy"] == "no-referrer", path
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin", path


@pytest.mark.parametrize(
    "path",
    ["/../app.py", "/..%2fapp.py", "/%2e%2e/app.py", "/web/../../app.py", "//etc/passwd", "/squares/0.png", "/a\\b"],
)
def test_only_the_pages_own_files_are_served(page: Page, path: str) -> None:
    status, _, content = page.send("GET", path)
    assert (status, json.loads(content)["error"]["code"]) == (404, "not_found")


def test_the_page_is_served(studio: Studio, tiny_model: Model, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    files = {"index.html": (b"<!doctype html>", '"1"'), "draw/brush.js": (b"export {}", '"2"')}
    monkeypatch.setattr(app, "page_files", lambda: files)
    other = tmp_path / "other"
    other.mkdir()
    (other / "0.png").write_bytes((studio.path / "0.png").read_bytes())
    with studio_on(other, tiny_model) as running:
        page = Page(running.port, "x")
        assert page.send("GET", "/")[2] == b"<!doctype html>"
        status, headers, content = page.send("GET", "/draw/brush.js")
        assert (status, headers["Content-Type"], content) == (200, "text/javascript; charset=utf-8", b"export {}")
        assert page.send("GET", "/draw/brush.js", If_None_Match='"2"')[0] == 304
        assert page.send("POST", "/")[0] == 405


@pytest.fixture
def guarded(folder: Path, tiny_model: Model) -> Iterator[Studio]:
    with studio_on(folder, tiny_model, token="swordfish", names=("studio.example",)) as running:
        yield running


def test_the_links_token_becomes_a_cookie(guarded: Studio) -> None:
    page = Page(guarded.port, "x")
    assert page.ask("GET", "session")[0] == 401
    assert page.ask("POST", "hold", {"tab": "x"})[0] == 401
    assert page.send("GET", "/?token=sword")[0] == 403
    status, headers, _ = page.send("GET", "/?token=swordfish")
    assert (status, headers["Location"]) == (303, "./")
    cookie, *attributes = headers["Set-Cookie"].split("; ")
    assert set(attributes) == {"HttpOnly", "SameSite=Strict"}
    assert "swordfish" not in cookie
    assert page.ask("GET", "session", Cookie=cookie)[0] == 200
    assert page.ask("GET", "session", Cookie=f'odd={{"a": 1}}; x; {cookie}; y=2')[0] == 200
    assert page.ask("GET", "session", Cookie=cookie[:-1])[0] == 401
    assert page.send("GET", "/api/frames/1")[0] == 401
    assert page.send("GET", "/api/frames/1", Cookie=cookie)[0] == 200


def test_a_cookie_is_that_of_the_token(guarded: Studio) -> None:
    page = Page(guarded.port, "x")
    cookie = page.send("GET", "/?token=swordfish")[1]["Set-Cookie"].split(";")[0]
    other = Access(("127.0.0.1",), "another", guarded.port).log_in("another").headers["Set-Cookie"].split(";")[0]
    assert other.split("=")[0] == cookie.split("=")[0]
    assert page.ask("GET", "session", Cookie=other)[0] == 401


def test_a_proxys_name(guarded: Studio) -> None:
    page = Page(guarded.port, "x")
    cookie = page.send("GET", "/?token=swordfish", Host="studio.example")[1]["Set-Cookie"].split(";")[0]
    names = {"Host": "studio.example", "Origin": "https://studio.example", "Cookie": cookie}
    assert page.ask("POST", "hold", {"tab": "x"}, **names) == (200, {"holder": True})
    assert page.ask("POST", "hold", {"tab": "x"}, **{**names, "Host": "studio.example.evil"})[0] == 421


def test_links(capsys: pytest.CaptureFixture[str]) -> None:
    port = free_port()
    assert Door.on("127.0.0.1", port, "", (), field="--port").link == f"http://127.0.0.1:{port}/"
    everywhere = Door.on("0.0.0.0", port, "a b", ("studio.example",), field="--listen")
    assert everywhere.link == f"http://studio.example:{port}/?token=a%20b"
    assert Door.on("0.0.0.0", port, "x", (), field="--listen").names[:2] == (socket.gethostname(), "127.0.0.1")
    assert Door.on("localhost", port, "x", (), field="--listen").link == f"http://localhost:{port}/?token=x"


@pytest.mark.parametrize(
    ("host", "sent", "welcome"),
    [
        ("127.0.0.1", "localhost", True),
        ("127.0.0.1", "[::1]:8477", True),
        ("127.0.0.1", "LOCALHOST:1", True),
        ("127.0.0.1", "192.168.1.5", False),
        ("127.0.0.1", "127.0.0.1.evil.example", False),
        ("127.0.0.1", "", False),
        ("0.0.0.0", "192.168.1.5:8477", True),
        ("0.0.0.0", "[fe80::1]:8477", True),
        ("0.0.0.0", "evil.example:8477", False),
    ],
)
def test_names_that_are_ours(host: str, sent: str, welcome: bool) -> None:
    """A foreign name may lead to any address; a bare address is where the browser itself went."""
    access = Door.on(host, free_port(), "x", (), field="--listen").access
    request = Request("GET", "/", headers={"host": sent})
    with nullcontext() if welcome else pytest.raises(ApiError, match="--host-name"):
        access.check_host(request)


def test_a_port_that_is_taken(studio: Studio, capsys: pytest.CaptureFixture[str]) -> None:
    from siaf.cli import main

    arguments = ["studio", str(studio.path / "0.png"), "--no-browser"]
    assert main([*arguments, "--port", str(studio.port)]) == 2
    assert capsys.readouterr().err.startswith(f"siaf: --port: cannot listen on 127.0.0.1, port {studio.port}: ")
    assert main([*arguments, "--listen", f"127.0.0.1:{studio.port}"]) == 2
    assert capsys.readouterr().err.startswith("siaf: --listen: cannot listen on ")
    for wrong in ("127.0.0.1", "127.0.0.1:x", "127.0.0.1:99999"):
        assert main([*arguments, "--listen", wrong]) == 2
        assert capsys.readouterr().err.startswith("siaf: --listen: must be like ")
    assert main([*arguments, "--listen", "127.0.0.1:0", "--port", "0"]) == 2
    assert capsys.readouterr().err.startswith("siaf: --port: give the port in --listen")


def test_two_tabs(studio: Studio, page: Page) -> None:
    page.commit(2)
    second = studio.page("second")
    session = second.get("session")
    assert (session["holder"], session["rounds"]) == (False, 1)
    for method, call, body in (
        ("POST", "undo", {"revision": 1}),
        ("POST", "rounds", {"revision": 1, "scribbles": []}),
        ("POST", "stop", {}),
        ("PUT", "limits", {"revision": 1, "within": None, "barriers": []}),
    ):
        assert second.ask(method, call, body)[0] == 423, call
    assert second.do("POST", "hold", tab="second", take=True) == {"holder": True}
    assert page.get("progress")["holder"] is False
    assert page.ask("POST", "undo", {"revision": 1})[0] == 423
    assert second.do("POST", "undo", revision=1)["rounds"] == 0


def test_a_tab_that_is_gone_gives_the_desk_free() -> None:
    now = 0.0
    holder = Holder(lambda: now)
    assert holder.ask("first")
    now += HELD_S - 1
    assert holder.hear("first")
    now += HELD_S - 1
    assert not holder.ask("second")
    assert not holder.hear("second")
    now += 2
    assert holder.ask("second")
    assert not holder.hear("first")
    assert not holder.ask("first")


def test_a_connection_with_a_large_body_hears_why(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "_MOST_BYTES", 1000)
    status, _, content = page.send("POST", "/api/rounds", b" " * 2000, Content_Type="application/json")
    assert (status, json.loads(content)["error"]["code"]) == (413, "too_large")
    monkeypatch.setattr(app, "_MOST_PARTS", 10)
    status, _, content = page.send("POST", "/api/rounds", b"[" * 20, Content_Type="application/json")
    assert (status, json.loads(content)["error"]["code"]) == (413, "too_large")


def test_names_of_this_machine_are_refused_where_others_come_in() -> None:
    with pytest.raises(InputError, match="^--listen: cannot listen on no.such.host.invalid"):
        Door.on("no.such.host.invalid", 8477, "x", (), field="--listen")


def test_what_is_a_bug_is_told_and_logged(
    page: Page, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from siaf.studio.calls import Calls

    monkeypatch.setattr(Calls, "masks", None)
    monkeypatch.setattr(Calls, "_find", lambda self, request: 1 / 0)
    status, answer = page.ask("GET", "session")
    assert (status, answer["error"]["code"]) == (500, "bug")
    assert "ZeroDivisionError" in caplog.text
    assert http.client.responses[status] == "Internal Server Error"
