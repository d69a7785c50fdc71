"""The Dockerfile: a complete and clean context, pinned versions, no root, nothing left behind."""

import re
from pathlib import Path

import pytest
from dockerfile import Instruction, build_context, parse


@pytest.fixture(scope="module")
def instructions(root: Path) -> list[Instruction]:
    return parse(root / "Dockerfile")


def last(instructions: list[Instruction], stage: str, name: str) -> str:
    return [i.value for i in instructions if (i.stage, i.name) == (stage, name)][-1]


def test_has_the_stages_that_deploy_sh_builds(instructions: list[Instruction], root: Path) -> None:
    stages = {i.stage for i in instructions}
    script = (root / "deploy/deploy.sh").read_text()
    built = set(re.findall(r"^\s*build (\w+) ", script, re.MULTILINE))
    assert built == {"base", "processor"} <= stages


def test_takes_the_build_arguments_that_deploy_sh_gives(instructions: list[Instruction], root: Path) -> None:
    known = {i.value.split("=")[0] for i in instructions if i.name == "ARG"}
    script = (root / "deploy/deploy.sh").read_text()
    given = set(re.findall(r'--build-arg "(\w+)=', script))
    assert {"NUCLIO_VERSION", "TORCH_INDEX", "REVISION", "VERSION"} <= given
    assert given <= known


@pytest.fixture(scope="module")
def context(root: Path) -> list[str]:
    """What a build gets to see of this very folder, caches and local files included."""
    outside = {".git", ".venv"}  # left out for speed only; the test below names them
    files = [
        path.relative_to(root).as_posix()
        for top in root.iterdir()
        if top.name not in outside
        for path in ([top] if top.is_file() else top.rglob("*"))
        if path.is_file()
    ]
    return build_context(root, [*files, ".git/config", ".venv/bin/python", "secret.env"])


def test_everything_it_reads_is_in_the_context(instructions: list[Instruction], context: list[str]) -> None:
    for source in (s for i in instructions for s in i.sources()):
        assert any(name == source or name.startswith(f"{source}/") for name in context), source


def test_the_context_holds_nothing_else(instructions: list[Instruction], context: list[str]) -> None:
    sources = [s for i in instructions for s in i.sources()]
    assert [name for name in context if not any(name == s or name.startswith(f"{s}/") for s in sources)] == []
    assert [name for name in context if name.endswith(".pyc")] == []


@pytest.mark.parametrize("stage", ["base", "processor"])
def test_ends_as_a_numbered_user_that_is_not_root(instructions: list[Instruction], stage: str) -> None:
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", last(instructions, stage, "USER"))


def test_processor_reports_its_health_and_starts_the_processor(instructions: list[Instruction]) -> None:
    assert "127.0.0.1:8082/ready" in last(instructions, "processor", "HEALTHCHECK")
    assert last(instructions, "processor", "CMD") == '["processor"]'


def test_images_are_pinned_to_a_version(instructions: list[Instruction]) -> None:
    arguments = dict(i.value.split("=", 1) for i in instructions if i.name == "ARG" and "=" in i.value)
    for image in (i.value.split(" AS ")[0] for i in instructions if i.name == "FROM"):
        filled = re.sub(r"\$\{(\w+)(:-\w+)?\}", lambda m: arguments.get(m[1], "amd64"), image)
        stages = {i.stage for i in instructions}
        assert filled in stages or re.search(r":\d+\.\d+\.\d+", filled), image


def test_installs_nothing_that_requirements_txt_does_not_pin(instructions: list[Instruction]) -> None:
    installs = [i for i in instructions if i.name == "RUN" and "pip install" in i.command()]
    assert [i.stage for i in installs] == [*["base"] * 5, "processor"]
    torch, hashed, cuda, *others = installs
    for install in (torch, cuda, others[0]):
        assert "/tmp/requirements.txt" in install.command()
    assert "--require-hashes --requirement /tmp/requirements-hashed.txt" in hashed.command()
    for install in others:
        assert "--no-deps" in install.command() or "--no-index" in install.command()


def test_the_packages_of_other_engines_come_only_where_they_are_asked_for(instructions: list[Instruction]) -> None:
    (install,) = [i for i in instructions if "requirements-sam2.txt" in i.value]
    assert install.command().startswith('if [ -n "${SAM2}" ]; then')
    (argument,) = [i for i in instructions if i.name == "ARG" and i.value.startswith("SAM2")]
    assert (argument.stage, argument.value) == ("base", "SAM2=")


def test_no_build_tool_is_installed(instructions: list[Instruction]) -> None:
    assert not any(re.search(r"\b(apt-get|apk|gcc)\b", i.value) for i in instructions if i.name == "RUN")
