"""Results as polygon and rectangle tracks; what a human sets in them stays."""

from typing import Any

import pytest
from bench import Bench, Pictures

from siaf.errors import InputError

ANY = (("car", "any"), ("person", "any"))
SQUARE = [30.0, 30.0, 44.0, 30.0, 44.0, 49.0, 30.0, 49.0]


def started(bench: Bench, pictures: Pictures, write_as: str = "polygon-track") -> int:
    (job,) = bench.task(pictures[:5], labels=ANY)
    bench.scribble(job, 0, (8, 20, 20, 20), tag=1, label="car")
    bench.scribble(job, 2, (72, 50, 85, 50), tag=2, label="person")
    bench.sync(job, write_as=write_as)
    return job


def track(bench: Bench, job: int, tag: int) -> dict[str, Any]:
    (found,) = [t for t in bench.tracks(job) if t["group"] == tag]
    return found


def edit(bench: Bench, job: int, tag: int, frame: int, **changes: Any) -> None:
    """Change a keyframe as CVAT's interface does: the whole track is sent, with its ids."""
    old = track(bench, job, tag)
    shapes = [{**k, **changes} if k["frame"] == frame else k for k in old["shapes"]]
    bench.server.patch_annotations(job, "update", tracks=[{**old, "source": "semi-auto", "shapes": shapes}])


@pytest.mark.parametrize(("write_as", "kind"), [("polygon-track", "polygon"), ("rectangle-track", "rectangle")])
def test_one_track_for_each_object(anywhere: Bench, pictures: Pictures, write_as: str, kind: str) -> None:
    job = started(anywhere, pictures, write_as)
    tracks = anywhere.tracks(job)
    assert sorted(t["group"] for t in tracks) == [1, 2]
    assert anywhere.shapes(job) == []
    for found in tracks:
        keyframes = found["shapes"]
        assert {k["type"] for k in keyframes} == {kind}
        assert not keyframes[0]["outside"]
        frames = [k["frame"] for k in keyframes]
        assert frames == list(range(frames[0], frames[-1] + 1))
        assert frames[-1] == 4 or keyframes[-1]["outside"]
        assert [a["value"] for a in found["attributes"]] == [str(found["group"])]


def test_frames_that_a_human_drew_are_not_shown_twice(anywhere: Bench, pictures: Pictures) -> None:
    (job,) = anywhere.task(pictures[:4], labels=ANY)
    for frame in (0, 2, 3):
        anywhere.box_mask(job, frame, (10, 10, 20, 20), "car", tag=1)
    anywhere.sync(job, write_as="polygon-track")
    shown = [k["frame"] for t in anywhere.tracks(job) for k in t["shapes"] if not k["outside"]]
    assert shown == [1]


def test_syncing_again_keeps_the_tracks(anywhere: Bench, pictures: Pictures) -> None:
    job = started(anywhere, pictures)
    before = anywhere.everything(job)
    report = anywhere.sync(job)
    assert (report.created, report.updated, report.deleted) == (0, 0, 0)
    assert anywhere.everything(job) == before


def test_the_form_can_change_between_rounds(anywhere: Bench, pictures: Pictures) -> None:
    job = started(anywhere, pictures, "mask")
    masks = anywhere.masks(job)
    anywhere.sync(job, write_as="polygon-track")
    assert anywhere.shapes(job) == []
    assert len(anywhere.tracks(job)) == 2
    anywhere.sync(job, write_as="mask")
    assert anywhere.tracks(job) == []
    assert anywhere.masks(job) == masks


def test_a_keyframe_that_a_human_changed_is_a_reference_and_stays(anywhere: Bench, pictures: Pictures) -> None:
    job = started(anywhere, pictures)
    edit(anywhere, job, 1, 0, points=SQUARE)
    report = anywhere.sync(job)
    assert report.references == [0]
    first = track(anywhere, job, 1)["shapes"][0]
    assert (first["frame"], first["points"]) == (0, SQUARE)
    assert anywhere.sync(job).round == report.round
    anywhere.scribble(job, 4, (60, 10, 80, 10), tag=2)
    anywhere.sync(job)
    assert track(anywhere, job, 1)["shapes"][0]["points"] == SQUARE


def test_a_rectangle_that_a_human_changed_stays_and_is_a_box(anywhere: Bench, pictures: Pictures) -> None:
    job = started(anywhere, pictures, "rectangle-track")
    edit(anywhere, job, 1, 0, points=[3.0, 4.0, 50.0, 60.0])
    report = anywhere.sync(job)
    assert (report.boxes, report.references, report.ignored) == ({0: 1}, [], {})
    again = anywhere.sync(job)
    assert (again.round, again.boxes) == (2, {})
    anywhere.scribble(job, 4, (60, 10, 80, 10), tag=2)
    anywhere.sync(job)
    first = track(anywhere, job, 1)["shapes"][0]
    assert (first["frame"], first["points"], first["outside"]) == (0, [3.0, 4.0, 50.0, 60.0], False)


