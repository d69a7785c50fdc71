"""`siaf weights fetch` of another engine: from a hub that runs here, and what is said where it has not got it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hub_server import hub
from safetensors.torch import save_file

from siaf.cli import main
from siaf.weights.checkpoints import file_sha256
from siaf.weights.engines import ENGINES

Fetch = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """Files that look like EdgeTAM's."""
    folder = tmp_path / "published"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "edgetam_video"}))
    save_file({"x": torch.zeros(3)}, folder / "model.safetensors")
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Fetch:
    """The command in a process of its own: huggingface_hub reads its settings when it is imported."""

    def command(*words: str, endpoint: str = "http://127.0.0.1:9") -> subprocess.CompletedProcess[str]:
        own = {"HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path), "SIAF_WEIGHTS_FOLDER": str(tmp_path / "weights")}
        own["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
        line = [sys.executable, "-m", "siaf", "weights", *words]
        return subprocess.run(line, env=os.environ | own, capture_output=True, text=True)

    return command


def files(published: Path) -> dict[str, Path]:
    return {path.name: path for path in published.iterdir()}


def test_an_engine_comes_from_its_repository_with_licence_size_and_digest(
    run: Fetch, published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with hub(ENGINES["edgetam"].repository, files(published)) as endpoint:
        answer = run("fetch", "edgetam", "--json", endpoint=endpoint)
    said = json.loads(answer.stdout)
    here = tmp_path / "weights" / "edgetam"
    assert sorted(path.name for path in here.iterdir()) == ["config.json", "model.safetensors"]
    assert said["file"] == str(here / "model.safetensors") and said["licence"].startswith("Apache-2.0")
    assert said["sha256"] == file_sha256(published / "model.safetensors")
    assert said["bytes"] == (published / "model.safetensors").stat().st_size
    monkeypatch.setenv("SIAF_WEIGHTS_FOLDER", str(tmp_path / "weights"))
    assert main(["weights", "list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert listed["edgetam"]["here"] == str(here) and listed["sam2.1-large"]["here"] is None


def test_what_the_hub_has_not_or_nobody_answers_is_one_line(run: Fetch, published: Path, tmp_path: Path) -> None:
    with hub("somebody/else", files(published)) as endpoint:
        absent = run("fetch", "sam2.1-tiny", endpoint=endpoint)
    away = run("fetch", "sam2.1-tiny")
    (published / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with hub(ENGINES["sam2.1-tiny"].repository, files(published)) as endpoint:
        other = run("fetch", "sam2.1-tiny", endpoint=endpoint)
    for answer, part in (
        (absent, "facebook/sam2.1-hiera-tiny"),
        (away, "the hub cannot be reached"),
        (away, "siaf weights fetch sam2.1-tiny --from FOLDER"),
        (other, "is of a bert, sam2.1-tiny is a sam2_video"),
    ):
        assert answer.returncode != 0 and part in answer.stderr
        assert answer.stderr.count("\n") == 1, answer.stderr
    assert not (tmp_path / "weights" / "sam2.1-tiny").exists()
