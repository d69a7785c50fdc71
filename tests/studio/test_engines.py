"""The studio with another engine: a round, its propagation, an undo, and the session that is opened again."""

from pathlib import Path

import pytest

pytest.importorskip("transformers")

from small_sam2 import small_engine
from studio_client import studio_on


def test_rounds_of_another_engine_are_kept_and_undone(folder: Path) -> None:
    engine = small_engine("sam2.1")
    with studio_on(folder, engine) as studio:
        page = studio.page("first")
        assert page.get("session")["model"] == "sam2.1"
        page.commit(2)
        session = page.propagate()
        assert session["rounds"] == 1 and page.masks(5)[5]["source"] == "propagated"
        before = page.masks(*range(12))
    with studio_on(folder, engine) as studio:
        page = studio.page("second")
        assert page.masks(*range(12)) == before
        page.commit(8)
        page.do("POST", "undo", revision=page.revision)
        assert page.get("session")["rounds"] == 1
