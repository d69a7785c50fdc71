"""What documents name exists: docs/paper.md the places of equations, docs/field-cases.md tests."""

import importlib
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
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


def test_the_tests_that_field_cases_name_exist() -> None:
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", (ROOT / "docs" / "field-cases.md").read_text())
    assert len(named) > 20
    for file, test in named:
        assert f"def {test}(" in (ROOT / "tests" / file).read_text(), f"{file}: {test}"
