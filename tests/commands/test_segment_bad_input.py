"""What `siaf segment` cannot use: one line that names it, and nothing is written."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from segment_runs import line, segment, strokes

from siaf.cli import main


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


def test_without_anything_to_go_by_the_ways_are_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["segment", str(folder / "clip"), "--out", str(folder / "out")]) == 2
    error = capsys.readouterr().err
    assert all(way in error for way in ("--scribbles FILE", "--masks FOLDER", "--state FILE"))


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
