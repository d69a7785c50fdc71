"""What the studio gives to download: one file, or a zip of several."""

import json
import zipfile
from pathlib import Path

import av
import numpy as np
import pytest
from dataset_readers import READERS
from numpy.typing import NDArray

from siaf import Session
from siaf.errors import InputError
from siaf.frames.source import ArrayFrames
from siaf.model.loaded import Model
from siaf.output.export.formats import EXPORTS
from siaf.session.state_file import dump_session
from siaf.studio.export import make_attachment

Frames = NDArray[np.uint8]


def index_mask(n: int) -> NDArray[np.uint8]:
    mask = np.zeros((72, 96), np.uint8)
    mask[10:30, 5 + 4 * n : 25 + 4 * n] = 3
    return mask


@pytest.fixture
def state(tiny_model: Model, clip: Frames) -> bytes:
    session = Session(tiny_model, clip)
    session.interact({}, {n: index_mask(n) for n in range(12)})
    return dump_session(session)


@pytest.mark.parametrize("kind", ["davis", "mots", "matte"])
def test_a_folder_becomes_a_zip(state: bytes, clip: Frames, tmp_path: Path, kind: str) -> None:
    made = make_attachment(tmp_path, state, ArrayFrames(clip), {}, name="street.mp4", kind=kind)
    assert (made.path.parent, made.name, made.media_type) == (tmp_path, f"street.mp4-{kind}.zip", "application/zip")
    with zipfile.ZipFile(made.path) as archive:
        assert archive.testzip() is None
        archive.extractall(tmp_path / "unpacked")
    notes = tmp_path / "unpacked" / "NOTES.txt"
    assert notes.exists() == (kind == "matte")
    notes.unlink(missing_ok=True)
    shown = READERS[kind](tmp_path / "unpacked")
    assert shown.keys() == {(n, 3) for n in range(12)}
    assert all(np.array_equal(shown[n, 3], index_mask(n) == 3) for n in range(12))


@pytest.mark.parametrize(
    ("kind", "name", "media_type"),
    [
        ("coco", "-coco.json", "application/json"),
        ("overlay", "-overlay.mp4", "video/mp4"),
        ("cvat", "-annotations.xml", "application/xml"),
        ("siaf", ".siaf", "application/octet-stream"),
    ],
)
def test_a_single_file_is_itself(
    state: bytes, clip: Frames, tmp_path: Path, kind: str, name: str, media_type: str
) -> None:
    made = make_attachment(tmp_path, state, ArrayFrames(clip), {}, name="street.mp4", kind=kind)
    assert (made.name, made.media_type) == (f"street.mp4{name}", media_type)
    assert made.path.stat().st_size > 0
    assert list(tmp_path.iterdir()) == [made.path]


def test_every_format_can_be_had(state: bytes, clip: Frames, tmp_path: Path) -> None:
    for kind in EXPORTS:
        (tmp_path / kind).mkdir()
        made = make_attachment(tmp_path / kind, state, ArrayFrames(clip), {}, name="a", kind=kind)
        assert made.path.is_file()
    assert len(json.loads((tmp_path / "coco" / "coco.json").read_text())["annotations"]) == 12


def test_an_unknown_format_is_named(state: bytes, clip: Frames, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="^as: 'yolo' is not one of: davis, overlay"):
        make_attachment(tmp_path, state, ArrayFrames(clip), {}, name="a", kind="yolo")
    assert not list(tmp_path.iterdir())


def test_the_overlay_has_the_colours_of_the_page(state: bytes, clip: Frames, tmp_path: Path) -> None:
    made = make_attachment(tmp_path, state, ArrayFrames(clip), {3: "#1080ff"}, name="a", kind="overlay")
    with av.open(str(made.path)) as container:
        first = next(container.decode(video=0)).to_ndarray(format="rgb24")
    inside = (slice(14, 26), slice(9, 21))
    expected = (clip[0][inside].astype(float) + np.array([0x10, 0x80, 0xFF])) / 2
    assert np.abs(first[inside].mean((0, 1)) - expected.mean((0, 1))).max() < 12
