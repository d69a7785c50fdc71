"""annotations.xml, read as CVAT's importer of "CVAT for video 1.1" reads it."""

from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import cvat_sdk.masks
import numpy as np
import pytest

from siaf.output import Results
from siaf.output.cvat_xml import CvatXml

Make = Callable[..., Results]


def write(path: Path, results: Results) -> ElementTree.Element:
    frames = results.frames
    with CvatXml(
        path,
        name=results.name,
        n_frames=len(frames),
        height=frames.height,
        width=frames.width,
        labels=results.labels,
    ) as xml:
        for n in range(len(frames)):
            xml.add(n, results.mask(n))
    return ElementTree.parse(path).getroot()


def imported_shapes(root: ElementTree.Element) -> list[tuple[str, int, list[int], dict[str, str]]]:
    """(label, frame, points, attributes) of the shapes that CVAT makes: one of a track's first keyframe."""
    shapes = []
    for track in root.findall("track"):
        first = next(mask for mask in track.findall("mask") if mask.attrib["keyframe"] == "1")
        box = {key: int(first.attrib[key]) for key in ("left", "top", "width", "height")}
        points = [*map(int, first.attrib["rle"].split(",")), box["left"], box["top"]]
        points += [box["left"] + box["width"] - 1, box["top"] + box["height"] - 1]
        attributes = {a.attrib["name"]: a.text or "" for a in first.findall("attribute")}
        shapes.append((track.attrib["label"], int(first.attrib["frame"]), points, attributes))
    return shapes


def test_an_import_gives_every_mask_back(tmp_path: Path, results: Make) -> None:
    shapes = imported_shapes(write(tmp_path / "a.xml", results()))
    assert len(shapes) == 8 + 4
    rebuilt = np.zeros((8, 41, 63), np.uint8)
    for label, frame, points, attributes in shapes:
        bitmap = cvat_sdk.masks.decode_mask(points, image_width=63, image_height=41)
        rebuilt[frame][bitmap] = int(attributes["object"])
        assert label == {"3": "person", "200": "bag"}[attributes["object"]]
    assert np.array_equal(rebuilt, np.stack([results().mask(n) for n in range(8)]))


def test_for_pictures_an_import_finds_every_mask_by_its_pictures_name(tmp_path: Path, results: Make) -> None:
    made = results()
    names = [f"{n} & <{n}>.jpg" for n in range(8)]
    size = {"height": 41, "width": 63}
    with CvatXml(tmp_path / "a.xml", name="a", n_frames=8, labels=made.labels, pictures=names, **size) as xml:
        for n in range(8):
            xml.add(n, made.mask(n))
    root = ElementTree.parse(tmp_path / "a.xml").getroot()
    assert root.findtext("meta/task/mode") == "annotation"
    assert [image.attrib for image in root.findall("image")] == [
        {"id": str(n), "name": names[n], "width": "63", "height": "41"} for n in range(8)
    ]
    for n, image in enumerate(root.findall("image")):
        rebuilt = np.zeros((41, 63), np.uint8)
        for mask in image.findall("mask"):
            left, top, width, height = (int(mask.attrib[key]) for key in ("left", "top", "width", "height"))
            runs = [*map(int, mask.attrib["rle"].split(",")), left, top, left + width - 1, top + height - 1]
            tag = int(mask.findtext("attribute[@name='object']") or 0)
            rebuilt[cvat_sdk.masks.decode_mask(runs, image_width=63, image_height=41)] = tag
            assert mask.attrib["label"] == made.labels[tag]
        assert np.array_equal(rebuilt, made.mask(n))


def test_a_mask_is_a_track_of_one_frame_that_ends_on_the_next(tmp_path: Path, results: Make) -> None:
    track = write(tmp_path / "a.xml", results()).findall("track")[0]
    assert track.attrib == {"id": "0", "label": "person", "source": "semi-auto", "group_id": "3"}
    start, end = track.findall("mask")
    assert start.attrib == {
        "frame": "0",
        "keyframe": "1",
        "outside": "0",
        "occluded": "0",
        "rle": "0, 200",
        "left": "10",
        "top": "5",
        "width": "20",
        "height": "10",
        "z_order": "0",
    }
    assert end.attrib == start.attrib | {"frame": "1", "outside": "1"}


def test_a_mask_on_the_last_frame_has_no_end(tmp_path: Path, results: Make) -> None:
    tracks = write(tmp_path / "a.xml", results()).findall("track")
    frames = [[int(mask.attrib["frame"]) for mask in track.findall("mask")] for track in tracks]
    assert frames[-1] == [7]
    assert frames[0] == [0, 1]


def test_track_ids_are_unique(tmp_path: Path, results: Make) -> None:
    ids = [track.attrib["id"] for track in write(tmp_path / "a.xml", results()).findall("track")]
    assert ids == [str(n) for n in range(12)]


def test_meta_says_what_labels_a_task_needs(tmp_path: Path, results: Make) -> None:
    root = write(tmp_path / "a.xml", results(labels={3: "person", 200: "person"}))
    assert root.findtext("version") == "1.1"
    task = root.find("meta/task")
    assert task is not None
    assert [label.findtext("name") for label in task.findall("labels/label")] == ["person"]
    assert task.findtext("labels/label/attributes/attribute/name") == "object"
    assert (task.findtext("size"), task.findtext("stop_frame")) == ("8", "7")
    assert (task.findtext("original_size/width"), task.findtext("original_size/height")) == ("63", "41")


@pytest.mark.parametrize("text", ['<&"> Ünï', "a\x00b\x0b", "\udcff"])
def test_any_name_and_label_makes_readable_xml(tmp_path: Path, results: Make, text: str) -> None:
    root = write(tmp_path / "a.xml", results(name=text, labels={3: text, 200: "bag"}))
    labels = {track.attrib["label"] for track in root.findall("track")}
    assert len(labels) == 2
    if text.isprintable():
        assert text in labels
        assert root.findtext("meta/task/name") == text
