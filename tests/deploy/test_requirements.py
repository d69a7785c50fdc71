"""requirements.txt, and deploy/requirements-sam2.txt for other engines: all that runs is pinned, nothing else is, and
the pins are what the tests ran with.
"""

import re
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

NOT_IN_THE_IMAGE = {"dev", "evaluation", "hub", "sam2", "training"}
CPU = {"platform_system": "CPU only"}
"""What torch asks for on Linux alone is CUDA; in this environment it asks for none of it."""


def pins(path: Path) -> dict[str, Version]:
    """Exact versions by canonical name; a line of another form fails."""
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    matches = [re.fullmatch(r"([a-z0-9.-]+)==([\w.]+)", line) for line in lines]
    assert all(matches), [line for line, match in zip(lines, matches, strict=True) if not match]
    return {canonicalize_name(match[1]): Version(match[2]) for match in matches if match}


@pytest.fixture(scope="module")
def pinned(root: Path) -> dict[str, Version]:
    return pins(root / "requirements.txt")


@pytest.fixture(scope="module")
def pinned_sam2(root: Path) -> dict[str, Version]:
    return pins(root / "deploy/requirements-sam2.txt")


@pytest.fixture(scope="module")
def sam2(root: Path) -> list[Requirement]:
    """What pyproject.toml asks for where another engine runs."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    return [Requirement(line) for line in project["optional-dependencies"]["sam2"]]


@pytest.fixture(scope="module")
def cuda(root: Path) -> dict[str, Version]:
    return pins(root / "deploy/constraints-cuda.txt")


@pytest.fixture(scope="module")
def direct(root: Path) -> list[Requirement]:
    """What pyproject.toml asks for at run time."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    extras = project.get("optional-dependencies", {})
    lines = list(project["dependencies"])
    lines += [line for name, group in extras.items() if name not in NOT_IN_THE_IMAGE for line in group]
    found = [Requirement(line) for line in lines]
    return [requirement for requirement in found if requirement.name != project["name"]]


def needed(requirement: Requirement) -> dict[str, str]:
    """Canonical names that a requirement brings along on a CPU, by who asked for them."""
    found: dict[str, str] = {}
    todo = [(requirement, "pyproject.toml")]
    while todo:
        asked, by = todo.pop()
        name = canonicalize_name(asked.name)
        if name in found:
            continue
        found[name] = by
        try:
            lines = distribution(name).requires or []
        except PackageNotFoundError:
            pytest.fail(f"{name}, which {by} needs, is not installed")
        for line in map(Requirement, lines):
            environments = [CPU | {"extra": extra} for extra in (*asked.extras, "")]
            if line.marker is None or any(line.marker.evaluate(env) for env in environments):
                todo.append((line, name))
    return found


def test_everything_that_runs_is_pinned(direct: list[Requirement], pinned: dict[str, Version]) -> None:
    everything = {name: by for requirement in direct for name, by in needed(requirement).items()}
    assert {name: by for name, by in everything.items() if name not in pinned} == {}


def test_nothing_else_is(direct: list[Requirement], pinned: dict[str, Version]) -> None:
    everything = {name for requirement in direct for name in needed(requirement)}
    assert sorted(set(pinned) - everything) == []


def test_pins_are_in_pyprojects_range(direct: list[Requirement], pinned: dict[str, Version]) -> None:
    wrong = [
        f"{requirement} but =={pinned[name]}"
        for requirement in direct
        if (name := canonicalize_name(requirement.name)) in pinned and pinned[name] not in requirement.specifier
    ]
    assert wrong == []


def test_the_tests_run_with_the_pins(pinned: dict[str, Version]) -> None:
    installed = {name: Version(distribution(name).version) for name in pinned}
    # A CPU build calls itself 2.14.1+cpu.
    assert {name: version.public for name, version in installed.items()} == {
        name: str(version) for name, version in pinned.items()
    }


def test_the_pins_have_the_hashes_of_their_files(root: Path, pinned: dict[str, Version]) -> None:
    """deploy/requirements-hashed.txt is of these pins: `make hashes` writes it anew."""
    found: dict[str, Version] = {}
    for entry in re.split(r"\n(?=\S)", (root / "deploy/requirements-hashed.txt").read_text()):
        if not entry.startswith("#"):
            pin, *hashes = entry.split(" --hash=" if " --hash=" in entry else "--hash=")
            match = re.match(r"([a-z0-9.-]+)==([\w.]+)", pin)
            assert match and hashes, entry
            assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", h.strip(" \n\\")) for h in hashes), entry
            found[canonicalize_name(match[1])] = Version(match[2])
    other_platforms = {"async-timeout", "colorama"}
    own_index = {"torch", "torchvision"}
    assert found.keys() - other_platforms == pinned.keys() - own_index
    assert {name: version for name, version in found.items() if name in pinned} == {
        name: version for name, version in pinned.items() if name not in own_index
    }


def test_what_other_engines_need_beyond_that_is_pinned_and_nothing_else(
    sam2: list[Requirement], pinned: dict[str, Version], pinned_sam2: dict[str, Version]
) -> None:
    everything = {name for requirement in sam2 for name in needed(requirement)}
    assert everything - set(pinned) == set(pinned_sam2)
    direct = {canonicalize_name(requirement.name): requirement.specifier for requirement in sam2}
    assert all(pinned_sam2[name] in specifier for name, specifier in direct.items())
    assert {name: Version(distribution(name).version) for name in pinned_sam2} == pinned_sam2


def test_cuda_packages_are_pinned_apart(pinned: dict[str, Version], cuda: dict[str, Version]) -> None:
    """What torch's CUDA build asks for by exact version agrees, and a CPU image gets none of it."""
    assert cuda
    assert not set(cuda) & set(pinned)
    assert all(re.match(r"nvidia-|cuda-|triton$", name) for name in cuda)
    for line in map(Requirement, distribution("torch").requires or []):
        name = canonicalize_name(line.name)
        if name in cuda:
            assert cuda[name] in line.specifier
