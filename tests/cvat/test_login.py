"""Who logs in where: cvat-sdk's profiles, servers, tokens and passwords, for every command of `siaf cvat`."""

import argparse
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from bench import Bench, Pictures
from cvat_sdk.core.auth import AuthStore, ProfileEntry, configure_client_auth_arguments
from standin import StandIn

from siaf.cli import main
from siaf.cvat.resources import add_server_arguments

Run = Callable[..., int]


@pytest.fixture
def saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AuthStore:
    """The file of cvat-sdk's profiles, of a user who has set no variables."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("SIAF_STORE", str(tmp_path / "store"))
    for name in ("CVAT_HOST", "CVAT_ACCESS_TOKEN", "PASS", "CVAT_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    return AuthStore()


@pytest.fixture
def run(bench: Bench, pictures: Pictures, saved: AuthStore) -> Run:
    """`siaf cvat report` of a task on the stand-in; a `client` was made before, and nothing is waited for."""
    bench.task(pictures[:2])
    return lambda *options: main(["cvat", "report", "--task", "1", *map(str, options)])


def profile(saved: AuthStore, standin: StandIn, name: str, token: str, **more: bool) -> None:
    saved.put_profile(name, ProfileEntry(standin.url, token, "2026-11-28T00:00:00Z"), **more)


def test_the_options_are_those_of_cvat_sdk() -> None:
    theirs, ours = (argparse.ArgumentParser(add_help=False) for _ in range(2))
    configure_client_auth_arguments(theirs)
    add_server_arguments(ours)
    options = {option for action in theirs._actions for option in action.option_strings}
    assert options <= {option for action in ours._actions for option in action.option_strings}
    assert {"--host", "--user", "--org"} <= {option for action in ours._actions for option in action.option_strings}


def test_a_profile_is_a_server_and_a_token(
    run: Run, standin: StandIn, saved: AuthStore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    profile(saved, standin, "mine", "full")
    profile(saved, standin, "theirs", "expired", set_default=True)
    monkeypatch.setenv("CVAT_HOST", "http://127.0.0.1:9")  # what is said counts before what is set
    assert run("--profile", "mine") == 0
    assert run("--profile", "theirs") == 2
    assert "token: CVAT refuses the token" in capsys.readouterr().err
    assert run("--profile", "nobody") == 2
    assert "siaf: profile: Unknown profile 'nobody'." in capsys.readouterr().err


def test_without_anything_the_default_profile_counts(run: Run, standin: StandIn, saved: AuthStore) -> None:
    profile(saved, standin, "mine", "full")
    assert run() == 0


def test_a_saved_server_takes_the_token_of_the_environment(
    run: Run, standin: StandIn, saved: AuthStore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    saved.set_default_server(standin.url)
    assert run() == 2
    assert "siaf: token: set CVAT_ACCESS_TOKEN to a personal access token" in capsys.readouterr().err
    monkeypatch.setenv("CVAT_ACCESS_TOKEN", "full")
    assert run() == 0


@pytest.mark.parametrize("name", ["--host", "--server-host"])
def test_the_environment_still_gives_the_token(
    run: Run, standin: StandIn, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("CVAT_ACCESS_TOKEN", "full")
    assert run(name, standin.url) == 0
    host, _, port = standin.url.rpartition(":")
    assert run(name, host, "--server-port", port) == 0
    monkeypatch.setenv("CVAT_HOST", standin.url)
    assert run("--organization", "us") == 0
    assert standin.log[-1].headers["x-organization"] == "us"


def test_passwords_come_from_the_line_or_from_the_environment(
    run: Run, standin: StandIn, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CVAT_HOST", standin.url)
    assert run("--auth", "admin:secret") == 0
    monkeypatch.setenv("PASS", "secret")
    assert run("--auth", "admin") == 0
    monkeypatch.setenv("CVAT_PASSWORD", "secret")
    assert run("--user", "admin") == 0
    assert capsys.readouterr().err == ""
    assert run("--auth", "admin:wrong") == 2
    assert "siaf: user: CVAT does not know user 'admin' with this password" in capsys.readouterr().err
    standin.fault = lambda request: 502 if request.path.endswith("/login") else None
    assert run("--auth", "admin") == 1
    assert "siaf: CVAT failed on user 'admin': 502" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "host: give --host or --profile, or set CVAT_HOST"),
        (["--host", "http://127.0.0.1:9"], "token: set CVAT_ACCESS_TOKEN"),
        (["--host", "http://127.0.0.1:9", "--profile", "mine"], "profile: has a server and a token: give no --host"),
        (["--host", "http://127.0.0.1:9", "--server-port", "10"], "server-port: http://127.0.0.1:9 has a port already"),
        (["--server-port", "10"], "server-port: give --host too"),
        (["--host", "ftp://127.0.0.1", "--auth", "me:x"], "host: 'ftp://127.0.0.1' is not a server's address"),
    ],
)
def test_what_is_missing_or_contradicts_itself_is_named(
    saved: AuthStore, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    assert main(["cvat", "report", "--task", "1", *options]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"siaf: {message}")


def test_user_and_auth_exclude_each_other(
    run: Run, standin: StandIn, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CVAT_PASSWORD", "secret")
    assert run("--host", standin.url, "--user", "admin", "--auth", "admin:secret") == 2
    assert "siaf: auth: give --auth or --user, not both" in capsys.readouterr().err


def test_a_file_of_profiles_that_others_can_read_is_refused_as_by_cvat_cli(
    run: Run, standin: StandIn, saved: AuthStore, capsys: pytest.CaptureFixture[str]
) -> None:
    profile(saved, standin, "mine", "full")
    saved.path.chmod(0o644)
    assert run("--profile", "mine") == 2
    assert "siaf: profile: Refusing to use" in capsys.readouterr().err


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate that signs itself, and its key."""
    files = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=siaf test"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-out", str(files[0]), "-keyout", str(files[1])]
    subprocess.run(command, check=True, capture_output=True)
    return files


def test_a_certificate_of_ones_own_is_trusted_by_file_or_not_checked(
    run: Run,
    standin: StandIn,
    certificate: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    standin._server.socket = context.wrap_socket(standin._server.socket, server_side=True)
    monkeypatch.setenv("CVAT_ACCESS_TOKEN", "full")
    host = standin.url.replace("http://", "https://")
    assert run("--host", host) == 1
    assert "does not answer" in capsys.readouterr().err
    with pytest.warns(Warning, match="Unverified HTTPS request"):
        assert run("--host", host, "--insecure") == 0
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    assert run("--host", host) == 0
