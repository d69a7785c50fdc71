"""Rounds: corrections made in CVAT are the next round's interaction, and human work is never touched."""

import pytest
from bench import Bench, Pictures, bitmap

from siaf.cvat.job.clip import JobClip
from siaf.cvat.job.labels import LabelBook, WriteAs
from siaf.cvat.rounds import writer
from siaf.cvat.writing.changes import Change
from siaf.errors import InputError
from siaf.session.state_file import read_masks

BOX = (30, 30, 44, 49)
BOX_POINTS = [0.0, 300.0, 30.0, 30.0, 44.0, 49.0]


def started(bench: Bench, pictures: Pictures) -> int:
    """A job of five frames after its first round: object 1 a car, object 2 a person."""
    (job,) = bench.task(pictures[:5])
    bench.scribble(job, 0, (8, 20, 20, 20), tag=1, label="car")
    bench.scribble(job, 2, (72, 50, 85, 50), tag=2, label="person")
    bench.sync(job)
    return job


def at(bench: Bench, job: int, frame: int, tag: int) -> dict:
    return next(s for s in bench.shapes(job) if (s["frame"], s["group"]) == (frame, tag))


def a_propagated_spot(bench: Bench, job: int) -> tuple[int, int]:
    """A frame nobody drew on, where an object was found."""
    return next(spot for spot in sorted(bench.masks(job)) if spot[0] in (1, 3, 4))


def test_an_edited_mask_becomes_a_reference_and_stays_as_it_is(anywhere: Bench, pictures: Pictures) -> None:
    job = started(anywhere, pictures)
    frame, tag = a_propagated_spot(anywhere, job)
    shape = at(anywhere, job, frame, tag)
    anywhere.edit(job, shape, points=BOX_POINTS)
    edited = at(anywhere, job, frame, tag)
    report = anywhere.sync(job)
    assert report.references == [frame]
    assert at(anywhere, job, frame, tag) == edited
    assert anywhere.sync(job).round == report.round == 2


def test_other_objects_of_a_corrected_frame_stay(anywhere: Bench, pictures: Pictures) -> None:
    job = started(anywhere, pictures)
    anywhere.edit(job, at(anywhere, job, 0, 1), points=BOX_POINTS)
    others = {spot: points for spot, points in anywhere.masks(job).items() if spot[0] == 0 and spot[1] != 1}
    anywhere.sync(job)
    inside = bitmap(BOX_POINTS, pictures)
    for spot, points in others.items():
        expected = bitmap(points, pictures) & ~inside
        assert (bitmap(anywhere.masks(job)[spot], pictures) == expected).all()


def test_a_drawn_mask_starts_a_new_object(anywhere: Bench, pictures: Pictures) -> None:
    job = started(anywhere, pictures)
    number = anywhere.box_mask(job, 4, BOX, "car", tag=7)
    report = anywhere.sync(job)
    assert report.references == [4]
    assert report.objects[7] == "car"
    mine = [s for s in anywhere.shapes(job) if s["id"] == number]
    assert [(s["points"], s["source"]) for s in mine] == [(BOX_POINTS, "manual")]
    anywhere.masks(job)  # never two masks of an object on a frame


def test_polygons_are_masks_too(anywhere: Bench, pictures: Pictures) -> None:
    job = started(anywhere, pictures)
    anywhere.draw(job, 4, "polygon", (30, 30, 44, 30, 44, 49, 30, 49), "person", object=9)
    report = anywhere.sync(job)
    assert report.references == [4]
    assert report.objects[9] == "person"
    assert (4, 9) not in anywhere.masks(job)


def test_a_deleted_mask_says_that_the_object_is_not_there(anywhere: Bench, pictures: Pictures) -> None:
    job = started(anywhere, pictures)
    frame, tag = a_propagated_spot(anywhere, job)
    anywhere.delete(job, at(anywhere, job, frame, tag))
    report = anywhere.sync(job)
    assert report.references == [frame]
    assert (frame, tag) not in anywhere.masks(job)
    anywhere.scribble(job, 0, (8, 22, 20, 22), tag=1)
    anywhere.sync(job)
    assert (frame, tag) not in anywhere.masks(job)


def test_an_object_whose_masks_were_all_deleted_is_forgotten(anywhere: Bench, pictures: Pictures) -> None:
    job = started(anywhere, pictures)
    anywhere.delete(job, *(s for s in anywhere.shapes(job) if s["group"] == 2))
    report = anywhere.sync(job)
    assert report.removed == [2]
    assert {tag for _, tag in anywhere.masks(job)} == {1}
    assert anywhere.sync(job).objects == {1: "car"}


