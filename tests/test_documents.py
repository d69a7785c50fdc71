"""What documents, workflows and make point to exists: places in the code, other documents, sections, files, tests."""

import importlib
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
LINK = re.compile(r"\]\(([^)\s]+)\)")
FILE = re.compile(
    r"(?<![\w./])(?:siaf|function|deploy|tests|docs)/[\w./-]+\.(?:py|toml|sh|md|json|ya?ml|safetensors)\b"
)
RUNNERS = [ROOT / "Makefile", *sorted((ROOT / ".ci").iterdir()), *sorted((ROOT / ".github" / "workflows").iterdir())]
RUN = re.compile(r"(?<![\w./])(?:siaf|function|deploy|tests|docs|benchmarks|\.ci)/[\w./-]*\w")
PLACE = re.compile(r"`(siaf/[\w/]+\.py)`((?:,? `[\w.]+`)*)")


def test_files_and_names_of_the_notes_on_the_paper_exist() -> None:
    places = PLACE.findall((ROOT / "docs" / "paper.md").read_text())
    assert len(places) > 20
    for file, names in places:
        module = importlib.import_module(file.removesuffix(".py").replace("/", "."))
        for name in re.findall(r"`([\w.]+)`", names):
            found: object = module
            for part in name.split("."):
                assert hasattr(found, part), f"{file}: {name}"
                found = getattr(found, part)


def test_every_document_is_looked_at() -> None:
    assert {"README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "labeling.md"} <= {d.name for d in DOCUMENTS}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_to_files_and_sections_that_exist(document: Path) -> None:
    for link in LINK.findall(document.read_text()):
        if "://" in link:
            continue
        name, _, section = link.partition("#")
        target = (document.parent / name) if name else document
        assert target.exists(), link
        assert not section or section in anchors(target), link


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_files_that_a_document_names_exist(document: Path) -> None:
    for name in FILE.findall(document.read_text()):
        assert (ROOT / name).exists(), name


def test_paths_that_workflows_and_make_name_exist() -> None:
    named = {(runner.name, path) for runner in RUNNERS for path in RUN.findall(runner.read_text())}
    assert {("ci.yml", "tests/deploy"), ("Makefile", "tests/studio"), ("run", ".ci/smoke.sh")} <= named
    assert {(runner, path) for runner, path in named if not (ROOT / path).exists()} == set()


def test_the_changelog_begins_with_the_version_of_the_package() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[0] in (version, "Unreleased")


def anchors(document: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


def test_the_tests_that_field_cases_name_exist() -> None:
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", (ROOT / "docs" / "field-cases.md").read_text())
    assert len(named) > 20
    for file, test in named:
        assert f"def {test}(" in (ROOT / "tests" / file).read_text(), f"{file}: {test}"
