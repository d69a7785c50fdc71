"""`siaf segment` as a user calls it: results, errors of one line, nothing half-written."""

import json
import re
import shlex
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from siaf.cli import main
from siaf.frames.source import open_video
from siaf.output.palette import PALETTE
from siaf.session.adaptation import Adaptation
from siaf.session.propagation import Propagator
from siaf.session.state_file import read_summary

Frames = NDArray[np.uint8]


def strokes(n_frames: int, **by_frame: list[dict[str, object]]) -> dict[str, object]:
    return {"scribbles": [by_frame.get(f"f{n}", []) for n in range(n_frames)], "sequence": "clip"}


def line(tag: int, x0: float, y0: float, x1: float, y1: float) -> dict[str, object]:
    return {"path": [[x0, y0], [x1, y1]], "object_id": tag, "start_time": 0, "end_time": 1}


ROUND_1 = strokes(12, f2=[line(1, 0.2, 0.25, 0.3, 0.3)], f9=[line(2, 0.45, 0.65, 0.5, 0.7)])
ROUND_2 = strokes(12, f6=[line(1, 0.4, 0.2, 0.45, 0.3), line(0, 0.1, 0.9, 0.9, 0.95)])


@pytest.fixture
def folder(clip: Frames, tmp_path: Path) -> Path:
    frames = tmp_path / "clip"
    frames.mkdir()
    for n, frame in enumerate(clip):
        Image.fromarray(frame).save(frames / f"{n}.png")
    for number, content in enumerate((ROUND_1, ROUND_2), 1):
        (tmp_path / f"round{number}.json").write_text(json.dumps(content))
    return tmp_path


def segment(folder: Path, *more: str) -> list[str]:
    return [
        "segment",
        str(folder / "clip"),
        "--scribbles",
        str(folder / "round1.json"),
        "--out",
        str(folder / "out"),
        *more,
    ]


def test_two_rounds_leave_everything_in_the_folder(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(segment(folder, "--scribbles", str(folder / "round2.json"), "--label", "2=car", "--json"))
    result = json.loads(capsys.readouterr().out)
    assert code == 0
    assert result["rounds"] == 2
    assert result["interacted"] == [2, 6, 9]
    assert result["objects"] == {"1": "object 1", "2": "car"}
    out = folder / "out"
    assert sorted(p.name for p in out.iterdir()) == [
        "annotations.xml",
        "masks",
        "overlay.mp4",
        "report.html",
        "session.siaf",
    ]
    masks = [np.asarray(Image.open(out / "masks" / f"{n}.png")) for n in range(12)]
    assert masks[2][int(0.25 * 71), int(0.2 * 95)] == 1
    assert all(mask.shape == (72, 96) and set(np.unique(mask)) <= {0, 1, 2} for mask in masks)
    assert len(open_video(out / "overlay.mp4")) == 12
    pictures = ElementTree.parse(out / "annotations.xml").getroot().findall("image")
    assert [picture.attrib["name"] for picture in pictures] == [f"{n}.png" for n in range(12)]
    assert [len(picture) for picture in pictures] == [len(np.unique(mask)) - 1 for mask in masks]
    assert result["took"] == {"strokes": 4, "masks": 0, "frames": [2, 6, 9]}
    assert "frame 2 is 2.png here and 10.png in a CVAT task" in result["notes"][0]
    report = (out / "report.html").read_text()
    assert "car" in report
    assert not re.search(r'(?:src|href)="(?!data:|#)', report)


def test_a_saved_session_goes_on(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(segment(folder)) == 0
    (folder / "round1.json").write_text(json.dumps(ROUND_2))
    assert main(segment(folder, "--state", str(folder / "out" / "session.siaf"), "--json")) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["rounds"] == 2
    assert result["interacted"] == [2, 6, 9]


def write(name: str, content: str | bytes) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        data = content if isinstance(content, bytes) else content.encode()
        (folder / name).write_bytes(data)

    return change


def as_json(name: str, content: object) -> Callable[[Path], None]:
    return write(name, json.dumps(content))


def larger_frame(folder: Path) -> None:
    Image.new("RGB", (50, 40)).save(folder / "clip" / "7.png")


def no_frames(folder: Path) -> None:
    for path in (folder / "clip").iterdir():
        path.unlink()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "round1.json").unlink(), "round1.json: No such file"),
        (write("round1.json", "{not json"), "is not JSON"),
        (as_json("round1.json", strokes(5)), "has 5 frames, but the video has 12"),
        (as_json("round1.json", strokes(12)), "no stroke"),
        (as_json("round1.json", strokes(12, f3=[line(0, 0.1, 0.1, 0.2, 0.2)])), "only background strokes"),
        (as_json("round1.json", strokes(12, f3=[line(1, 1.1, 0.1, 1.2, 0.2)])), "no stroke"),
        (
            as_json("round1.json", strokes(12, f3=[line(1, 20, 15, 30, 20)])),
            r"scribbles\[3\]\[0\]\.path: .* in pixels.*divide x by 95 and y by 71",
        ),
        (as_json("round1.json", strokes(12, f3=[line(1, float("nan"), 0.1, 0.2, 0.2)])), r"scribbles\[3\]\[0\]\.path"),
        (
            as_json("round1.json", strokes(12, f3=[line(1, 9.0, 0.1, 0.2, 0.2)])),
            r"scribbles\[3\]\[0\]\.path.*far outside",
        ),
        (as_json("round1.json", strokes(12, f3=[{"path": [], "object_id": 1}])), r"scribbles\[3\]\[0\]\.path.*empty"),
        (as_json("round1.json", strokes(12, f3=[line(256, 0.1, 0.1, 0.2, 0.2)])), r"scribbles\[3\]\[0\]\.object_id"),
        (larger_frame, "7.png"),
        (no_frames, "clip"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str], change: Callable[[Path], None], message: str
) -> None:
    change(folder)
    code = main(segment(folder))
    error = capsys.readouterr().err.strip()
    assert code == 2
    assert len(error.splitlines()) == 1
    assert re.search(message, error), error
    assert not (folder / "out").exists()


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--label", "x"], "--label: must be TAG=NAME"),
        (["--label", "3=dog"], "--label: there is no object 3; objects: 1, 2"),
        (["--device", "gpu"], "--device: must be auto, cpu, cuda or cuda:N, not 'gpu'"),
        (["--device", "cuda:99"], "--device: cuda:99: this machine has"),
        (["--frames", "3"], "--frames: must be A-B, as 20-30, not '3'"),
        (["--frames", "3-x"], "--frames: must be A-B, as 20-30, not '3-x'"),
        (["--frames", "5-3"], "--frames: 5-3 is not in the video, whose frames are 0 to 11"),
        (["--frames", "3-12"], "--frames: 3-12 is not in the video, whose frames are 0 to 11"),
        (["--barriers", "0"], "barriers: there is nothing before frame 0"),
        (["--barriers", "3,12"], "barriers: frame 12 is not in the video"),
        (["--masks", "none"], "--masks: none is not a folder"),
        (["--state", "none.siaf"], "none.siaf: No such file"),
        (["--weights", "none.safetensors"], "weights: no such file"),
        (["--model", "siaf-swinb"], "siaf comes with no weights of siaf-swinb"),
    ],
)
def test_bad_options_are_named(
    folder: Path, capsys: pytest.CaptureFixture[str], extra: list[str], message: str
) -> None:
    assert main(segment(folder, *extra)) == 2
    assert message in capsys.readouterr().err


