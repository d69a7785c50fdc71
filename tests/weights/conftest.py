"""A server to download from, and a folder to download to."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from one_file_server import Site, serving


@pytest.fixture
def site() -> Iterator[Site]:
    """What a web server on this machine serves."""
    with serving() as served:
        yield served


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty weights folder."""
    monkeypatch.setenv("SIAF_WEIGHTS_FOLDER", str(tmp_path / "weights"))
    (tmp_path / "weights").mkdir()
    return tmp_path / "weights"
