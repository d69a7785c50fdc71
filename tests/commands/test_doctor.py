"""`siaf doctor`: a line for every check, and for every problem what to do."""

import json
from pathlib import Path

import numpy as np
import pytest

from siaf.cli import main
from siaf.commands import checkups
from siaf.weights import packaged_weights

Output = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def empty_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No weights but those that ship, no CVAT, no token."""
    monkeypatch.setenv("SIAF_WEIGHTS_FOLDER", str(tmp_path / "weights"))
    for name in ("CVAT_HOST", "CVAT_ACCESS_TOKEN", "SIAF_TOKEN", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)


def found(capsys: Output, *arguments: str, code: int) -> dict[str, dict[str, object]]:
    """The checks by name."""
    assert main(["doctor", "--json", *arguments]) == code
    result = json.loads(capsys.readouterr().out)
    assert result["ok"] == (code == 0)
    return {check["what"]: check for check in result["checks"]}


def test_a_sound_installation_passes(capsys: Output) -> None:
    checks = found(capsys, code=0)
    assert {"siaf", "torch", "opencv-python-headless", "device", "threads"} <= checks.keys()
    assert {"weights siaf-t", "weights mobilesam"} <= checks.keys()
    assert checks["numpy"]["found"] == np.__version__


def test_people_read_lines_and_what_was_not_asked(capsys: Output) -> None:
    assert main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("ok       weights siaf-t: whole") for line in lines)
    assert "CVAT was not asked: set CVAT_HOST" in lines[-2]


def test_damaged_weights_are_a_problem_with_a_cure(capsys: Output, tmp_path: Path) -> None:
    whole = packaged_weights("siaf-t")
    assert whole is not None
    damaged = tmp_path / "weights" / "mine.safetensors"
    damaged.parent.mkdir()
    data = bytearray(whole.read_bytes())
    data[-1] ^= 1
    damaged.write_bytes(data)
    check = found(capsys, code=1)["weights mine"]
    assert not check["ok"]
    assert "its tensors have digest" in str(check["found"])
    assert f"remove {damaged}" in str(check["cure"])


def test_more_threads_than_cpus_are_a_problem(capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "4096")
    assert "OMP_NUM_THREADS=4096, but this process may use" in str(found(capsys, code=1)["threads"]["found"])


@pytest.mark.parametrize(
    ("built_for", "found_", "cure"),
    [
        (None, "torch is its build for CPUs", "--index-url https://pypi.org/simple torch=="),
        ("13.0", "torch's CUDA 13.0 cannot use it", "update the driver"),
    ],
)
def test_a_gpu_that_torch_cannot_use_is_a_problem(
    capsys: Output, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, built_for: str | None, found_: str, cure: str
) -> None:
    (tmp_path / "version").write_text("NVRM version: 1")
    monkeypatch.setattr(checkups, "_DRIVER", tmp_path / "version")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.version.cuda", built_for)
    check = found(capsys, code=1)["device"]
    assert found_ in str(check["found"])
    assert cure in str(check["cure"])


def test_a_package_that_does_not_load_is_a_problem_and_ends_nothing(
    capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(checkups._PACKAGES, "no_such_module", "no-such-package")
    checks = found(capsys, code=1)
    assert "does not load (ModuleNotFoundError" in str(checks["no-such-package"]["found"])
    assert "weights siaf-t" in checks


@pytest.mark.parametrize(
    ("url", "said"),
    [("http://127.0.0.1:1", "no answer"), ("nonsense", "no answer"), ("http://no.such.host.invalid", "no answer")],
)
def test_a_function_that_is_not_there(capsys: Output, url: str, said: str) -> None:
    check = found(capsys, "--url", url, code=1)[f"function {url}"]
    assert str(check["found"]).startswith(said)
    assert "deploy/status.py" in str(check["cure"])


def test_a_cvat_without_a_token_says_where_to_get_one(capsys: Output) -> None:
    check = found(capsys, "--host", "http://127.0.0.1:1", code=1)["CVAT"]
    assert "personal access token" in str(check["cure"])