def test_a_forgotten_object_can_be_scribbled_again(anywhere: Bench, pictures: Pictures) -> None:
    job = started(anywhere, pictures)
    anywhere.delete(job, *(s for s in anywhere.shapes(job) if s["group"] == 2))
    anywhere.scribble(job, 3, (72, 50, 85, 50), tag=2)
    report = anywhere.sync(job)
    assert report.objects == {1: "car", 2: "person"}
    assert bitmap(anywhere.masks(job)[3, 2], pictures)[50, 72:86].all()


def test_an_emptied_job_starts_again(anywhere: Bench, pictures: Pictures) -> None:
    job = started(anywhere, pictures)
    everything = anywhere.server.annotations(job)["shapes"]
    anywhere.delete(job, *everything)
    anywhere.scribble(job, 1, (8, 20, 20, 20), tag=5, label="person")
    report = anywhere.sync(job)
    assert report.round == 1
    assert report.objects == {5: "person"}
    assert {tag for _, tag in anywhere.masks(job)} == {5}


def test_a_label_changed_on_one_mask_changes_the_object(anywhere: Bench, pictures: Pictures) -> None:
    job = started(anywhere, pictures)
    shape = at(anywhere, job, 0, 1)
    # CVAT's interface resets the attributes when the label changes
    anywhere.edit(job, shape, label_id=anywhere.label_id(job, "person"), attributes=[])
    report = anywhere.sync(job)
    assert report.relabelled == [1]
    labels = {s["label_id"] for s in anywhere.shapes(job) if s["group"] == 1}
    assert labels == {anywhere.label_id(job, "person")}
    assert anywhere.sync(job).objects[1] == "person"


def test_a_label_changed_on_a_human_s_mask_changes_the_object(anywhere: Bench, pictures: Pictures) -> None:
    job = started(anywhere, pictures)
    anywhere.edit(job, at(anywhere, job, 0, 1), points=BOX_POINTS)
    anywhere.sync(job)
    mine = at(anywhere, job, 0, 1)
    anywhere.edit(job, mine, label_id=anywhere.label_id(job, "person"), attributes=[])
    report = anywhere.sync(job)
    assert report.relabelled == [1]
    assert report.objects[1] == "person"
    written = [s for s in anywhere.shapes(job) if s["group"] == 1 and s["source"] == "auto"]
    assert {s["label_id"] for s in written} == {anywhere.label_id(job, "person")}
    assert next(s for s in anywhere.shapes(job) if s["id"] == mine["id"])["points"] == BOX_POINTS
    assert anywhere.sync(job).relabelled == []


def change_label(bench: Bench, job: int, label: str, **changes: object) -> None:
    """As somebody who edits the project's labels."""
    entry = {"id": bench.label_id(job, label), "name": label, "attributes": [], **changes}
    bench.server.change_labels([entry], task=bench.server.job(job)["task_id"])


def test_a_label_may_be_renamed_between_rounds(anywhere: Bench, pictures: Pictures) -> None:
    job = started(anywhere, pictures)
    before = anywhere.everything(job)
    change_label(anywhere, job, "car", name="vehicle")
    report = anywhere.sync(job)
    assert report.objects == {1: "vehicle", 2: "person"}
    assert (report.round, report.relabelled) == (1, [])
    assert anywhere.everything(job) == before
    anywhere.scribble(job, 4, (8, 60, 20, 60), tag=1)
    assert anywhere.sync(job).objects == {1: "vehicle", 2: "person"}


def test_a_label_may_get_attributes_between_rounds(anywhere: Bench, pictures: Pictures) -> None:
    """Shapes and scribbles then have their defaults; nobody changed them."""
    job = started(anywhere, pictures)
    before = {s["id"]: s["points"] for s in anywhere.shapes(job)}
    lit = {"name": "lit", "mutable": True, "input_type": "checkbox", "default_value": "false", "values": ["false"]}
    for label in ("car", "scribble"):
        change_label(anywhere, job, label, attributes=[lit])
    report = anywhere.sync(job)
    assert (report.round, report.scribbles, report.references, report.human) == (1, {}, [], 0)
    assert {s["id"]: s["points"] for s in anywhere.shapes(job)} == before
    anywhere.edit(
        job, at(anywhere, job, 0, 1), attributes=anywhere.attributes(job, "car", {"object": 1, "lit": "true"})
    )
    assert anywhere.sync(job).references == [0]