def test_a_file_that_is_no_video_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = segment(folder)
    arguments[1] = str(folder / "round1.json")
    assert main(arguments) == 2
    assert "round1.json" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "out").write_text("a file is in the way")
    assert main(segment(folder)) == 2
    assert "out:" in capsys.readouterr().err
    assert (folder / "out").read_text() == "a file is in the way"


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_failure_while_writing_leaves_what_was_there_and_keeps_what_is_done(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(segment(folder)) == 0
    before = files(folder / "out")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    second = segment(folder, "--scribbles", str(folder / "round2.json"), "--label", "2=car")
    with monkeypatch.context() as disk:
        disk.setattr("siaf.output.write_report", full)
        assert main(second) == 1
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    assert "No space left on device" in error
    after = files(folder / "out")
    assert after.pop("session.before.siaf") == before["session.siaf"]
    assert {k: v for k, v in after.items() if k != "session.siaf"} == {
        k: v for k, v in before.items() if k != "session.siaf"
    }
    assert main(go_on(error)) == 0
    assert "car" in (folder / "out" / "report.html").read_text()


def go_on(error: str) -> list[str]:
    """The command that a message ends with."""
    command = shlex.split(error.split("resume with: ")[1])
    assert command[0] == "siaf"
    return command[1:]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("after", [3, 15])
def test_a_stopped_run_goes_on_and_ends_as_one_that_was_not(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
    after: int,
) -> None:
    """In the first round, and in the second."""
    rounds = segment(folder, "--scribbles", str(folder / "round2.json"))
    steps = 0
    advance = Propagator.advance

    def stopping(self: Propagator, *arguments: Any) -> Any:
        nonlocal steps
        steps += 1
        if steps == after:
            signal.raise_signal(number)
        return advance(self, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(Propagator, "advance", stopping)
        assert main(rounds) == 130
    assert steps == after
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    assert error.startswith(f"siaf: stopped; your work is kept in {folder / 'out' / 'session.siaf'}; resume with: ")
    assert sorted(files(folder / "out")) == ["session.siaf"]
    assert main(go_on(error)) == 0
    rounds[rounds.index("--out") + 1] = str(folder / "whole")
    assert main(rounds) == 0
    kept, whole = files(folder / "out"), files(folder / "whole")
    assert {k: kept[k] for k in whole if k.endswith("png")} == {k: whole[k] for k in whole if k.endswith("png")}


def test_a_state_alone_writes_the_results_again(folder: Path) -> None:
    assert main(segment(folder)) == 0
    out = folder / "out"
    first = files(out)
    again = ["segment", str(folder / "clip"), "--state", str(out / "session.siaf"), "--out", str(folder / "a:b")]
    assert main(again) == 0
    second = files(folder / "a:b")
    assert {k: v for k, v in second.items() if "mp4" not in k} == {k: v for k, v in first.items() if "mp4" not in k}
    assert len(open_video(folder / "a:b" / "overlay.mp4")) == 12


def test_without_anything_to_go_by_the_ways_are_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["segment", str(folder / "clip"), "--out", str(folder / "out")]) == 2
    error = capsys.readouterr().err
    assert all(way in error for way in ("--scribbles FILE", "--masks FOLDER", "--state FILE"))


def test_tags_as_text_or_floats_count_and_what_is_left_out_is_said(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn = [{**line(1, 0.2, 0.25, 0.3, 0.3), "object_id": tag} for tag in ("1", 2.0)]
    outside = line(3, 1.1, 0.1, 1.2, 0.1)
    denied = {**line(9, 0.2, 0.2, 0.3, 0.3), "polarity": "negative"}
    (folder / "round1.json").write_text(json.dumps(strokes(12, f2=[*drawn, outside, denied])))
    assert main(segment(folder)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "used 3 strokes and 0 masks, on frames: 2"
    assert lines[-3] == "note: round1.json: scribbles[2][2] lies outside the picture and was left out"
    assert lines[-2] == "note: round 1 has negative strokes for objects that were never drawn: 9"


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


@pytest.mark.parametrize("adapt", [False, True])
def test_the_network_is_adapted_to_given_masks_if_asked(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, adapt: bool
) -> None:
    monkeypatch.setattr("siaf.session.adaptation._STEPS", 3)
    save_masks(folder, "palette")
    arguments = ["segment", str(folder / "clip"), "--masks", str(folder / "given"), "--out", str(folder / "out")]
    assert main([*arguments, "--json", *(["--adapt"] if adapt else [])]) == 0
    notes = json.loads(capsys.readouterr().out)["notes"]
    assert ("round 1: adapted (masks of frames 2, 9)" in notes) == adapt
    summary = read_summary((folder / "out" / "session.siaf").read_bytes())
    assert (summary.adapted is not None) == adapt


def test_strokes_alone_are_too_little_to_adapt_to(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(segment(folder, "--adapt", "--json")) == 0
    notes = json.loads(capsys.readouterr().out)["notes"]
    assert "round 1: not adapted, masks of 2 frames are needed (--masks) and there are 0" in notes


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


def written(folder: Path) -> list[int]:
    return sorted(int(path.stem) for path in (folder / "masks").iterdir())


def test_a_range_of_frames_is_all_that_is_written(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(segment(folder, "--frames", "4-6", "--json")) == 0
    result, out = json.loads(capsys.readouterr().out), folder / "out"
    assert written(out) == [4, 5, 6]
    assert len(open_video(out / "overlay.mp4")) == 3
    assert [int(image.attrib["id"]) for image in ElementTree.parse(out / "annotations.xml").iter("image")] == [4, 5, 6]
    assert result["notes"][:2] == [
        "left out, as outside --frames: 0-1, 3, 7-8, 10-11",
        "drawn on outside --frames, in the session but not written: 2, 9",
    ]
    ranged = files(out / "masks")
    assert main(segment(folder)) == 0
    assert {name: data for name, data in files(out / "masks").items() if name in ranged} == ranged


def test_a_range_leaves_the_masks_of_an_earlier_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(segment(folder)) == 0
    before = files(folder / "out" / "masks")
    command = segment(folder, "--state", str(folder / "out" / "session.siaf"), "--frames", "7-8", "--json")
    command[command.index("--scribbles") + 1] = str(folder / "round2.json")
    capsys.readouterr()
    assert main(command) == 0
    notes = json.loads(capsys.readouterr().out)["notes"]
    assert notes[0] == "outside --frames, written as the session has them: 0-5, 9-11"
    after = files(folder / "out" / "masks")
    assert after.keys() == before.keys()
    assert {name for name in after if after[name] != before[name]} <= {f"{n}.png" for n in (2, 6, 7, 8, 9)}
    assert {name for name in after if after[name] != before[name]} >= {"6.png"}


def test_what_a_range_left_out_is_done_by_the_state_alone(folder: Path) -> None:
    assert main(segment(folder, "--frames", "4-6")) == 0
    command = ["segment", str(folder / "clip"), "--state", str(folder / "out" / "session.siaf")]
    assert main([*command, "--out", str(folder / "rest")]) == 0
    assert main(segment(folder)) == 0
    assert files(folder / "rest" / "masks") == files(folder / "out" / "masks")
