"""`siaf export`: every format, read back by pycocotools, Pillow, PyAV and cvat-sdk, and errors of one line."""

import json
import re
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree

import av
import cvat_sdk.masks
import numpy as np
import pytest
from dataset_readers import READERS, Shown
from numpy.typing import NDArray
from PIL import Image

from siaf import Scribble, Session
from siaf.cli import main
from siaf.model.loaded import Model
from siaf.output.export.formats import EXPORTS
from siaf.output.palette import PALETTE
from siaf.session.state_file import parse_session

Frames = NDArray[np.uint8]
MASKS = {"davis": "davis", "coco": "coco.json", "youtube-vis": "youtube-vis.json", "mots": "mots", "matte": "matte"}
"""Formats that the tests of CVAT's export read too, and what each is called among others."""


def index_mask(n: int) -> NDArray[np.uint8]:
    """Objects 1 and 200, which touch; 200 is in the second half of the clip only."""
    mask = np.zeros((72, 96), np.uint8)
    mask[10:30, 5 + 4 * n : 25 + 4 * n] = 1
    mask[14:20, 10 + 4 * n : 12 + 4 * n] = 0
    if n >= 6:
        mask[30:50, 5 + 4 * n : 25 + 4 * n] = 200
    return mask


EXPECTED: Shown = {
    (n, tag): index_mask(n) == tag for n in range(12) for tag in (1, 200) if (index_mask(n) == tag).any()
}


@pytest.fixture
def state(tiny_model: Model, clip: Frames, tmp_path: Path) -> Path:
    """A session of twelve frames with a mask on each; object 1 is a car, 200 has no name."""
    session = Session(tiny_model, clip)
    session.interact({}, {n: index_mask(n) for n in range(12)})
    session.objects[1].label = "car"
    session.save(tmp_path / "street 1.siaf")
    return tmp_path / "street 1.siaf"


