"""docs/paper.md says where every equation is; those places exist."""

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
