"""`make` on machines with various Pythons: which one it takes, and what it says where there is none."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

NOT_INSTALLED = "#!/bin/sh\necho 'pyenv: command not found' >&2\nexit 127\n"


def pretend(path: Path, version: str, *, without: str = "") -> None:
    """A command that is this Python but says it is another version, and has no module `without`."""
    numbers = tuple(map(int, version.split(".")))
    code = f"import sys; sys.version_info = (*{numbers}, 0, 'final', 0); sys.modules.update({{{without!r}: None}});"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f'#!/bin/sh\ncase $1 in\n-c) exec {sys.executable} -c "{code} $2" ;;\n--version) echo Python {version} ;;\n'
        f'*) echo "$@" >>"$LOG"; [ -e .venv ] || {{ mkdir -p .venv/bin; cp "$0" .venv/bin/python; }} ;;\nesac\n'
    )
    path.chmod(0o755)


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A folder that is all of the PATH but for the usual tools, without any Python at first."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in ("sh", "mkdir", "cp", "dirname"):
        (folder / tool).symlink_to(next(p for p in (Path("/bin") / tool, Path("/usr/bin") / tool) if p.exists()))
    return folder


def run(machine: Path, script: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """The script in the machine's parent folder, seeing this machine only."""
    environment = {"PATH": str(machine), "HOME": str(machine.parent / "home"), "LOG": str(machine.parent / "log")}
    return subprocess.run(
        [str(script), *arguments],
        cwd=machine.parent,
        env=environment | variables,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("installed", "which", "taken"),
    [
        (["python3.11", "python3.12", "python3.13"], "newest", "python3.13"),
        (["python3.11", "python3.12", "python3.13"], "oldest", "python3.11"),
        (["python3.9", "python3.12"], "newest", "python3.12"),
        (["python3.12", "python3.15"], "newest", "python3.12"),
    ],
)
def test_the_newest_or_oldest_that_suits_is_taken(
    machine: Path, root: Path, installed: list[str], which: str, taken: str
) -> None:
    for name in installed:
        pretend(machine / name, name.removeprefix("python"))
    assert run(machine, root / ".ci/python.sh", which).stdout == f"{taken}\n"


def test_python3_is_enough(machine: Path, root: Path) -> None:
    pretend(machine / "python3", "3.12")
    assert run(machine, root / ".ci/python.sh").stdout == "python3\n"


def test_a_command_that_only_says_that_it_is_not_installed_is_passed_over(machine: Path, root: Path) -> None:
    (machine / "python3.13").write_text(NOT_INSTALLED)
    (machine / "python3.13").chmod(0o755)
    pretend(machine / "python3.11", "3.11")
    assert run(machine, root / ".ci/python.sh").stdout == "python3.11\n"


def test_what_pyenv_has_installed_counts(machine: Path, root: Path) -> None:
    python = machine.parent / "home/.pyenv/versions/3.13.0/bin/python3"
    pretend(python, "3.13")
    assert run(machine, root / ".ci/python.sh").stdout == f"{python}\n"


def test_without_a_suitable_python_it_says_what_there_is(machine: Path, root: Path) -> None:
    pretend(machine / "python3", "3.9")
    done = run(machine, root / ".ci/python.sh")
    assert done.returncode == 1
    assert "needs Python 3.11 to 3.14 and this machine has Python 3.9" in done.stderr


@pytest.mark.parametrize("module", ["venv", "ensurepip"])
def test_debians_python_without_venv_names_the_package(machine: Path, root: Path, module: str) -> None:
    pretend(machine / "python3", "3.12", without=module)
    done = run(machine, root / ".ci/python.sh")
    assert done.returncode == 1
    assert "sudo apt install python3.12-venv" in done.stderr


def test_a_python_that_is_named_is_taken_or_refused(machine: Path, root: Path) -> None:
    pretend(machine / "python3.13", "3.13")
    pretend(machine / "mine", "3.12")
    pretend(machine / "old", "3.10")
    assert run(machine, root / ".ci/python.sh", PYTHON="mine").stdout == "mine\n"
    done = run(machine, root / ".ci/python.sh", PYTHON="old")
    assert done.returncode == 1
    assert "PYTHON=old is not a Python from 3.11 to 3.14" in done.stderr


def test_the_environment_is_made_by_pip_with_the_pins(machine: Path, root: Path) -> None:
    pretend(machine / "python3.12", "3.12")
    assert run(machine, root / ".ci/venv.sh").returncode == 0
    made, installed = (machine.parent / "log").read_text().splitlines()
    assert made == "-m venv .venv"
    assert installed.endswith("--constraint requirements.txt --editable .[dev]")


def test_uv_is_taken_if_it_is_there(machine: Path, root: Path) -> None:
    (machine / "uv").write_text('#!/bin/sh\necho "$@" >>"$LOG"\n')
    (machine / "uv").chmod(0o755)
    assert run(machine, root / ".ci/venv.sh").returncode == 0
    made, installed = (machine.parent / "log").read_text().splitlines()
    assert made == "venv --quiet --python >=3.11,<3.15 .venv"
    assert installed.endswith("--python .venv/bin/python --constraint requirements.txt --editable .[dev]")


def test_the_versions_are_the_same_wherever_they_stand(root: Path) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text())
    allowed = project["project"]["requires-python"]
    oldest, above = (int(minor) for minor in re.fullmatch(r">=3\.(\d+),<3\.(\d+)", allowed).groups())  # type: ignore[union-attr]
    versions = [f"3.{minor}" for minor in range(oldest, above)]
    named = [line.rpartition(" ")[2] for line in project["project"]["classifiers"] if ":: Python :: 3." in line]
    assert named == versions
    assert project["tool"]["mypy"]["python_version"] == versions[0]
    assert project["tool"]["ruff"]["target-version"] == f"py3{oldest}"
    finder, maker = ((root / ".ci" / name).read_text() for name in ("python.sh", "venv.sh"))
    assert f"(3, {oldest}) <= sys.version_info < (3, {above})" in finder
    assert f'oldest) minors="{" ".join(map(str, range(oldest, above)))}"' in finder
    assert allowed in maker
    tests = yaml.safe_load((root / ".github/workflows/ci.yml").read_text())["jobs"]["test"]
    assert tests["strategy"]["matrix"]["python"] == versions
    for document in ("README.md", "CONTRIBUTING.md"):
        assert f"Python {versions[0]} to {versions[-1]}" in (root / document).read_text()
