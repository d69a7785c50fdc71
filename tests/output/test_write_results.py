"""`write_results`: everything that a finished session leaves in its folder."""

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from siaf.files import staged_folder
from siaf.frames.source import open_video
from siaf.output import Results, write_results
from siaf.output.overlay import OverlayVideo

Make = Callable[..., Results]


@contextmanager
def full_disk() -> Iterator[None]:
    """No file may grow beyond 2 KiB."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2048, old[1]))
    try:
        yield  # inside a test only: pytest writes to a log of its own between tests
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)


def test_a_folder_gets_masks_video_annotations_and_report(tmp_path: Path, results: Make) -> None:
    progress = list(write_results(tmp_path, results()))
    assert progress == [(n, 8) for n in range(1, 9)]
    assert {p.name for p in tmp_path.iterdir()} == {"masks", "overlay.mp4", "annotations.xml", "report.html"}
    assert [p.name for p in sorted((tmp_path / "masks").iterdir())] == [f"{n:05d}.png" for n in range(8)]


def test_a_mask_pngs_values_are_the_tags(tmp_path: Path, results: Make) -> None:
    list(write_results(tmp_path, results()))
    for n in range(8):
        image = Image.open(tmp_path / "masks" / f"{n:05d}.png")
        assert image.mode == "P"
        assert np.array_equal(np.asarray(image), results().mask(n))


def test_the_video_has_every_frame_and_an_even_size(tmp_path: Path, results: Make) -> None:
    list(write_results(tmp_path, results()))
    video = open_video(tmp_path / "overlay.mp4")
    assert (len(video), video.height, video.width, video.fps) == (8, 42, 64, 12.5)


def test_masks_of_pictures_have_their_names(tmp_path: Path, results: Make) -> None:
    made = results()
    made.frames.names = [f"b{n}.x.jpg" for n in range(8)]
    list(write_results(tmp_path, made))
    assert sorted(p.name for p in (tmp_path / "masks").iterdir()) == [f"b{n}.x.png" for n in range(8)]
    images = ElementTree.parse(tmp_path / "annotations.xml").getroot().findall("image")
    assert [image.attrib["name"] for image in images] == [f"b{n}.x.jpg" for n in range(8)]


@pytest.mark.parametrize("method", ["__init__", "add", "__exit__"])
def test_an_overlay_that_fails_costs_nothing_else(
    tmp_path: Path, results: Make, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(OverlayVideo, method, fail)
    made = results()
    list(write_results(tmp_path, made))
    assert {p.name for p in tmp_path.iterdir()} == {"masks", "annotations.xml", "report.html"}
    assert len(list((tmp_path / "masks").iterdir())) == 8
    assert len(made.notes) == 1
    assert "there is no overlay.mp4: " in made.notes[0] and "No space left" in made.notes[0]


def test_a_full_disk_leaves_what_was_there_before(tmp_path: Path, results: Make) -> None:
    (tmp_path / "report.html").write_text("old")
    with full_disk(), pytest.raises(OSError, match="too large"), staged_folder(tmp_path) as stage:
        list(write_results(stage, results()))
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"report.html": "old"}


def test_a_writer_that_is_dropped_halfway_leaves_what_was_there_before(tmp_path: Path, results: Make) -> None:
    (tmp_path / "report.html").write_text("old")
    with pytest.raises(KeyboardInterrupt), staged_folder(tmp_path) as stage:
        next(write_results(stage, results()))
        raise KeyboardInterrupt
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"report.html": "old"}


def test_a_video_without_objects_can_be_written(tmp_path: Path, results: Make) -> None:
    nothing = results(labels={}, mask=lambda n: np.zeros((41, 63), np.uint8), rounds=[], confidence={}, suggested=[])
    list(write_results(tmp_path, nothing))
    assert "<track" not in (tmp_path / "annotations.xml").read_text()


def test_interacted_frames_know_their_rounds(results: Make) -> None:
    assert results().interacted == {0: [1], 4: [1, 2], 6: [2]}
