"""Datasets read back by pycocotools, Pillow and the formats' public rules, not by what wrote them."""

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from siaf.output.palette import PALETTE

Shown = dict[tuple[int, int], NDArray[np.bool_]]
"""(frame, object) → pixels."""


def read_coco(path: Path) -> Shown:
    coco = COCO(str(path))
    shown: Shown = {}
    for annotation in coco.loadAnns(coco.getAnnIds()):
        frame = annotation["image_id"] - 1
        spot = (frame, annotation["track_id"])
        assert spot not in shown
        shown[spot] = coco.annToMask(annotation).astype(bool)
        run_lengths = coco.annToRLE(annotation)
        assert coco_mask.area(run_lengths) == annotation["area"]
        assert coco_mask.toBbox(run_lengths).tolist() == annotation["bbox"]
    return shown


def read_youtube_vis(path: Path) -> Shown:
    content = json.loads(path.read_text())
    (video,) = content["videos"]
    shown: Shown = {}
    for annotation in content["annotations"]:
        columns = (annotation["segmentations"], annotation["bboxes"], annotation["areas"])
        assert [len(column) for column in columns] == [video["length"]] * 3
        for frame, (segmentation, left_top_size, area) in enumerate(zip(*columns, strict=True)):
            if segmentation is None:
                assert left_top_size is None
                assert area is None
                continue
            run_lengths = coco_mask.frPyObjects(segmentation, video["height"], video["width"])
            assert coco_mask.toBbox(run_lengths).tolist() == left_top_size
            assert coco_mask.area(run_lengths) == area
            shown[frame, annotation["id"]] = coco_mask.decode(run_lengths).astype(bool)
    return shown


def read_mots(path: Path) -> Shown:
    """By the rule of MOTS: 16 bits, class × 1000 + instance, 0 is background."""
    shown: Shown = {}
    for file in sorted((path / "instances").glob("*.png")):
        picture = Image.open(file)
        assert picture.mode.startswith("I;16")
        values = np.asarray(picture)
        for value in np.unique(values[values > 0]).tolist():
            shown[int(file.stem), value % 1000] = values == value
    as_text = read_mots_text(path)
    assert as_text.keys() == shown.keys()
    assert all(np.array_equal(as_text[spot], shown[spot]) for spot in shown)
    return shown


def read_mots_text(path: Path) -> Shown:
    """By the rule of MOTS: frame, object, class, height, width, run lengths of pycocotools."""
    (file,) = (path / "instances_txt").glob("*.txt")
    labels = (path / "instances" / "labels.txt").read_text().split("\n")[:-1]
    shown: Shown = {}
    for line in file.read_text().splitlines():
        frame, number, category, height, width, runs = line.split(" ")
        assert int(number) // 1000 == int(category) <= len(labels)
        spot = (int(frame), int(number) % 1000)
        assert spot not in shown
        shown[spot] = coco_mask.decode({"size": [int(height), int(width)], "counts": runs}).astype(bool)
    return shown


def read_davis(path: Path) -> Shown:
    """By the rule of DAVIS 2017: a palette picture whose indices are objects."""
    (name,) = (path / "ImageSets" / "2017" / "train.txt").read_text().split()
    shown: Shown = {}
    for file in sorted((path / "Annotations" / "Full-Resolution" / name).glob("*.png")):
        picture = Image.open(file)
        assert picture.mode == "P"
        colours = np.array(picture.getpalette("RGB")).reshape(-1, 3)
        indices = np.asarray(picture)
        for index in np.unique(indices[indices > 0]).tolist():
            assert colours[index].tolist() == PALETTE[index].tolist()
            shown[int(file.stem), index] = indices == index
    return shown


def read_matte(path: Path) -> Shown:
    """One folder of grey pictures per object; every one has all frames."""
    shown: Shown = {}
    labels = json.loads((path / "objects.json").read_text())
    assert sorted(labels) == sorted(folder.name for folder in path.iterdir() if folder.is_dir())
    sequences = {tag: sorted((path / tag).iterdir()) for tag in labels}
    assert len({tuple(file.name for file in files) for files in sequences.values()}) == 1
    for tag, files in sequences.items():
        for file in files:
            picture = Image.open(file)
            assert picture.mode == "L"
            alpha = np.asarray(picture)
            assert set(np.unique(alpha)) <= {0, 255}
            if alpha.any():
                shown[int(file.stem), int(tag)] = alpha == 255
    return shown


READERS = {
    "coco": read_coco,
    "youtube-vis": read_youtube_vis,
    "mots": read_mots,
    "davis": read_davis,
    "matte": read_matte,
}
