"""`siaf weights`."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from siaf.cli import main
from siaf.evaluation.parity import random_state
from siaf.model.config import INTERACTION, PROPAGATION
from siaf.model.gated import build_propagation
from siaf.model.loaded import Model
from siaf.training.loop import Schedule, Trainer
from siaf.weights import load_model


def checkpoint(net: nn.Module, folder: Path) -> Path:
    net.requires_grad_(True)
    Trainer(net, Schedule(steps=1, lr=1e-3), folder).save()
    net.requires_grad_(False)
    return folder / "checkpoint.safetensors"


def test_what_ships_is_listed_and_described(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights", "list", "--json"]) == 0
    shipped = json.loads(capsys.readouterr().out)["siaf-t"]["here"]
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
    assert "x: not a readable weights file" in capsys.readouterr().err


def test_an_official_checkpoint_and_the_shipped_interaction_network_make_a_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SIAF_WEIGHTS_FOLDER", str(tmp_path / "weights"))
    state = random_state(build_propagation(PROPAGATION["r50_aotl"]))
    torch.save({"state_dict": {f"module.{k}": v for k, v in state.items()}}, tmp_path / "R50_AOTL_PRE_YTB_DAV.pth")
    assert main(["weights", "import", str(tmp_path / "R50_AOTL_PRE_YTB_DAV.pth"), "--licence", "BSD-3-Clause"]) == 0
    assert main(["weights", "pack", "--model=siaf-r50", "--interaction=siaf-t", "--propagation=r50_aotl"]) == 0
    assert main(["weights", "verify", "siaf-r50"]) == 0
    assert "complete; every tensor fits its architecture" in capsys.readouterr().out
    model = load_model("siaf-r50", device="cpu")
    assert model.propagation.config == PROPAGATION["r50_aotl"] and model.interaction.config == INTERACTION["siaf-t"]
    assert main(["weights", "info", "siaf-r50", "--json"]) == 0
    assert "R50_AOTL_PRE_YTB_DAV.pth" in json.loads(capsys.readouterr().out)["provenance"]


def test_another_file_is_refused_and_nothing_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.pth").write_text("<html>")
    assert main(["weights", "import", str(tmp_path / "x.pth"), "--out", str(tmp_path / "w.safetensors")]) == 2
    assert "x.pth: is a web page, not a checkpoint" in capsys.readouterr().err
    assert not (tmp_path / "w.safetensors").exists()