def test_two_new_labels_for_one_object_are_refused(anywhere: Bench, pictures: Pictures) -> None:
    (job,) = anywhere.task(pictures[:4], labels=(("car", "mask"), ("person", "any"), ("bus", "any")))
    anywhere.box_mask(job, 0, BOX, "car", tag=1)
    anywhere.sync(job)
    propagated = [s for s in anywhere.shapes(job) if s["source"] == "auto"]
    for shape, name in zip(propagated[:2], ("person", "bus"), strict=True):
        anywhere.edit(job, shape, label_id=anywhere.label_id(job, name), attributes=[])
    with pytest.raises(InputError, match="object 1: has several labels: 'bus' and 'person'"):
        anywhere.sync(job)


def test_a_mask_moved_to_another_object(anywhere: Bench, pictures: Pictures) -> None:
    job = started(anywhere, pictures)
    anywhere.box_mask(job, 4, BOX, "car", tag=3)
    anywhere.sync(job)
    frame, tag = next((f, tag) for f, tag in sorted(anywhere.masks(job)) if tag in (1, 2) and f not in (0, 4))
    shape = at(anywhere, job, frame, tag)
    three = anywhere.attributes(job, "car", {"object": 3})
    anywhere.edit(job, shape, label_id=anywhere.label_id(job, "car"), attributes=three)
    report = anywhere.sync(job)
    assert report.references == [frame]
    assert anywhere.masks(job)[frame, 3] == shape["points"]
    assert (frame, tag) not in anywhere.masks(job)


def test_a_corrected_mask_and_a_scribble_on_one_frame(anywhere: Bench, pictures: Pictures) -> None:
    job = started(anywhere, pictures)
    anywhere.edit(job, at(anywhere, job, 2, 2), points=BOX_POINTS)
    anywhere.scribble(job, 2, (60, 10, 80, 10), tag=1)
    report = anywhere.sync(job)
    assert (report.references, report.scribbles) == ([2], {2: 1})
    assert anywhere.masks(job)[2, 2] == BOX_POINTS
    assert bitmap(anywhere.masks(job)[2, 1], pictures)[10, 60:81].all()
    assert not (bitmap(anywhere.masks(job)[2, 1], pictures) & bitmap(BOX_POINTS, pictures)).any()


def test_another_program_s_masks_are_left_alone(anywhere: Bench, pictures: Pictures) -> None:
    (job,) = anywhere.task(pictures[:4])
    shape = {
        "type": "mask",
        "frame": 1,
        "label_id": anywhere.label_id(job, "car"),
        "points": BOX_POINTS,
        "source": "auto",
    }
    anywhere.server.patch_annotations(job, "create", shapes=[{**shape, "attributes": []}])
    anywhere.scribble(job, 0, (8, 20, 20, 20), tag=1, label="car")
    report = anywhere.sync(job)
    assert report.ignored == {"automatic masks of other programs are left alone": ["mask 1 on frame 1"]}
    assert [s["points"] for s in anywhere.shapes(job) if s["group"] == 0] == [BOX_POINTS]


def test_masks_written_with_another_store_are_not_taken_for_human(anywhere: Bench, pictures: Pictures) -> None:
    job = started(anywhere, pictures)
    before = anywhere.contents(job)
    anywhere.store = type(anywhere.store)(str(anywhere.folder / "another"))
    with pytest.raises(InputError, match="not in this store"):
        anywhere.sync(job)
    assert anywhere.contents(job) == before


def test_people_may_work_while_siaf_propagates(anywhere: Bench, pictures: Pictures) -> None:
    job = started(anywhere, pictures)
    frame, tag = next(s for s in sorted(anywhere.masks(job)) if s[0] in (1, 3))
    deleted = at(anywhere, job, frame, tag)
    anywhere.scribble(job, 4, (8, 20, 20, 20), tag=1)

    def meanwhile(done: int, total: int) -> None:
        if done == 1:
            anywhere.delete(job, deleted)
            anywhere.box_mask(job, 4, BOX, "person", tag=2)

    anywhere.sync(job, progress=meanwhile)
    masks = anywhere.masks(job)
    assert masks[4, 2] == BOX_POINTS
    assert (frame, tag) not in masks
    report = anywhere.sync(job)
    assert report.references == sorted({4, frame})
    assert anywhere.masks(job)[4, 2] == BOX_POINTS
    assert (frame, tag) not in anywhere.masks(job)


