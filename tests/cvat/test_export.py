"""`siaf cvat export`: annotations as they stand, read back by pycocotools and by the formats' public rules."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench import Bench, Pictures, rle
from dataset_readers import READERS, Shown, read_coco, read_davis, read_youtube_vis
from numpy.typing import NDArray
from PIL import Image
from standin import StandIn
from standin_media import write_video

from siaf.cvat import commands
from siaf.cvat.server.connection import connect
from siaf.errors import InputError
from siaf.masks import decode_rle

Json = dict[str, Any]

HEIGHT, WIDTH = 72, 96


def box(left: int, top: int, right: int, bottom: int) -> NDArray[np.bool_]:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[top : bottom + 1, left : right + 1] = True
    return mask


def ring() -> NDArray[np.bool_]:
    mask = box(60, 10, 90, 40)
    mask[20:30, 70:80] = False
    return mask


def annotated(bench: Bench, pictures: Pictures) -> list[int]:
    """Two jobs, frames 0 to 5 and 4 to 9: what a round left (automatic), and what people drew."""
    jobs = bench.task(pictures, segment=6, overlap=2)
    first, second = jobs
    put(bench, first, 4, box(5, 5, 20, 20), "car", 1, source="auto")
    put(bench, second, 4, box(5, 5, 20, 20), "car", 1, source="auto")
    put(bench, first, 5, box(6, 5, 21, 20), "car", 1, source="auto")
    put(bench, second, 5, box(7, 5, 22, 20), "car", 1, source="manual")
    put(bench, first, 0, ring(), "person", 7, source="manual")
    put(bench, second, 9, ring(), "person", 7, source="semi-auto")
    bench.draw(second, 8, "polygon", (30, 30, 40, 30, 40, 45, 30, 45), "person", object=9)
    bench.scribble(first, 0, (8, 20, 20, 20), tag=1)
    return jobs


EXPECTED: Shown = {
    (4, 1): box(5, 5, 20, 20),
    (5, 1): box(7, 5, 22, 20),  # what a person drew, in the second job
    (0, 7): ring(),
    (9, 7): ring(),
    (8, 9): box(30, 30, 40, 45),
}


def put(bench: Bench, job: int, frame: int, mask: NDArray[np.bool_], label: str, tag: int, **more: Any) -> None:
    shape = {
        "type": "mask",
        "frame": frame,
        "label_id": bench.label_id(job, label),
        "points": rle(mask),
        "attributes": bench.attributes(job, label, {"object": tag}),
        **more,
    }
    bench.server.patch_annotations(job, "create", shapes=[shape])


def export(bench: Bench, kind: str, path: Path) -> Json:
    return commands.export(bench.client, 1, path, write_as=kind).as_json()


def same(found: Shown, expected: Shown = EXPECTED) -> bool:
    assert found.keys() == expected.keys()
    return all(np.array_equal(found[spot], expected[spot]) for spot in expected)


@pytest.mark.parametrize("kind", READERS)
def test_every_format_has_the_masks_with_their_numbers_and_shared_frames_once(
    anywhere: Bench, pictures: Pictures, tmp_path: Path, kind: str
) -> None:
    jobs = annotated(anywhere, pictures)
    task = anywhere.server.job(jobs[0])["task_id"]
    report = commands.export(anywhere.client, task, tmp_path / "out", write_as=kind)
    assert same(READERS[kind](tmp_path / "out"))
    assert report.clip.objects == {1: "car", 7: "person", 9: "person"}
    assert (report.masks, report.shared, report.clip.labels) == (5, [4, 5], ["car", "person"])


def test_labels_are_those_of_the_task(bench: Bench, pictures: Pictures, tmp_path: Path) -> None:
    annotated(bench, pictures)
    for kind in READERS:
        export(bench, kind, tmp_path / kind)
    for kind in ("coco", "youtube-vis"):
        content = json.loads((tmp_path / kind).read_text())
        names = {category["id"]: category["name"] for category in content["categories"]}
        number = "id" if kind == "youtube-vis" else "track_id"
        labels = {entry[number]: names[entry["category_id"]] for entry in content["annotations"]}
        assert labels == {1: "car", 7: "person", 9: "person"}
    pictures_of = [image["file_name"] for image in json.loads((tmp_path / "coco").read_text())["images"]]
    assert pictures_of == json.loads((tmp_path / "youtube-vis").read_text())["videos"][0]["file_names"]
    assert pictures_of[9] == "0-0009.png"
    values = {
        int(v)
        for file in (tmp_path / "mots" / "instances").glob("*.png")
        for v in np.unique(np.asarray(Image.open(file)))
    }
    assert values == {0, 1001, 2007, 2009}
    assert (tmp_path / "mots" / "instances" / "labels.txt").read_text().split() == ["car", "person"]
    assert json.loads((tmp_path / "davis" / "davis_semantics.json").read_text()) == {
        "task-1": {"1": "car", "7": "person", "9": "person"}
    }


def test_what_siaf_wrote_and_what_people_changed_in_it_are_exported(
    bench: Bench, pictures: Pictures, tmp_path: Path
) -> None:
    (job,) = bench.task(pictures[:6])
    bench.scribble(job, 0, (8, 20, 20, 20), tag=1, label="car")
    bench.sync(job)
    changed = next(shape for shape in bench.shapes(job) if shape["frame"] == 3)
    bench.edit(job, changed, points=rle(box(30, 30, 50, 50)))
    export(bench, "coco", tmp_path / "out")
    expected = {
        (shape["frame"], 1): decode_rle(shape["points"], height=HEIGHT, width=WIDTH) for shape in bench.shapes(job)
    }
    assert same(read_coco(tmp_path / "out"), expected)
    assert np.array_equal(expected[3, 1], box(30, 30, 50, 50))


def test_polygon_tracks_are_exported_where_they_show_a_polygon(
    bench: Bench, pictures: Pictures, tmp_path: Path
) -> None:
    (job,) = bench.task(pictures)
    corners = [5.0, 5.0, 20.0, 5.0, 20.0, 20.0, 5.0, 20.0]
    moved = [corner + 2 for corner in corners]
    keyframes = [(0, corners, False), (2, corners, False), (4, moved, False), (6, moved, True), (8, corners, False)]
    track(bench, job, "person", 3, "polygon", keyframes)
    report = export(bench, "coco", tmp_path / "out")
    at, then = box(5, 5, 20, 20), box(7, 7, 22, 22)
    expected = {(0, 3): at, (1, 3): at, (2, 3): at, (4, 3): then, (5, 3): then, (8, 3): at, (9, 3): at}
    assert same(read_coco(tmp_path / "out"), expected)
    (names,) = report["ignored"].values()
    assert names == [f"track {bench.tracks(job)[0]['id']} on frames 3 to 3"]


def track(bench: Bench, job: int, label: str, tag: int, kind: str, keyframes: list[Any]) -> None:
    shapes = [
        {"type": kind, "frame": f, "points": points, "outside": outside, "attributes": []}
        for f, points, outside in keyframes
    ]
    entry = {
        "label_id": bench.label_id(job, label),
        "frame": keyframes[0][0],
        "group": 0,
        "source": "manual",
        "attributes": bench.attributes(job, label, {"object": tag}),
        "shapes": shapes,
        "elements": [],
    }
    bench.server.patch_annotations(job, "create", tracks=[entry])


def test_what_is_not_exported_is_listed_with_the_reason(bench: Bench, pictures: Pictures, tmp_path: Path) -> None:
    labels = (("car", "any"), ("person", "any"))
    (job,) = bench.task(pictures[:4], labels=labels)
    put(bench, job, 0, box(5, 5, 20, 20), "car", 1)
    put(bench, job, 0, box(30, 5, 40, 20), "car", 2)
    put(bench, job, 1, box(5, 5, 20, 20), "car", 0)
    bench.scribble(job, 0, (8, 20, 20, 20), tag=1)
    bench.draw(job, 0, "rectangle", (1, 1, 9, 9), "person", object=4)
    bench.draw(job, 0, "ellipse", (20, 20, 30, 30), "person", object=4)
    bench.draw(job, 2, "mask", (0, 5, 1, 1, 3, 2), "car", object=1)
    bench.draw(job, 3, "polygon", (200, 200, 210, 200, 210, 210), "car", object=1)
    track(bench, job, "person", 4, "rectangle", [(0, [1.0, 1.0, 9.0, 9.0], False)])
    report = export(bench, "coco", tmp_path / "out")
    assert {reason: [name.split()[0] for name in names] for reason, names in report["ignored"].items()} == {
        "strokes say where masks should be, and are none": ["polyline"],
        "a box is no mask": ["rectangle", "track"],
        "of a type that is no mask": ["ellipse"],
        "run lengths sum to 5, the box has 6 pixels": ["mask"],
        "no pixel of it is in the frame": ["polygon"],
        "has no number, and its label has several objects": ["mask"],
    }
    assert read_coco(tmp_path / "out").keys() == {(0, 1), (0, 2)}


def test_what_another_person_drew_on_a_shared_frame_is_listed(bench: Bench, pictures: Pictures, tmp_path: Path) -> None:
    first, second = bench.task(pictures, segment=6, overlap=2)
    put(bench, first, 4, box(5, 5, 20, 20), "car", 1)
    put(bench, second, 4, box(5, 5, 21, 20), "car", 1)
    put(bench, first, 5, box(5, 5, 20, 20), "car", 1)
    put(bench, second, 5, box(5, 5, 20, 20), "car", 1)
    report = export(bench, "coco", tmp_path / "out")
    assert same(read_coco(tmp_path / "out"), {(4, 1): box(5, 5, 20, 20), (5, 1): box(5, 5, 20, 20)})
    ((reason, names),) = report["ignored"].items()
    assert reason == f"on a frame that jobs share; what job {first} has there is exported"
    assert [name.split(" on ")[1] for name in names] == ["frame 4"]


def test_deleted_frames_are_left_out(bench: Bench, standin: StandIn, pictures: Pictures, tmp_path: Path) -> None:
    (job,) = bench.task(pictures[:4])
    put(bench, job, 1, box(5, 5, 20, 20), "car", 1)
    put(bench, job, 2, box(5, 5, 20, 20), "car", 1)
    standin.world.jobs[job].deleted = [1]
    report = export(bench, "davis", tmp_path / "out")
    assert same(read_davis(tmp_path / "out"), {(2, 1): box(5, 5, 20, 20)})
    files = sorted(path.name for path in (tmp_path / "out" / "Annotations").rglob("*.png"))
    assert files == ["00000.png", "00002.png", "00003.png"]
    assert list(report["ignored"]) == ["on deleted frames"]


def test_without_numbers_a_label_is_one_object(bench: Bench, pictures: Pictures, tmp_path: Path) -> None:
    (job,) = bench.task(pictures[:4], setup=False)
    for frame, label in ((0, "person"), (1, "person"), (1, "car")):
        bench.draw(job, frame, "mask", rle(ring()), label)
    report = export(bench, "youtube-vis", tmp_path / "out")
    assert report["objects"] == {1: "car", 2: "person"}
    assert read_youtube_vis(tmp_path / "out").keys() == {(1, 1), (0, 2), (1, 2)}
    assert report["notes"] == ["masks without a number are their label's only object: 1 car, 2 person"]


def test_a_number_with_two_labels_is_refused(bench: Bench, pictures: Pictures, tmp_path: Path) -> None:
    (job,) = bench.task(pictures[:4])
    put(bench, job, 0, box(5, 5, 20, 20), "car", 1)
    put(bench, job, 1, box(5, 5, 20, 20), "person", 1)
    with pytest.raises(InputError, match=r"object 1: is a 'car' in job 1 \(mask 1 on frame 0\), but a 'person'"):
        export(bench, "coco", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["mots", "davis"])
def test_what_lies_under_others_is_said_where_a_pixel_has_one_object(
    bench: Bench, pictures: Pictures, tmp_path: Path, kind: str
) -> None:
    (job,) = bench.task(pictures[:2])
    put(bench, job, 0, box(10, 10, 12, 12), "car", 1, z_order=0)
    put(bench, job, 0, box(5, 5, 20, 20), "person", 2, z_order=1)
    report = export(bench, kind, tmp_path / "out")
    assert report["notes"] == ["frame 0: object 1 lies wholly under others, and a pixel has one object"]
    assert same(READERS[kind](tmp_path / "out"), {(0, 2): box(5, 5, 20, 20)})
    export(bench, "coco", tmp_path / "both")
    assert read_coco(tmp_path / "both").keys() == {(0, 1), (0, 2)}


def test_videos_have_the_names_that_cvat_exports(bench: Bench, pictures: Pictures, tmp_path: Path) -> None:
    with (tmp_path / "film.mp4").open("wb") as file:
        write_video(file, pictures)  # type: ignore[arg-type]
    (job,) = bench.video_task(tmp_path / "film.mp4")
    size = bench.server.meta(job)["frames"][0]
    bench.draw(job, 3, "mask", [0, 4, 2, 2, 3, 3], "car", object=5)
    export(bench, "coco", tmp_path / "out")
    images = json.loads((tmp_path / "out").read_text())["images"]
    assert [image["file_name"] for image in images[:2]] == ["frame_000000.PNG", "frame_000001.PNG"]
    assert (images[0]["width"], images[0]["height"]) == (size["width"], size["height"])
    assert list(read_coco(tmp_path / "out")) == [(3, 5)]


def test_a_task_without_masks_is_refused_and_says_what_there_is(
    bench: Bench, pictures: Pictures, tmp_path: Path
) -> None:
    (job,) = bench.task(pictures[:2])
    with pytest.raises(InputError, match=r"^task 1: has no masks to export$"):
        export(bench, "mots", tmp_path / "out")
    number = bench.scribble(job, 0, (8, 20, 20, 20), tag=1)
    with pytest.raises(InputError, match=f"no masks to export; not exported: polyline {number} on frame 0: strokes"):
        export(bench, "mots", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_who_may_see_one_job_only_cannot_export_half_a_task(
    bench: Bench, standin: StandIn, pictures: Pictures, tmp_path: Path
) -> None:
    jobs = annotated(bench, pictures)
    standin.world.jobs[jobs[0]].assignee = "annot1"
    with pytest.raises(InputError, match=r"^task 1: no permission"):
        commands.export(connect(standin.url, token="annot1"), 1, tmp_path / "out", write_as="coco")
    with pytest.raises(InputError, match=r"^task 99: not found"):
        commands.export(bench.client, 99, tmp_path / "out", write_as="coco")


def test_a_wrong_format_or_place_is_named(bench: Bench, pictures: Pictures, tmp_path: Path) -> None:
    annotated(bench, pictures)
    with pytest.raises(InputError, match="as: 'yolo' is not one of: youtube-vis, mots, davis, coco, matte"):
        export(bench, "yolo", tmp_path / "out")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="out: .* is a folder that is not empty"):
        export(bench, "davis", tmp_path / "full")
    with pytest.raises(InputError, match="out: .* is a folder; coco is written as one file"):
        export(bench, "coco", tmp_path / "full")
    with pytest.raises(InputError, match="out: .* is a file; mots is written as a folder"):
        export(bench, "mots", tmp_path / "full" / "mine.txt")
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["mine.txt"]
