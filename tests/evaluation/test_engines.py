"""`siaf evaluate` of EdgeTAM and SAM 2.1: what goes through a session takes any engine, what does not says so."""

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("transformers")

from small_sam2 import small_engine

from siaf.cli import main
from siaf.model.loaded import Model


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch, tiny_model: Model) -> None:
    monkeypatch.setattr("siaf.commands.measured_model.load_model", lambda *_, **__: small_engine("edgetam"))
    monkeypatch.setattr("siaf.commands.measured_model.load_networks", lambda *_, **__: tiny_model)


def measured(capsys: pytest.CaptureFixture[str], kind: str, folder: Path, *options: str) -> Any:
    assert main(["evaluate", kind, str(folder), "--model", "edgetam", *options, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("kind", "options", "column"),
    [
        ("propagation", "--sequences duo --length 4", "J"),
        ("propagation", "--sequences duo --length 4 --references 2", "swaps"),
        ("interactive", "--sequences duo --length 4 --rounds 2", "J drawn"),
        ("composites", "--length 3 --objects 2 --rounds 1", "swaps"),
        ("interaction", "--sequences duo --every 6 --rounds 2", "J round 2"),
        ("clicks", "--sequences duo --every 6 --clicks 2", "IoU click 2"),
        ("boxes", "--sequences duo --length 4", "box IoU"),
    ],
)
def test_every_kind_that_runs_sessions_measures_any_engine(
    kind: str, options: str, column: str, davis2017: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = measured(capsys, kind, davis2017, "--no-baselines", *options.split())
    assert {row["method"] for row in found["rows"]} == {"edgetam"}
    assert all(0 <= row[column] <= (1 if column != "swaps" else 99) for row in found["means"])


def test_baselines_beside_another_engine_match_on_siaf_ts_features(
    davis2017: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["propagation", str(davis2017), "--sequences", "duo", "--length", "3"]
    assert main(["evaluate", *options, "--json"]) == 0
    own = json.loads(capsys.readouterr().out)["means"]
    beside = measured(capsys, *options[:1], davis2017, *options[2:])["means"]
    assert [row["method"] for row in beside] == ["edgetam", "copy-nearest", "nearest-neighbour", "optical-flow"]
    assert beside[1:] == own[1:]


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("paper", "", "model: edgetam is another engine; this is about siaf's own networks only"),
        ("ablations", "", "model: edgetam is another engine; this is about siaf's own networks only"),
        ("propagation", "--references 2 --adapt", "adapt: edgetam has no decoder that a session can adapt"),
        ("propagation", "--propagation x.safetensors", "propagation: edgetam has no network to replace"),
        ("interaction", "--interaction x.safetensors", "interaction: edgetam has no network to replace"),
        ("clicks", "--segmenter x.safetensors", "segmenter: edgetam has no segmenter to replace"),
        ("boxes", "", "weights: edgetam is not on this machine; run: siaf weights fetch edgetam"),
    ],
)
def test_what_is_about_siafs_own_networks_says_so_in_one_line(
    kind: str,
    options: str,
    message: str,
    davis2017: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("SIAF_WEIGHTS_FOLDER", str(tmp_path))
    assert main(["evaluate", kind, str(davis2017), "--model", "edgetam", *options.split()]) == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1
