"""The status check asks as CVAT asks, and finds what would keep CVAT from using a function."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from render import Deployment, render
from status import main, problems


def deployed(kind: str) -> dict[str, Any]:
    """A function as the dashboard describes it."""
    config = render(Deployment(kind=kind, device="cpu", base_image="base:1"))
    config["metadata"]["labels"] = {"nuclio.io/project-name": "cvat"}
    config["status"] = {"state": "ready", "httpPort": 0}
    return config


class Dashboard:
    """A Nuclio dashboard that is also its functions' port."""

    def __init__(self) -> None:
        self.functions = {f"siaf-{kind}": deployed(kind) for kind in ("interactor", "tracker")}
        self.requests: list[tuple[str, dict[str, str]]] = []
        dashboard = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                dashboard.requests.append((self.path, dict(self.headers)))
                answer: Any = {"model": "siaf-t"}
                if self.path == "/api/functions":
                    answer = dashboard.functions
                body = json.dumps(answer).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        for function in self.functions.values():
            function["status"]["httpPort"] = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def dashboard() -> Iterator[Dashboard]:
    running = Dashboard()
    yield running
    running.server.shutdown()
    running.server.server_close()


def test_all_is_well(dashboard: Dashboard, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--dashboard", dashboard.url, "--host", "127.0.0.1"]) == 0
    printed = capsys.readouterr().out
    assert "PROBLEM" not in printed
    assert printed.count('{"model": "siaf-t"}') == 2


def test_lists_with_the_headers_of_cvat(dashboard: Dashboard) -> None:
    main(["--dashboard", dashboard.url, "--host", "127.0.0.1", "--namespace", "cvat"])
    path, headers = dashboard.requests[0]
    assert path == "/api/functions"
    sent = {key.lower(): value for key, value in headers.items()}
    assert sent["x-nuclio-project-name"] == "cvat"
    assert sent["x-nuclio-function-namespace"] == "cvat"
    assert sent["x-nuclio-invoke-via"] == "domain-name"


def test_on_kubernetes_the_dashboard_passes_the_call_on(dashboard: Dashboard) -> None:
    assert main(["--dashboard", dashboard.url, "--invoke", "dashboard", "--kind", "tracker"]) == 0
    path, headers = dashboard.requests[1]
    sent = {key.lower(): value for key, value in headers.items()}
    assert path == "/api/function_invocations"
    assert (sent["x-nuclio-function-name"], sent["x-nuclio-path"]) == ("siaf-tracker", "/v1/info")


def test_a_missing_function_is_a_problem(dashboard: Dashboard, capsys: pytest.CaptureFixture[str]) -> None:
    del dashboard.functions["siaf-tracker"]
    assert main(["--dashboard", dashboard.url, "--host", "127.0.0.1"]) == 1
    assert "siaf-tracker: not in project cvat" in capsys.readouterr().out
    assert main(["--dashboard", dashboard.url, "--host", "127.0.0.1", "--kind", "interactor"]) == 0


def test_a_stale_port_is_a_problem(dashboard: Dashboard, capsys: pytest.CaptureFixture[str]) -> None:
    dashboard.functions["siaf-tracker"]["status"]["httpPort"] = 1
    assert main(["--dashboard", dashboard.url, "--host", "127.0.0.1"]) == 1
    assert "does not answer at http://127.0.0.1:1/v1/info" in capsys.readouterr().out


def test_no_dashboard_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--dashboard", "http://127.0.0.1:1"]) == 1
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("kind", "path", "value", "problem"),
    [
        ("interactor", "spec.description", "", "has no description"),
        ("interactor", "status.state", "error", "is 'error', not ready"),
        ("interactor", "metadata.labels", None, "in Nuclio project None"),
        ("interactor", "metadata.annotations.version", "1", "Interact button is disabled"),
        ("interactor", "metadata.annotations.version", 2, "not a string"),
        ("interactor", "metadata.annotations.type", "segmenter", "neither interactor nor tracker"),
        ("interactor", "metadata.annotations.spec", "{", "not a JSON list"),
        ("interactor", "metadata.annotations.min_pos_points", "one", "not a whole number"),
        ("interactor", "metadata.annotations.startswith_box", "false", "takes for true"),
        ("tracker", "metadata.annotations.supported_shape_types", "", "no shape type"),
        ("tracker", "metadata.annotations.supported_shape_types", "mask, rectangle", "' rectangle'"),
        ("tracker", "metadata.annotations.supported_shape_types", "mask,polygon", "does not show it"),
    ],
)
def test_finds_what_cvat_would_stumble_over(kind: str, path: str, value: object, problem: str) -> None:
    function = deployed(kind)
    assert list(problems(function)) == []
    *parents, last = path.split(".")
    place = function
    for parent in parents:
        place = place[parent]
    place[last] = value
    assert any(problem in found for found in problems(function))