@pytest.fixture
def pictures(clip: Frames, tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for n, frame in enumerate(clip):
        Image.fromarray(frame).save(folder / f"b{n:02d}.png")
    return folder


@pytest.fixture
def video(clip: Frames, tmp_path: Path) -> Path:
    path = tmp_path / "clip.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = 96, 72, "bgr0"
        for frame in clip:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def export(state: Path, kinds: str, out: Path, *more: str) -> int:
    return main(["export", str(state), "--as", kinds, "--out", str(out), *more])


def same(found: Shown) -> None:
    assert found.keys() == EXPECTED.keys()
    assert all(np.array_equal(found[spot], EXPECTED[spot]) for spot in EXPECTED)


@pytest.mark.parametrize("kind", MASKS)
def test_a_format_of_masks_needs_the_state_alone(state: Path, tmp_path: Path, kind: str) -> None:
    assert export(state, kind, tmp_path / "out") == 0
    same(READERS[kind](tmp_path / "out"))


def test_several_formats_are_one_folder_with_an_entry_for_each(state: Path, pictures: Path, tmp_path: Path) -> None:
    assert export(state, ",".join(EXPORTS), tmp_path / "new" / "out", "--video", str(pictures)) == 0
    out = tmp_path / "new" / "out"
    others = {"overlay.mp4", "annotations.xml", "session.siaf"}
    assert {path.name for path in out.iterdir()} == {*MASKS.values(), *others}
    for kind, entry in MASKS.items():
        same(READERS[kind](out / entry))
    assert (out / "session.siaf").read_bytes() == state.read_bytes()


def test_labels_numbers_and_names_are_kept(state: Path, pictures: Path, tmp_path: Path) -> None:
    assert export(state, "coco,youtube-vis,davis", tmp_path / "out", "--video", str(pictures)) == 0
    coco = json.loads((tmp_path / "out" / "coco.json").read_text())
    labels = {category["id"]: category["name"] for category in coco["categories"]}
    assert {one["track_id"]: labels[one["category_id"]] for one in coco["annotations"]} == {1: "car", 200: "object"}
    assert [image["file_name"] for image in coco["images"]] == [f"b{n:02d}.png" for n in range(12)]
    assert (tmp_path / "out" / "davis" / "ImageSets" / "2017" / "train.txt").read_text() == "street-1\n"


def test_without_the_pictures_frames_have_the_names_that_davis_gives_them(state: Path, tmp_path: Path) -> None:
    assert export(state, "youtube-vis", tmp_path / "out.json") == 0
    names = json.loads((tmp_path / "out.json").read_text())["videos"][0]["file_names"]
    assert names == [f"{n:05d}.jpg" for n in range(12)]


def masks_of(element: ElementTree.Element, tag: str) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    for mask in element.findall(tag):
        left, top, width, height = (int(mask.attrib[key]) for key in ("left", "top", "width", "height"))
        runs = [*map(int, mask.attrib["rle"].split(",")), left, top, left + width - 1, top + height - 1]
        number = int(mask.findtext("attribute[@name='object']") or 0)
        yield number, cvat_sdk.masks.decode_mask(runs, image_width=96, image_height=72)


def test_cvat_gets_the_form_of_its_task(
    state: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export(state, "cvat", tmp_path / "video.xml") == 0
    assert 'note: annotations.xml is "CVAT for video 1.1"; if' in capsys.readouterr().out
    tracks = ElementTree.parse(tmp_path / "video.xml").getroot().findall("track")
    shown: Shown = {}
    for track in tracks:
        frame = int(track.find("mask").attrib["frame"])  # type: ignore[union-attr]
        number, bitmap = next(masks_of(track, "mask[@outside='0']"))
        shown[frame, number] = bitmap
    same(shown)
    assert {track.attrib["label"] for track in tracks} == {"car", "object 200"}
    assert export(state, "cvat", tmp_path / "images.xml", "--video", str(pictures)) == 0
    assert 'note: annotations.xml is "CVAT for images 1.1"' in capsys.readouterr().out
    images = ElementTree.parse(tmp_path / "images.xml").getroot().findall("image")
    assert [image.attrib["name"] for image in images] == [f"b{n:02d}.png" for n in range(12)]
    same({(n, tag): bitmap for n, image in enumerate(images) for tag, bitmap in masks_of(image, "mask")})


def test_the_overlay_has_every_frame_with_the_objects_in_their_colours(
    state: Path, video: Path, clip: Frames, tmp_path: Path
) -> None:
    assert export(state, "overlay", tmp_path / "o.mp4", "--video", str(video)) == 0
    with av.open(str(tmp_path / "o.mp4")) as container:
        assert container.streams.video[0].average_rate == 10
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert [frame.shape for frame in frames] == [(72, 96, 3)] * 12
    for n, frame in enumerate(frames):
        inside = (slice(36, 46), slice(11 + 4 * n, 19 + 4 * n))  # of object 200, away from its outline
        if n >= 6:
            expected = (clip[n][inside].astype(float) + PALETTE[200]) / 2
            assert np.abs(frame[inside].mean((0, 1)) - expected.mean((0, 1))).max() < 12


def test_the_overlay_has_the_colours_that_people_chose(
    tiny_model: Model, clip: Frames, video: Path, tmp_path: Path
) -> None:
    session = Session(tiny_model, clip)
    session.interact({}, {n: index_mask(n) for n in range(12)})
    session.objects[1].origin["color"] = "#1080ff"
    session.objects[200].origin["color"] = "red; no colour"
    session.save(tmp_path / "c.siaf")
    assert export(tmp_path / "c.siaf", "overlay", tmp_path / "o.mp4", "--video", str(video)) == 0
    with av.open(str(tmp_path / "o.mp4")) as container:
        last = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)][7]
    for rows, colour in ((slice(22, 28), (0x10, 0x80, 0xFF)), (slice(36, 46), PALETTE[200])):
        inside = (rows, slice(39, 47))
        expected = (clip[7][inside].astype(float) + colour) / 2
        assert np.abs(last[inside].mean((0, 1)) - expected.mean((0, 1))).max() < 12


