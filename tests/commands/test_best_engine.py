"""`siaf weights best --device`: which model suits a machine. Nothing is downloaded."""

import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from siaf.cli import main
from siaf.weights.engines import ENGINES, engine_for

GIB = 2**30


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty weights folder, on a machine that reaches no hub."""

    def refused(*_: object, **__: object) -> None:
        raise AssertionError("it downloads")

    monkeypatch.setenv("SIAF_WEIGHTS_FOLDER", str(tmp_path / "weights"))
    monkeypatch.setattr("siaf.weights.engines.download_file", refused)
    monkeypatch.setattr("siaf.weights.importing.download", refused)
    return tmp_path / "weights"


def gpu(monkeypatch: pytest.MonkeyPatch, gib: float) -> None:
    """A machine with one GPU of so much memory."""
    found = SimpleNamespace(name="NVIDIA X", total_memory=int(gib * GIB))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: found)


@pytest.mark.parametrize(
    ("gib", "name"),
    [(80, "sam2.1-large"), (14, "sam2.1-large"), (12, "sam2.1-base-plus"), (4, "sam2.1-small"), (1, "edgetam")],
)
def test_a_gpu_gets_the_most_accurate_engine_that_it_has_room_for(gib: float, name: str) -> None:
    assert engine_for(int(gib * GIB)) == name


def test_a_gpu_s_engine_is_named_with_what_it_still_needs(
    monkeypatch: pytest.MonkeyPatch, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gpu(monkeypatch, 24)
    monkeypatch.setattr("siaf.commands.best_engine.find_spec", lambda name: None)
    for device in ("cuda", "cuda:0", "auto"):
        assert main(["weights", "best", "--device", device]) == 0
        said = capsys.readouterr().out.splitlines()
        assert said[0] == "sam2.1-large" and "NVIDIA X with 24 GiB" in said[1] and "J&F 74.6" in said[1]
        assert said[2:] == [
            f"licence: {ENGINES['sam2.1-large'].licence}",
            "run: pip install 'siaf-cvat[sam2]'",
            "run: siaf weights fetch sam2.1-large",
            "use it with --model sam2.1-large",
        ]
    assert not home.exists()


def test_what_is_here_is_not_fetched_again(
    monkeypatch: pytest.MonkeyPatch, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gpu(monkeypatch, 24)
    monkeypatch.setattr("siaf.commands.best_engine.find_spec", lambda name: object())
    (home / "sam2.1-large").mkdir(parents=True)
    for file in ("config.json", "model.safetensors"):
        (home / "sam2.1-large" / file).touch()
    assert main(["weights", "best", "--device", "cuda", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["model"], said["device"], said["run"]) == ("sam2.1-large", "NVIDIA X", [])


@pytest.mark.parametrize("device", ["cpu", "auto"])
def test_a_cpu_s_model_ships(
    device: str, monkeypatch: pytest.MonkeyPatch, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main(["weights", "best", "--device", device]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "siaf-t"
    assert not home.exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--device cuda", "--device: cuda: this machine has no GPU with a driver; --device auto takes what there is"),
        ("--device cpu --model siaf-r50", "--device: names a model and fetches nothing; leave out --model and --from"),
        ("--device cpu --from .", "--device: names a model and fetches nothing; leave out --model and --from"),
    ],
)
def test_what_makes_no_sense_is_one_line(
    options: str, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main(["weights", "best", *options.split()]) == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1


def test_the_document_has_the_same_figures() -> None:
    text = (Path(__file__).parents[2] / "docs" / "engines.md").read_text()
    for name, about in ENGINES.items():
        row = re.search(rf"^\| `{re.escape(name)}` \|.*$", text, re.MULTILINE)
        assert row is not None
        assert f"`{about.repository}`, {about.parameters:g}M" in row[0]
        assert row[0].endswith(f"| {about.accuracy} |")