@pytest.mark.parametrize("write_as", ["polygon-track", "rectangle-track"])
def test_what_a_human_set_in_a_track_outlives_it(anywhere: Bench, pictures: Pictures, write_as: str) -> None:
    """From tracks to masks: keyframes of people stay as they are, the object is not shown twice elsewhere."""
    job = started(anywhere, pictures, write_as)
    points = SQUARE if write_as == "polygon-track" else [3.0, 4.0, 50.0, 60.0]
    edit(anywhere, job, 1, 0, points=points)
    anywhere.sync(job, write_as="mask")
    (left,) = anywhere.tracks(job)
    shown = {k["frame"]: k["points"] for k in left["shapes"] if not k["outside"]}
    assert shown == {0: points}
    assert (0, 1) not in anywhere.masks(job)
    again = anywhere.sync(job)
    assert not again.changed
    assert anywhere.tracks(job) == [left]


def test_group_and_attributes_that_a_human_gave_to_a_track_stay(anywhere: Bench, pictures: Pictures) -> None:
    job = started(anywhere, pictures)
    task = anywhere.server.job(job)["task_id"]
    lit = {"name": "lit", "mutable": False, "input_type": "checkbox", "default_value": "false", "values": ["false"]}
    car = anywhere.label_id(job, "car")
    anywhere.server.change_labels([{"id": car, "name": "car", "attributes": [lit]}], task=task)
    old = track(anywhere, job, 1)
    changed = anywhere.attributes(job, "car", {"object": 1, "lit": "true"})
    anywhere.server.patch_annotations(job, "update", tracks=[{**old, "group": 77, "attributes": changed}])
    anywhere.scribble(job, 4, (10, 60, 30, 60), tag=1)
    assert anywhere.sync(job).tracks["updated"] > 0
    found = track(anywhere, job, 77)
    assert found["attributes"] == changed


def test_another_number_for_a_track_is_refused_by_name(anywhere: Bench, pictures: Pictures) -> None:
    job = started(anywhere, pictures)
    old = track(anywhere, job, 1)
    seven = anywhere.attributes(job, "car", {"object": 7})
    anywhere.server.patch_annotations(job, "update", tracks=[{**old, "attributes": seven}])
    with pytest.raises(InputError, match=f"track {old['id']}: its 'object' was changed from 1 to 7"):
        anywhere.sync(job)


@pytest.mark.parametrize("write_as", ["polygon-track", "rectangle-track"])
def test_a_keyframe_set_outside_says_that_the_object_is_not_there(
    anywhere: Bench, pictures: Pictures, write_as: str
) -> None:
    job = started(anywhere, pictures, write_as)
    edit(anywhere, job, 1, 1, outside=True)
    report = anywhere.sync(job)
    assert report.references == [1]
    keyframe = next(k for k in track(anywhere, job, 1)["shapes"] if k["frame"] == 1)
    assert keyframe["outside"]


def test_a_deleted_track_is_a_forgotten_object(anywhere: Bench, pictures: Pictures) -> None:
    job = started(anywhere, pictures)
    anywhere.server.patch_annotations(job, "delete", tracks=[track(anywhere, job, 2)])
    report = anywhere.sync(job)
    assert report.removed == [2]
    assert [t["group"] for t in anywhere.tracks(job)] == [1]


def test_a_track_with_a_new_label_changes_the_object(anywhere: Bench, pictures: Pictures) -> None:
    job = started(anywhere, pictures)
    old = track(anywhere, job, 1)
    person = anywhere.label_id(job, "person")
    anywhere.server.patch_annotations(job, "update", tracks=[{**old, "label_id": person, "attributes": []}])
    report = anywhere.sync(job)
    assert report.relabelled == [1]
    found = track(anywhere, job, 1)
    assert found["label_id"] == person
    assert [a["value"] for a in found["attributes"]] == ["1"]


def test_a_human_s_own_track_is_used_and_left_alone(anywhere: Bench, pictures: Pictures) -> None:
    (job,) = anywhere.task(pictures[:5], labels=ANY)
    car = anywhere.label_id(job, "car")
    shapes = [
        {"type": "polygon", "frame": 0, "points": SQUARE, "outside": False, "attributes": []},
        {"type": "polygon", "frame": 3, "points": SQUARE, "outside": True, "attributes": []},
    ]
    drawn = {
        "frame": 0,
        "label_id": car,
        "attributes": anywhere.attributes(job, "car", {"object": 4}),
        "shapes": shapes,
    }
    anywhere.server.patch_annotations(job, "create", tracks=[drawn])
    before = anywhere.tracks(job)
    report = anywhere.sync(job)
    assert report.references == [0, 3]
    assert anywhere.tracks(job) == before
    assert {frame for frame, tag in anywhere.masks(job) if tag == 4} == {4}


def test_a_label_for_masks_only_cannot_hold_a_track(anywhere: Bench, pictures: Pictures) -> None:
    (job,) = anywhere.task(pictures[:3])
    anywhere.scribble(job, 0, (8, 20, 20, 20), tag=1, label="car")
    with pytest.raises(InputError, match="as: label 'car' is of type mask: it cannot hold a polygon-track"):
        anywhere.sync(job, write_as="polygon-track")
    assert anywhere.tracks(job) == []
