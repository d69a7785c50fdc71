"""`siaf weights`."""

import json
from pathlib import Path

import pytest
from torch import nn

from siaf.cli import main
from siaf.network import Model
from siaf.training.loop import Schedule, Trainer
from siaf.weights import load_model


def checkpoint(net: nn.Module, folder: Path) -> Path:
    net.requires_grad_(True)
    Trainer(net, Schedule(steps=1, lr=1e-3), folder).save()
    net.requires_grad_(False)
    return folder / "checkpoint.safetensors"


def test_what_ships_is_listed_and_described(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights", "list", "--json"]) == 0
    shipped = json.loads(capsys.readouterr().out)["siaf-t"]
    assert main(["weights", "info", shipped, "--json"]) == 0
    info = json.loads(capsys.readouterr().out)
    assert info["model"] == "siaf-t"
    assert int(info["bytes"]) <= 40 * 2**20
    assert info["digest"] == load_model("siaf-t", device="cpu").digest


def test_checkpoints_of_both_networks_become_one_file(tiny_model: Model, tmp_path: Path) -> None:
    parts = [
        f"--{part}={checkpoint(getattr(tiny_model, part), tmp_path / part)}" for part in ("interaction", "propagation")
    ]
    out = tmp_path / "w.safetensors"
    assert main(["weights", "pack", *parts, "--out", str(out), "--note", "test"]) == 0
    assert load_model("siaf-t", device="cpu", weights=out).name == "siaf-t"


def test_something_else_is_no_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x").write_text("x")
    arguments = ["weights", "pack", f"--interaction={tmp_path}/x", f"--propagation={tmp_path}/x", f"--out={tmp_path}/w"]
    assert main(arguments) == 2
    assert "x: not a training checkpoint" in capsys.readouterr().err
