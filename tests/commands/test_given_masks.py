"""`siaf segment --masks`: masks of some frames are a start, and what the network is adapted to."""

import json
import re
import shlex
import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from segment_runs import segment

from siaf.cli import main
from siaf.output.palette import PALETTE
from siaf.session.adaptation import Adaptation
from siaf.session.state_file import read_summary


def save_masks(folder: Path, form: str) -> None:
    """Masks of frames 2 and 9: object 1 is the red square, 2 the blue one."""
    (folder / "given").mkdir()
    for n in (2, 9):
        mask = np.zeros((72, 96), np.uint8)
        mask[10:30, 5 + 4 * n : 25 + 4 * n] = 1
        mask[40:60, 70 - 4 * n : 90 - 4 * n] = 2 if form != "binary" else 1
        image = Image.fromarray(mask * 255 if form == "binary" else mask)
        if form in ("palette", "colours"):
            image.putpalette(PALETTE.tobytes())
        if form == "colours":
            image = image.convert("RGB")
        image.save(folder / "given" / f"{n}.png")


@pytest.mark.parametrize("form", ["palette", "grey", "colours", "binary"])
def test_masks_of_some_frames_are_a_start(folder: Path, capsys: pytest.CaptureFixture[str], form: str) -> None:
    save_masks(folder, form)
    (folder / "given" / "notes.txt").write_text("x")
    arguments = ["segment", str(folder / "clip"), "--masks", str(folder / "given"), "--out", str(folder / "out")]
    assert main([*arguments, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["took"] == {"strokes": 0, "masks": 2, "frames": [2, 9]}
    assert list(result["objects"]) == (["1"] if form == "binary" else ["1", "2"])
    assert "these files in given are not masks and were left out: notes.txt" in result["notes"]
    mask = np.asarray(Image.open(folder / "out" / "masks" / "2.png"))
    assert mask[20, 20] == 1
    assert mask[50, 65] == (1 if form == "binary" else 2)


@pytest.mark.parametrize(
    ("name", "image", "message"),
    [
        ("77.png", Image.new("L", (96, 72), 1), "no picture in the clip is named like 77.png"),
        ("2.png", Image.new("L", (50, 40), 1), "2.png: the mask is 50×40 pixels"),
        ("2.png", Image.new("L", (96, 72)), "all empty"),
        ("2.png", Image.new("RGB", (96, 72), (1, 2, 3)), r"colour \[1, 2, 3\]"),
        ("2.png", Image.fromarray(np.full((72, 96), 300, np.uint16)), "tags are 0 to 255, found 300"),
        ("2.txt", None, "holds no masks"),
    ],
)
def test_masks_that_do_not_fit_are_named(
    folder: Path, capsys: pytest.CaptureFixture[str], name: str, image: Image.Image | None, message: str
) -> None:
    (folder / "given").mkdir()
    if image is None:
        (folder / "given" / name).write_text("x")
    else:
        image.save(folder / "given" / name)
    assert main(segment(folder, "--masks", str(folder / "given"))) == 2
    error = capsys.readouterr().err
    assert error.startswith("siaf: --masks:")
    assert re.search(message, error)


@pytest.mark.adapting
@pytest.mark.parametrize(("options", "adapts"), [([], True), (["--adapt"], True), (["--no-adapt"], False)])
def test_the_network_is_adapted_to_given_masks(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, options: list[str], adapts: bool
) -> None:
    monkeypatch.setattr("siaf.session.adaptation._STEPS", 3)
    save_masks(folder, "palette")
    arguments = ["segment", str(folder / "clip"), "--masks", str(folder / "given"), "--out", str(folder / "out")]
    assert main([*arguments, "--json", *options]) == 0
    notes = json.loads(capsys.readouterr().out)["notes"]
    assert ("round 1: adapted (masks of frames 2, 9)" in notes) == adapts
    summary = read_summary((folder / "out" / "session.siaf").read_bytes())
    assert (summary.adapted is not None) == adapts


@pytest.mark.adapting
@pytest.mark.parametrize("asked", [False, True])
def test_strokes_alone_are_nothing_to_adapt_to(folder: Path, capsys: pytest.CaptureFixture[str], asked: bool) -> None:
    assert main(segment(folder, "--json", *(["--adapt"] if asked else []))) == 0
    notes = json.loads(capsys.readouterr().out)["notes"]
    assert ("round 1: not adapted, there is no mask to learn from (--masks)" in notes) == asked


def test_an_adaptation_that_is_stopped_is_done_by_the_command_that_goes_on(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("siaf.session.adaptation._STEPS", 3)
    save_masks(folder, "palette")
    arguments = ["segment", str(folder / "clip"), "--masks", str(folder / "given"), "--adapt"]
    assert main([*arguments, "--out", str(folder / "whole")]) == 0
    step = Adaptation.step

    def stop(self: Adaptation) -> None:
        step(self)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Adaptation, "step", stop)
    assert main([*arguments, "--out", str(folder / "out")]) == 130
    command = capsys.readouterr().err.rsplit("resume with: ", 1)[1].strip()
    assert read_summary((folder / "out" / "session.siaf").read_bytes()).adapted is None
    assert "--adapt" in command
    monkeypatch.setattr(Adaptation, "step", step)
    assert main(shlex.split(command)[1:]) == 0
    for number in range(12):
        one, two = (Image.open(folder / out / "masks" / f"{number}.png") for out in ("whole", "out"))
        assert np.array_equal(np.asarray(one), np.asarray(two))