@pytest.mark.parametrize("write_as", ["mask", "polygon-track"])
def test_people_may_work_while_siaf_writes(
    anywhere: Bench, pictures: Pictures, write_as: WriteAs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between reading the job for the last time and writing: CVAT has no locks, and an update revives what is gone."""
    (job,) = anywhere.task(pictures[:5], labels=(("car", "any"), ("person", "any")))
    for tag, frame, line in ((1, 0, (8, 20, 20, 20)), (2, 2, (72, 50, 85, 50))):
        anywhere.scribble(job, frame, line, tag=tag, label="car")
    anywhere.sync(job, write_as=write_as)
    anywhere.scribble(job, 4, (40, 60, 60, 60), tag=1)
    anywhere.scribble(job, 3, (8, 20, 20, 20), tag=2)
    found: list[dict] = anywhere.shapes(job) if write_as == "mask" else anywhere.tracks(job)
    changed, deleted = found[0], found[-1]
    once = iter([True])

    def meanwhile(change: Change, clip: JobClip, book: LabelBook) -> None:
        if not next(once, False):
            return
        if write_as == "mask":
            anywhere.edit(job, changed, points=BOX_POINTS)
            anywhere.delete(job, deleted)
        else:
            keyframe = {**changed["shapes"][0], "points": [30.0, 30.0, 44.0, 30.0, 44.0, 49.0]}
            edited = {**changed, "shapes": [keyframe, *changed["shapes"][1:]]}
            anywhere.server.patch_annotations(job, "update", tracks=[edited])
            anywhere.server.patch_annotations(job, "delete", tracks=[deleted])

    monkeypatch.setattr(writer, "check_change", meanwhile)
    report = anywhere.sync(job, write_as=write_as)
    assert any("because people changed them in the meantime" in note for note in report.notes)
    now = {s["id"]: s for s in (anywhere.shapes(job) if write_as == "mask" else anywhere.tracks(job))}
    assert deleted["id"] not in now
    figure = now[changed["id"]] if write_as == "mask" else now[changed["id"]]["shapes"][0]
    assert figure["points"] == (BOX_POINTS if write_as == "mask" else [30.0, 30.0, 44.0, 30.0, 44.0, 49.0])
    assert changed.get("frame") in anywhere.sync(job).references


def test_deleted_frames_are_skipped(anywhere: Bench, pictures: Pictures) -> None:
    (job,) = anywhere.task(pictures[:5])
    anywhere.client.jobs.retrieve(job).remove_frames_by_ids([1, 3])
    anywhere.scribble(job, 0, (8, 20, 20, 20), tag=1, label="car")
    anywhere.scribble(job, 3, (8, 20, 20, 20), tag=6, label="car")
    report = anywhere.sync(job)
    assert report.scribbles == {0: 1}
    assert {frame for frame, _ in anywhere.masks(job)} == {0, 2, 4}


def test_masks_on_a_frame_that_is_deleted_later_stay_and_are_known_again(anywhere: Bench, pictures: Pictures) -> None:
    job = started(anywhere, pictures)
    anywhere.client.jobs.retrieve(job).remove_frames_by_ids([0])
    hidden = [s for s in anywhere.shapes(job) if s["frame"] == 0]
    anywhere.scribble(job, 4, (8, 20, 20, 20), tag=1)
    anywhere.sync(job)
    assert [s for s in anywhere.shapes(job) if s["frame"] == 0] == hidden
    anywhere.client.jobs.retrieve(job).remove_frames_by_ids([])
    assert anywhere.sync(job).references == []
    anywhere.masks(job)


def test_masks_that_another_job_left_beyond_this_one_are_ignored(anywhere: Bench, pictures: Pictures) -> None:
    job = started(anywhere, pictures)
    stray = anywhere.box_mask(job, 99, BOX, "car", tag=1)
    report = anywhere.sync(job)
    assert report.references == []
    assert stray in [s["id"] for s in anywhere.shapes(job)]


def test_overlapping_human_masks_lie_as_their_z_order_says(anywhere: Bench, pictures: Pictures) -> None:
    (job,) = anywhere.task(pictures[:3])
    low = anywhere.box_mask(job, 0, (10, 10, 40, 40), "car", tag=1)
    anywhere.box_mask(job, 0, (20, 20, 30, 30), "person", tag=2)
    shape = next(s for s in anywhere.shapes(job) if s["id"] == low)
    anywhere.server.patch_annotations(job, "update", shapes=[{**shape, "z_order": 5}])
    assert anywhere.sync(job).references == [0]
    jobs = anywhere.store.job(anywhere.server.url, job)
    mask = read_masks(jobs.state(jobs.ledger()) or b"").mask(0)
    assert (mask[10:41, 10:41] == 1).all()
