"""What is loaded when: `siaf --help` loads nothing slow, and nothing at all needs a POSIX system to start."""

import pkgutil
import subprocess
import sys

import pytest

import siaf
import siaf.cvat

SLOW = {"torch", "torchvision", "numpy", "cv2", "av", "PIL", "safetensors", "cvat_sdk", "pydantic", "requests"}
POSIX_ONLY = ("fcntl", "grp", "pwd", "resource", "termios", "tty", "pty", "syslog", "crypt", "spwd")


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def loaded(*command: str) -> set[str]:
    """Top-level modules that a command leaves behind."""
    return set(
        run(
            "import io, sys; from contextlib import *; from siaf.cli import main\n"
            f"with redirect_stdout(io.StringIO()), suppress(SystemExit): main({list(command)})\n"
            "print(*{name.partition('.')[0] for name in sys.modules})"
        ).split()
    )


@pytest.mark.parametrize(
    "command", [["--help"], ["--version"], ["serve", "--help"], ["doctor", "--help"]], ids=" ".join
)
def test_what_only_explains_loads_nothing_slow(command: list[str]) -> None:
    assert not loaded(*command) & SLOW


def test_the_commands_of_cvat_explain_themselves_without_torch() -> None:
    assert not loaded("cvat", "--help") & {"torch", "torchvision", "cvat_sdk"}


def test_public_names_come_when_they_are_asked_for() -> None:
    code = "import sys, siaf; assert 'torch' not in sys.modules; assert {*siaf.__all__} <= {*dir(siaf)}; siaf.Session;"
    run(code + "assert 'torch' in sys.modules")
    with pytest.raises(AttributeError, match="module 'siaf' has no attribute 'Sesion'"):
        siaf.Sesion  # type: ignore[attr-defined]  # noqa: B018


def test_nothing_that_only_posix_has_is_needed_to_start() -> None:
    rooms = [module.name for module in pkgutil.walk_packages(siaf.cvat.__path__, "siaf.cvat.")]
    modules = [*rooms, "function.main", "function.serve"]
    run(
        f"import sys; sys.modules.update(dict.fromkeys({POSIX_ONLY}))\n"
        "import multiprocessing.util, os\n"
        "for name in ('fork', 'fchmod', 'sched_getaffinity'): vars(os).pop(name, None)\n"
        f"import {', '.join(modules)}\n"
        "from siaf.cli import parser; parser(['demo']), parser(['segment']), parser(['weights'])"
    )


@pytest.mark.parametrize(("own", "expected"), [(None, "passive"), ("active", "active")])
@pytest.mark.parametrize("module", ["siaf.weights", "function.main"])
def test_threads_that_wait_leave_the_processor_to_others(
    monkeypatch: pytest.MonkeyPatch, module: str, own: str | None, expected: str
) -> None:
    """OpenMP reads the policy once, when torch loads it."""
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    if own is not None:
        monkeypatch.setenv("OMP_WAIT_POLICY", own)
    code = (
        "import os, sys\n"
        "class Seen:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'torch': print(os.environ.get('OMP_WAIT_POLICY'))\n"
        "sys.meta_path.insert(0, Seen())\n"
        f"import {module}"
    )
    assert run(code).split() == [expected]