def test_frames_without_a_mask_are_left_out_and_said(
    tiny_model: Model, clip: Frames, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    session = Session(tiny_model, clip)
    session.interact({3: [Scribble(1, np.array([[30.0, 20.0], [40.0, 20.0]]))]})
    session.save(tmp_path / "a.siaf")
    assert export(tmp_path / "a.siaf", "davis", tmp_path / "out") == 0
    assert [path.name for path in (tmp_path / "out" / "Annotations").rglob("*.png")] == ["00003.png"]
    said = capsys.readouterr().out
    assert "on 1 of 12 frames" in said
    assert "note: 11 frames have no masks yet and are left out (the first is 0): propagate them" in said


def test_a_state_of_masks_alone_can_be_exported(state: Path, tmp_path: Path) -> None:
    from siaf.session.state_file import read_masks
    from siaf.session.state_writing import dump_masks

    (tmp_path / "m.siaf").write_bytes(dump_masks(read_masks(state.read_bytes())))
    assert export(tmp_path / "m.siaf", "mots", tmp_path / "out") == 0
    same(READERS["mots"](tmp_path / "out"))


def test_the_state_comes_out_as_it_went_in(state: Path, tiny_model: Model, clip: Frames, tmp_path: Path) -> None:
    assert export(state, "siaf", tmp_path / "twin.siaf") == 0
    twin = parse_session((tmp_path / "twin.siaf").read_bytes(), tiny_model, clip)
    assert all(np.array_equal(twin.mask(n), index_mask(n)) for n in range(12))


def fails(capsys: pytest.CaptureFixture[str], message: str) -> None:
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert re.search(message, said), said


def test_bad_input_is_named_and_nothing_is_written(
    state: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert export(state, "coco,yolo", out) == 2
    fails(capsys, "^siaf: --as: 'yolo' is not one of: davis, overlay, cvat, coco, youtube-vis, mots, matte, siaf$")
    assert export(state, "davis,overlay", out) == 2
    fails(capsys, "^siaf: --video: overlay needs the pictures: name the video or the folder of pictures$")
    assert export(pictures / "b00.png", "coco", out) == 2
    fails(capsys, r"b00\.png: not a siaf state file")
    assert export(tmp_path / "none.siaf", "coco", out) == 2
    fails(capsys, r"none\.siaf: No such file or directory$")
    (pictures / "b11.png").unlink()
    assert export(state, "overlay", out, "--video", str(pictures)) == 2
    fails(capsys, r"street 1\.siaf: frames: the state has 12, the video 11$")
    assert export(state, "overlay", out, "--video", str(tmp_path / "no.mp4")) == 2
    fails(capsys, r"--video: no such file: .*no\.mp4$")
    assert not out.exists()


def test_another_video_is_refused(
    state: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (96, 72), "green").save(pictures / "b03.png")
    assert export(state, "coco", tmp_path / "out", "--video", str(pictures)) == 2
    fails(capsys, r"street 1\.siaf: frame 3 of the video is not the one that was annotated$")


def test_a_taken_place_stays_as_it_is(state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    full = tmp_path / "full"
    full.mkdir()
    (full / "mine.txt").write_text("mine")
    assert export(state, "davis", full) == 2
    fails(capsys, "^siaf: --out: .*full is a folder that is not empty; name another one$")
    assert export(state, "coco,cvat", full) == 2
    fails(capsys, "^siaf: --out: .*full is a folder that is not empty; name another one$")
    assert export(state, "coco", full) == 2
    fails(capsys, "^siaf: --out: .*full is a folder; coco is written as one file$")
    assert export(state, "coco,cvat", full / "mine.txt") == 2
    fails(capsys, "^siaf: --out: .*mine.txt is a file; several formats need a folder$")
    assert {path.name: path.read_text() for path in full.iterdir()} == {"mine.txt": "mine"}


def test_a_session_without_masks_has_nothing_to_export_but_itself(
    tiny_model: Model, clip: Frames, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Session(tiny_model, clip).save(tmp_path / "new.siaf")
    assert export(tmp_path / "new.siaf", "siaf,coco", tmp_path / "out") == 2
    fails(capsys, r"new\.siaf: holds no masks yet, so coco would be empty$")
    assert not (tmp_path / "out").exists()
    assert export(tmp_path / "new.siaf", "siaf", tmp_path / "out") == 0


@contextmanager
def full_disk() -> Iterator[None]:
    """No file may grow beyond 1 KiB."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)


@pytest.mark.parametrize("kind", ["coco", "overlay", "siaf", "cvat", "davis,coco", "mots"])
def test_a_full_disk_leaves_nothing_half_written(
    state: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    with full_disk():
        code = export(state, kind, tmp_path / "new" / "out", "--video", str(pictures))
    assert code == 1
    fails(capsys, r"^siaf: out: cannot write .*new/out: File too large$")
    assert not list(tmp_path.glob("new/*"))
