"""`siaf evaluate`: every kind prints one table, with baselines beside the model, for people and for machines."""

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest

from siaf.cli import main
from siaf.evaluation.davis import DavisFolder
from siaf.model.loaded import Model
from siaf.training.loop import Schedule, Trainer
from siaf.weights import build_model


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch, tiny_model: Model) -> None:
    monkeypatch.setattr("siaf.commands.measured_model.load_networks", lambda *_, **__: tiny_model)


def as_json(capsys: pytest.CaptureFixture[str], *arguments: object) -> Any:
    assert main(["evaluate", *map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


BASELINES = ["copy-nearest", "nearest-neighbour", "optical-flow"]


def test_propagation_is_measured_beside_the_baselines(davis2017: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = as_json(capsys, "propagation", davis2017)
    assert [row["method"] for row in found["means"]] == ["siaf-t", *BASELINES]
    assert {row["sequence"] for row in found["rows"]} == {"duo", "trio"}
    assert all(0 <= row[column] <= 1 for row in found["means"] for column in ("J", "F", "J&F", "J last quarter"))


@pytest.mark.adapting
def test_propagation_adapts_to_the_references_that_it_is_given(
    davis2017: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--sequences", "duo", "--no-baselines", "--every", 2)
    (adapted,), (shipped,) = (
        as_json(capsys, "propagation", davis2017, *options, *more)["rows"] for more in ((), ("--no-adapt",))
    )
    assert (shipped["method"], adapted["method"]) == ("siaf-t not adapted", "siaf-t")
    assert shipped["J"] != adapted["J"]
    assert main(["evaluate", "propagation", str(davis2017), "--references", "99"]) == 2
    assert "references: must be fewer than the clip's" in capsys.readouterr().err


def test_interactive_has_a_row_per_round_sample_and_method(
    davis2017: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, plot = tmp_path / "table.csv", tmp_path / "curve.svg"
    options = ("--sequences", "duo", "--rounds", 2, "--length", 5, "--csv", table, "--plot", plot)
    found = as_json(capsys, "interactive", davis2017, *options)
    assert {row["sequence"] for row in found["rows"]} == {"duo #1", "duo #2", "duo #3"}
    assert [(row["method"], row["round"]) for row in found["means"]] == [
        (method, number) for method in ["siaf-t", *BASELINES] for number in ("1", "2")
    ]
    assert list(found["summary"]) == ["siaf-t", *BASELINES]
    assert found["means"][1]["scribbled frames"] == 2
    with table.open() as file:
        assert len(list(csv.DictReader(file))) == len(found["rows"]) + len(found["means"])
    drawn = re.findall("<!-- (.*?) -->", plot.read_text())  # the words of the plot, which are drawn as curves
    assert "J&amp;F" in drawn
    assert {word.split(":")[0] for word in drawn if "at 60 s" in word} == {"siaf-t", *BASELINES}


def test_composites_can_be_saved_as_a_davis_2017_folder(
    davis2017: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", "composites", str(davis2017), "--objects", "2", "--save", str(tmp_path / "made")]) == 0
    assert "duo+trio: 6 frames, 5 objects" in capsys.readouterr().out
    made = DavisFolder(tmp_path / "made")
    assert made.sequences() == ["duo+trio", "trio+duo"]
    assert len(made.load("trio+duo").scribbles) == 3


def test_composites_count_swaps(davis2017: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = as_json(
        capsys, "composites", davis2017, "--objects", 2, "--frames", 1, "--rounds", 2, "--length", 3, "--no-baselines"
    )
    assert [row["method"] for row in found["means"]] == ["siaf-t"] * 2
    assert found["means"][0]["swaps"] == 0


def test_clicks_and_strokes_have_grabcut_beside_them(davis2017: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clicks = as_json(capsys, "clicks", davis2017, "--every", 6, "--clicks", 2)
    assert [row["method"] for row in clicks["means"]] == ["siaf-t", "grabcut"]
    assert list(clicks["means"][0]) == ["sequence", "method", "IoU box", "IoU click 1", "IoU click 2"]
    strokes = as_json(capsys, "interaction", davis2017, "--every", 6, "--rounds", 1)
    assert [row["method"] for row in strokes["means"]] == ["siaf-t", "grabcut"]


def test_boxes_have_mil_beside_them(davis2017: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = as_json(capsys, "boxes", davis2017, "--length", 4)
    assert [row["method"] for row in found["means"]] == ["siaf-t", "OpenCV MIL", "copy-first"]


def test_the_papers_tables_run_from_one_command(
    davis2017: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--sequences", "duo", "--length", "3"]
    assert main(["evaluate", "paper", str(davis2017), *options, "--csv", str(tmp_path / "t.csv")]) == 0
    printed = capsys.readouterr().out
    assert [line.split(":")[0] for line in printed.splitlines() if line.startswith("Table")] == [
        "Table I",
        "Table II",
        "Table III",
    ]
    assert "| 3 | 3 | " in printed
    with (tmp_path / "t.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 4 + 4 + 9
    ablations = as_json(capsys, "ablations", davis2017, "--sequences", "duo", "--length", 2)
    assert [title.split(":")[0] for title in ablations] == ["Table II", "Table III"]


def test_a_checkpoint_takes_the_place_of_its_network(
    davis2017: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("propagation", davis2017, "--sequences", "duo", "--no-baselines")
    before = as_json(capsys, *options)
    other = build_model("siaf-t", device="cpu", seed=4).propagation.requires_grad_(True)
    Trainer(other, Schedule(steps=1, lr=1.0), tmp_path, name="siaf-t propagation").save()
    checkpoint = tmp_path / "checkpoint.safetensors"
    after = as_json(capsys, *options, "--propagation", checkpoint)
    assert after["means"][0]["J"] != before["means"][0]["J"]
    assert main(["evaluate", *map(str, options), "--interaction", str(checkpoint)]) == 2
    assert "is a checkpoint of siaf-t propagation, not of siaf-t interaction" in capsys.readouterr().err


def test_an_empty_sequence_and_an_unknown_one_are_named(davis2017: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "propagation", str(davis2017), "--sequences", "goose"]) == 2
    assert "'goose'" in capsys.readouterr().err
