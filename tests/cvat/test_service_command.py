"""`siaf cvat service` as it is started: what it refuses, what it answers, how it ends."""

import subprocess
import sys
from pathlib import Path

import pytest
from cvat_sdk.core.client import Client
from service_bench import Browser, free_port, until
from standin import StandIn

from siaf.cli import main


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--host", "cvat.example.com", "--user", "me"], "user: rounds run as whoever asks for them"),
        (["--host", "cvat.example.com", "--org", "us"], "org: rounds run as whoever asks for them"),
        (["--profile", "mine"], "profile: rounds run as whoever asks for them"),
        (["--host", "cvat.example.com/cvat"], "site: 'https://cvat.example.com/cvat' is not like"),
        (["--host", "cvat.example.com", "--site", "cvat.example.com"], "site: 'cvat.example.com' is not like"),
        (["--host", "cvat.example.com", "--listen", "8098x"], "listen: '8098x' is not like 127.0.0.1:8098"),
        (["--host", "cvat.example.com", "--url", "http://f", "--via", "cvat"], "via: give --url or --via, not both"),
        (["--host", ""], "host: give --host, or set CVAT_HOST"),
        (["--host", "cvat.example.com", "--json"], "json: there is no result to print"),
    ],
)
def test_bad_input_is_named(
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("SIAF_STORE", str(tmp_path))
    assert main(["cvat", "service", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_it_serves_the_script_and_ends_when_told(standin: StandIn, client: Client, tmp_path: Path) -> None:
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "siaf",
        "cvat",
        "service",
        "--host",
        standin.url,
        "--store",
        str(tmp_path / "store"),
    ]
    command += ["--listen", f"127.0.0.1:{port}", "--url", "http://127.0.0.1:1"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    browser = Browser(standin, f"http://127.0.0.1:{port}", "annot1")

    def ready() -> bool:
        try:
            return browser.ask("GET", "health/ready")[0] == 200
        except OSError:
            assert process.poll() is None
            return False

    try:
        until(ready, "the service is ready")
        status, script = browser.ask("GET", "plugin.js", Cookie=None, Host=None)
        assert (status, "registerComponent" in script) == (200, True)
        assert 'siaf_service_requests_total{call="plugin",status="200"} 1.0' in browser.ask("GET", "metrics")[1]
    finally:
        process.terminate()
        assert process.wait(60) in (0, -15)
    assert process.stderr is not None
    assert "Traceback" not in process.stderr.read()
