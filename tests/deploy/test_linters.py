"""What the usual linters say about the files that no Python tool looks at."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

YAML = ["function.yaml", "deploy", ".github"]


def run(root: Path, *command: str) -> None:
    result = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


def test_shellcheck(root: Path, tool: Callable[[str], str]) -> None:
    run(root, tool("shellcheck"), ".ci/run", *map(str, [*(root / ".ci").glob("*.sh"), *(root / "deploy").glob("*.sh")]))


def test_scripts_can_be_started(root: Path) -> None:
    scripts = [*(root / ".ci").iterdir(), *(root / "deploy").glob("*.sh"), root / "deploy/status.py"]
    assert all(script.stat().st_mode & 0o111 for script in scripts)


def test_hadolint(root: Path, tool: Callable[[str], str]) -> None:
    run(root, tool("hadolint"), "Dockerfile", "deploy/agent/Dockerfile")


def test_yamllint(root: Path, tool: Callable[[str], str]) -> None:
    run(root, tool("yamllint"), "--strict", "--config-file", "deploy/yamllint.yaml", *YAML)


@pytest.mark.parametrize(
    ("schema", "pattern"),
    [
        ("github-workflows", ".github/workflows/*.yml"),
        ("dependabot", ".github/dependabot.yml"),
        ("compose-spec", "deploy/**/compose*.yml"),
    ],
)
def test_schema(root: Path, tool: Callable[[str], str], schema: str, pattern: str) -> None:
    files = [str(path) for path in root.glob(pattern)]
    assert files
    run(root, tool("check-jsonschema"), "--builtin-schema", f"vendor.{schema}", *files)


def test_zizmor_finds_nothing_to_worry_about_in_the_workflows(root: Path, tool: Callable[[str], str]) -> None:
    run(root, tool("zizmor"), "--offline", "--no-progress", ".github/workflows")


def test_actions_are_pinned_by_commit_and_say_which_version_that_is(root: Path) -> None:
    text = "".join(path.read_text() for path in (root / ".github/workflows").glob("*.yml"))
    uses = re.findall(r"uses: (.*)", text)
    assert uses
    for use in uses:
        assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+", use), use
