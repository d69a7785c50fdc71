"""`siaf segment` as a user calls it: the results of rounds, of a saved session, of a range of frames."""

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from segment_runs import ROUND_2, files, line, segment, strokes

from siaf.cli import main
from siaf.frames.source import open_video


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


def test_a_state_alone_writes_the_results_again(folder: Path) -> None:
    assert main(segment(folder)) == 0
    out = folder / "out"
    first = files(out)
    again = ["segment", str(folder / "clip"), "--state", str(out / "session.siaf"), "--out", str(folder / "a:b")]
    assert main(again) == 0
    second = files(folder / "a:b")
    assert {k: v for k, v in second.items() if "mp4" not in k} == {k: v for k, v in first.items() if "mp4" not in k}
    assert len(open_video(folder / "a:b" / "overlay.mp4")) == 12


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
