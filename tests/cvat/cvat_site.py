"""One origin as a browser sees it: pages that imitate CVAT's, the stand-in under /api/, the service under /siaf/.

The script gets into the pages by the very line that deploy/cvat-ui/siaf.conf has for nginx.
"""

import http.client
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

PAGE = """<!doctype html><html><head><title>CVAT</title></head><body>
<script type="application/json" id="settings">{settings}</script>
<div id="dialog" data-running=""><select id="actions"></select><div id="parameters"></div><button id="run">Run</button>
<button id="cancel">Cancel</button><div id="progress"></div></div><div id="notification"></div>
<script>{script}</script></body></html>"""
_CONF = Path(__file__).parents[2] / "deploy/cvat-ui/siaf.conf"


class CvatSite:
    """Listens on a free port; `service` is set once there is one."""

    def __init__(self, cvat: str) -> None:
        self.service = ""
        found = re.search(r"^sub_filter '(.+?)' '(.+)';$", _CONF.read_text(), re.MULTILINE)
        assert found
        site, before, after = self, found[1], found[2]
        script = Path(__file__).with_name("cvat_page.js").read_text()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                if parts.path.startswith(("/api/", "/siaf/")):
                    self._pass_on(cvat if parts.path.startswith("/api/") else site.service)
                    return
                query = parse_qs(parts.query)
                settings = {
                    "job": int(query.get("job", ["0"])[0]),
                    **{name: int(query.get(name, ["0"])[0]) for name in ("frame", "start", "stop")},
                    "lacks": query.get("lacks", []),
                }
                page = PAGE.replace("{settings}", json.dumps(settings)).replace("{script}", script)
                self._answer(200, page.replace(before, after, 1).encode(), "text/html; charset=utf-8")

            do_POST = do_PATCH = do_DELETE = do_OPTIONS = do_GET

            def _pass_on(self, upstream: str) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                connection = http.client.HTTPConnection(urlsplit(upstream).netloc, timeout=120)
                try:
                    headers = {k: v for k, v in self.headers.items() if k.lower() != "accept-encoding"}
                    connection.request(self.command, self.path, body, headers)
                    reply = connection.getresponse()
                    self._answer(reply.status, reply.read(), reply.headers["Content-Type"] or "")
                except OSError:
                    self._answer(502, b"", "text/html")
                finally:
                    connection.close()

            def _answer(self, status: int, content: bytes, kind: str) -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
