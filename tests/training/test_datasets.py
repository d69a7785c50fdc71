"""Data sets in their real layouts become clips, and what is wrong with them is said file by file."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from siaf.errors import InputError
from siaf.training.datasets import ClipForm, open_data
from siaf.training.photos import CocoPhotos, PhotoFolder
from siaf.training.synthesis import STILL_GAPS, Gaps

HEIGHT, WIDTH = 120, 160
FORM = ClipForm(size=65, length=3, max_objects=2)


def picture(shift: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A photo with two objects, and its index map with values 3 and 7."""
    rng = np.random.default_rng(shift)
    image = rng.integers(90, 130, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    objects = np.zeros((HEIGHT, WIDTH), np.uint8)
    for value, (top, left, colour) in {3: (20, 15, (220, 30, 30)), 7: (60, 90, (30, 40, 220))}.items():
        area = np.s_[top : top + 40, left + shift : left + shift + 45]
        image[area], objects[area] = colour, value
    return image, objects


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, quality=95)


def photos(root: Path) -> dict[str, Any]:
    for i in range(2):
        image, objects = picture(i)
        save(root / f"mine/images/{i}.jpg", image)
        save(root / f"mine/labels/{i}.png", objects)
    return {"format": "photos", "path": "mine"}


def coco(root: Path, lvis: bool = False) -> dict[str, Any]:
    images, annotations = [], []
    for i in (11, 12):
        save(root / f"train2017/{i:012d}.jpg", picture(i)[0])
        name = {"coco_url": f"http://x/train2017/{i:012d}.jpg"} if lvis else {"file_name": f"{i:012d}.jpg"}
        images.append({"id": i, "height": HEIGHT, "width": WIDTH, **name})
        for k, (x, y, w, h) in enumerate(((15 + i, 20, 45, 40), (90 + i, 60, 45, 40))):
            outline = [x, y, x + w, y, x + w, y + h, x, y + h]
            entry = {"id": 10 * i + k, "image_id": i, "category_id": 1, "area": w * h, "bbox": [x, y, w, h]}
            annotations.append({**entry, "segmentation": [outline], **({} if lvis else {"iscrowd": 0})})
    path = root / "annotations/instances.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "a"}]}))
    return {"format": "coco", "path": "train2017", "annotations": "annotations/instances.json"}


