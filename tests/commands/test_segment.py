"""`siaf segment` as a user calls it: results, errors of one line, nothing half-written."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from siaf.cli import main
from siaf.video import open_video

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
    masks = [np.asarray(Image.open(out / "masks" / f"{n:05d}.png")) for n in range(12)]
    assert masks[2][int(0.25 * 71), int(0.2 * 95)] == 1
    assert all(mask.shape == (72, 96) and set(np.unique(mask)) <= {0, 1, 2} for mask in masks)
    assert len(open_video(out / "overlay.mp4")) == 12
    tracks = ElementTree.parse(out / "annotations.xml").getroot().findall("track")
    assert len(tracks) == sum(len(np.unique(mask)) - 1 for mask in masks)
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
        (as_json("round1.json", strokes(5)), "has 5 frames, the video 12"),
        (as_json("round1.json", strokes(12)), "no stroke"),
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
        (["--state", "none.siaf"], "none.siaf: No such file"),
        (["--weights", "none.safetensors"], "weights: no such file"),
        (["--model", "siaf-swinb"], "no weights of siaf-swinb ship"),
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


def test_a_failure_while_writing_leaves_what_was_there(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(segment(folder)) == 0
    before = {p: p.read_bytes() for p in (folder / "out").rglob("*") if p.is_file()}

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("siaf.output.write_report", full)
    assert main(segment(folder, "--scribbles", str(folder / "round2.json"))) == 1
    assert "No space left on device" in capsys.readouterr().err
    assert {p: p.read_bytes() for p in (folder / "out").rglob("*") if p.is_file()} == before
