"""`siaf weights parity`: what can be tested without the official code. With it, see docs/paper.md."""

from pathlib import Path

import pytest

from siaf.cli import main


def test_a_folder_without_the_official_code_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights", "parity", "--official", str(tmp_path)]) == 2
    assert "is not a checkout of aot-benchmark" in capsys.readouterr().err


def test_an_unknown_variant_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights", "parity", "--official", str(tmp_path), "--variants", "aotx"]) == 2
    assert "variants: unknown: aotx; known: aott" in capsys.readouterr().err