def video(images: Path, masks: Path, name: str, every: int = 1) -> None:
    for t in range(0, 6 * every):
        image, objects = picture(2 * t // every)
        save(images / name / f"{t:05d}.jpg", image)
        if t % every == 0:
            path = masks / name / f"{t:05d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            indexed = Image.fromarray(objects)
            indexed.putpalette([value for i in range(256) for value in (255 - i, i, 0)])
            indexed.save(path)


def youtube_vos(root: Path) -> dict[str, Any]:
    for name in ("0a2f", "b3c1"):
        video(root / "yt/train/JPEGImages", root / "yt/train/Annotations", name, every=5)
    return {"format": "youtube-vos", "path": "yt"}


def davis(root: Path) -> dict[str, Any]:
    for name in ("bear", "kid", "val-only"):
        video(root / "DAVIS/JPEGImages/480p", root / "DAVIS/Annotations/480p", name)
    listed = root / "DAVIS/ImageSets/2017/train.txt"
    listed.parent.mkdir(parents=True)
    listed.write_text("bear\nkid\n")
    return {"format": "davis", "path": "DAVIS"}


LAYOUTS: list[Callable[[Path], dict[str, Any]]] = [photos, coco, youtube_vos, davis]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_clips_with_tags_from_1(tmp_path: Path, layout: Callable[[Path], dict[str, Any]]) -> None:
    data = open_data(tmp_path, [layout(tmp_path)], FORM.size)
    assert list(data.problems()) == []
    clips = data.clips(FORM)
    for seed in range(6):
        clip = clips.sample(np.random.default_rng(seed))
        assert clip.frames.shape == (3, 65, 65, 3) and clip.frames.dtype == np.uint8
        assert clip.labels.shape == (3, 65, 65) and clip.labels.dtype == np.uint8
        count = int(clip.labels[0].max())
        assert set(np.unique(clip.labels[0])) - {0} == set(range(1, count + 1))
        assert 1 <= count <= 2
    again = clips.sample(np.random.default_rng(5))
    assert (again.frames == clip.frames).all() and (again.labels == clip.labels).all()


@pytest.mark.parametrize("layout", [youtube_vos, davis])
def test_videos_are_shown_as_they_are(tmp_path: Path, layout: Callable[[Path], dict[str, Any]]) -> None:
    """Where the truth says red, or blue, the picture is."""
    clips = open_data(tmp_path, [layout(tmp_path)], FORM.size).clips(FORM)
    clip = clips.sample(np.random.default_rng(1))
    for frame, label in zip(clip.frames, clip.labels, strict=True):
        for tag in range(1, int(clip.labels.max()) + 1):
            inside = frame[label == tag].astype(int)
            if len(inside):
                strongest = np.bincount(inside.argmax(axis=1), minlength=3)
                assert strongest.max() > 0.9 * len(inside)


def test_frames_far_apart_are_taken_once_each_and_as_far_as_the_video_goes(tmp_path: Path) -> None:
    form = ClipForm(size=65, length=6, gaps=STILL_GAPS)
    clip = open_data(tmp_path, [davis(tmp_path)], 65).clips(form).sample(np.random.default_rng(0))
    assert len({frame.tobytes() for frame in clip.frames}) == 6


def test_a_video_that_is_too_short_is_not_used(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no video has 7 frames"):
        open_data(tmp_path, [davis(tmp_path)], 65).clips(ClipForm(size=65, length=7))


def test_sets_are_mixed_by_their_shares(tmp_path: Path) -> None:
    tables = [{**photos(tmp_path), "share": 3}, {**davis(tmp_path), "share": 1}]
    mixed = open_data(tmp_path, tables, 65).clips(FORM)
    alone = open_data(tmp_path, tables[1:], 65).clips(FORM)
    real = 0
    for seed in range(60):
        clip = mixed.sample(np.random.default_rng(seed))
        rng = np.random.default_rng(seed)
        rng.choice(2, p=(0.75, 0.25))
        real += bool((alone.sample(rng).frames == clip.frames).all())
    assert 5 <= real <= 27


def test_lvis_names_its_pictures_by_their_address(tmp_path: Path) -> None:
    table = coco(tmp_path, lvis=True)
    whole = CocoPhotos(tmp_path, tmp_path / table["annotations"], 400)  # train2017/ lies in it
    assert (
        whole.photo(1).image == CocoPhotos(tmp_path / "train2017", tmp_path / table["annotations"], 400).photo(1).image
    ).all()
    photo = CocoPhotos(tmp_path / table["path"], tmp_path / table["annotations"], 400).photo(0)
    assert sorted(np.unique(photo.maps[0])) == [0, 1, 2]
    assert photo.maps[0][30, 40] != photo.maps[0][80, 120]


def test_smaller_objects_of_coco_lie_on_larger_ones(tmp_path: Path) -> None:
    path = tmp_path / coco(tmp_path)["annotations"]
    document = json.loads(path.read_text())
    small = [30, 25, 40, 25, 40, 35, 30, 35]
    document["annotations"].insert(
        0, {"id": 1, "image_id": 11, "category_id": 1, "area": 100, "iscrowd": 0, "segmentation": [small], "bbox": []}
    )
    path.write_text(json.dumps(document))
    objects = CocoPhotos(tmp_path / "train2017", path, 400).photo(0).maps[0]
    assert objects[30, 35] == 3


def test_unlabelled_pixels_are_background_unless_they_are_the_only_object(tmp_path: Path) -> None:
    photos(tmp_path)
    objects = picture()[1]
    objects[:, -9:] = 255
    save(tmp_path / "mine/labels/0.png", objects)
    save(tmp_path / "mine/labels/1.png", (objects == 3).astype(np.uint8) * 255)
    folder = PhotoFolder(tmp_path / "mine", 400)
    assert set(np.unique(folder.photo(0).maps[0])) == {0, 3, 7}
    assert set(np.unique(folder.photo(1).maps[0])) == {0, 255}


def test_what_is_wrong_with_photos_is_said_file_by_file(tmp_path: Path) -> None:
    table = photos(tmp_path)
    save(tmp_path / "mine/images/2.jpg", picture()[0])
    for name, pixels in (
        ("3", picture()[1][:, ::2]),
        ("4", np.zeros((HEIGHT, WIDTH), np.uint8)),
        ("5", np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH).astype(np.uint8)),
    ):
        save(tmp_path / f"mine/images/{name}.jpg", picture()[0])
        save(tmp_path / f"mine/labels/{name}.png", pixels)
    (tmp_path / "mine/images/1.jpg").write_bytes(b"not an image")
    problems = {Path(p.field).name: p.message for p in open_data(tmp_path, [table], 65).problems()}
    assert list(problems) == ["1.jpg", "2.png", "3.png", "4.png", "5.png"]
    assert "cannot be read" in problems["1.jpg"]
    assert problems["2.png"] == "no such file"
    assert problems["3.png"] == "is 80x120, its picture 160x120"
    assert problems["4.png"] == "marks no object"
    assert problems["5.png"].startswith("has 256 values, too many")


def test_what_is_wrong_with_videos_is_said_file_by_file(tmp_path: Path) -> None:
    table = youtube_vos(tmp_path)
    root = tmp_path / "yt/train"
    (root / "JPEGImages/0a2f/00005.jpg").unlink()
    (root / "Annotations/b3c1/00010.png").write_bytes(b"\x89PNG\r\n")
    save(root / "Annotations/b3c1/00015.png", np.zeros((9, 9), np.uint8))
    (root / "Annotations/empty").mkdir()
    problems = [(Path(p.field).name, p.message) for p in open_data(tmp_path, [table], 65).problems()]
    assert [name for name, _ in problems] == ["00005.jpg", "00010.png", "00015.png", "empty"]
    assert [message.split(" (")[0] for _, message in problems] == [
        "no such file",
        "cannot be read as an image",
        "is 9x9, its picture 160x120",
        "has no masks",
    ]


def test_what_is_wrong_with_coco_is_said(tmp_path: Path) -> None:
    table = coco(tmp_path)
    (tmp_path / "train2017/000000000011.jpg").unlink()
    save(tmp_path / "train2017/000000000012.jpg", picture()[0][::2])
    problems = [p.message for p in open_data(tmp_path, [table], 65).problems()]
    assert problems == ["no such file", "is 160x60, its annotations are for 160x120"]
    (tmp_path / "annotations/instances.json").write_text("{}")
    with pytest.raises(InputError, match="cannot be read as COCO"):
        open_data(tmp_path, [table], 65)


@pytest.mark.parametrize(
    ("table", "field"),
    [
        ({"format": "imagenet"}, r"data\[0\]\.format"),
        ({"share": 0}, r"data\[0\]\.share"),
        ({"format": "coco", "path": "."}, r"data\[0\]\.annotations"),
        ({"pth": "."}, r"data\[0\]\.pth"),
        ({"format": "davis", "path": "nowhere"}, "nowhere/JPEGImages/480p: no such folder"),
        ({"format": "photos", "path": "nowhere"}, "nowhere/images: no such folder"),
    ],
)
def test_a_wrong_table_is_named(tmp_path: Path, table: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError, match=field):
        open_data(tmp_path, [table], 65)


@pytest.mark.parametrize("spacing", [0, -1, float("nan")])
def test_a_spacing_that_is_none_is_refused(tmp_path: Path, spacing: float) -> None:
    with pytest.raises(InputError, match="spacing"):
        open_data(tmp_path, [{**davis(tmp_path), "spacing": spacing}], 65)


def test_frames_that_are_farther_apart_are_taken_closer_together(tmp_path: Path) -> None:
    """A gap of four ordinary frames is four of a clip that keeps all, two of one that keeps every second."""
    from siaf.training.videos import VideoClips
    from siaf.training.videos import davis as read

    folder = tmp_path / davis(tmp_path)["path"]
    rng = np.random.default_rng(0)
    for spacing, step in ((1.0, 4), (2.0, 2), (4.0, 1)):
        videos = read(folder, spacing=spacing)
        gaps = Gaps((4.0, 4.0), (4.0, 4.0))
        clips = VideoClips(videos, size=65, length=2, max_objects=1, gaps=gaps)
        first, last = clips._moments(videos[0], rng)
        assert abs(last - first) == min(step, len(videos[0].masks) - 1)
