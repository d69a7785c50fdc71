"""What people draw in other ways than they were told: tracks, rectangles, masks without numbers, imported masks."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from bench import Bench, Pictures, bitmap, rle

from siaf.cvat.rounds.questions import Unanswered
from siaf.errors import InputError

ANY = (("car", "any"), ("person", "any"))
LINE = (8.0, 20.0, 20.0, 20.0)


def track(
    bench: Bench, job: int, under: str, kind: str, keyframes: dict[int, Sequence[float]], /, **values: Any
) -> int:
    """A track by hand, with an end behind its last keyframe; `values` are attributes by name. The new id."""
    shapes = [
        {"type": kind, "frame": frame, "points": [float(v) for v in points], "outside": False, "attributes": []}
        for frame, points in keyframes.items()
    ]
    shapes.append({**shapes[-1], "frame": max(keyframes) + 1, "outside": True})
    drawn = {
        "frame": min(keyframes),
        "label_id": bench.label_id(job, under),
        "attributes": bench.attributes(job, under, values),
        "shapes": shapes,
    }
    return int(bench.server.patch_annotations(job, "create", tracks=[drawn])["tracks"][0]["id"])


# -- tracks as scribbles ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "first", "second", "inside"),
    [
        ("polyline", LINE, (8, 30, 20, 30), ((20, 8), (30, 8))),
        ("points", (8, 20, 15, 20), (8, 30), ((20, 8), (30, 8))),
        ("polygon", (8, 18, 20, 18, 20, 24, 8, 24), (8, 28, 20, 28, 20, 34, 8, 34), ((21, 14), (31, 14))),
    ],
)
def test_keyframes_of_a_scribble_that_was_drawn_as_a_track_are_strokes(
    anywhere: Bench, pictures: Pictures, kind: str, first: Any, second: Any, inside: Any
) -> None:
    (job,) = anywhere.task(pictures[:5])
    track(anywhere, job, "scribble", kind, {0: first, 2: second}, object=3, label="car")
    before = anywhere.tracks(job)
    report = anywhere.sync(job)
    assert (sorted(report.scribbles), report.objects, report.ignored) == ([0, 2], {3: "car"}, {})
    for frame, (y, x) in zip((0, 2), inside, strict=True):
        assert bitmap(anywhere.masks(job)[frame, 3], pictures)[y, x]
    assert anywhere.tracks(job) == before
    assert anywhere.sync(job).round == 1


def test_a_polygon_under_the_scribble_label_is_a_filled_stroke(anywhere: Bench, pictures: Pictures) -> None:
    (job,) = anywhere.task(pictures[:3])
    anywhere.draw(job, 0, "polygon", (8, 18, 20, 18, 20, 24, 8, 24), "scribble", object=1, label="car")
    assert list(anywhere.sync(job).scribbles) == [0]
    assert bitmap(anywhere.masks(job)[0, 1], pictures)[20:23, 11:18].all()


def test_lines_under_an_object_s_label_may_be_tracks_too(anywhere: Bench, pictures: Pictures) -> None:
    (job,) = anywhere.task(pictures[:4], labels=ANY)
    track(anywhere, job, "car", "polyline", {1: LINE}, object=2)
    report = anywhere.sync(job)
    assert (report.scribbles, report.objects, report.ignored) == ({1: 1}, {2: "car"}, {})


@pytest.mark.parametrize(("wish", "left"), [("remove", 0), ("mark", 1)])
def test_used_tracks_are_put_away_as_a_whole(anywhere: Bench, pictures: Pictures, wish: str, left: int) -> None:
    (job,) = anywhere.task(pictures[:4])
    track(anywhere, job, "scribble", "polyline", {0: LINE, 1: LINE}, object=1, label="car")
    report = anywhere.sync(job, scribbles=wish)
    assert report.notes == [f"1 used scribbles {'removed' if wish == 'remove' else 'marked'}"]
    assert len(anywhere.tracks(job)) == left
    label = anywhere.labels(job).scribble
    assert label is not None
    assert [label.value(found, "used") for found in anywhere.tracks(job)] == ["true"] * left
    assert anywhere.sync(job, scribbles=wish).round == 1


def test_what_cannot_be_used_is_named_beside_what_is(anywhere: Bench, pictures: Pictures) -> None:
    (job,) = anywhere.task(pictures[:5], labels=(*ANY, ("road", "any")))
    road = anywhere.label_id(job, "road")
    for label in anywhere.server.labels(job_id=job):  # as if setup had been run with --labels car person
        if label["id"] == road:
            assert [a["name"] for a in label["attributes"]] == ["object"]
    anywhere.scribble(job, 0, LINE, tag=1, label="car")
    ellipse = anywhere.draw(job, 1, "ellipse", (40, 30, 50, 20), "car", object=1)
    under = anywhere.draw(job, 1, "rectangle", (3, 3, 9, 9), "scribble", object=1)
    plain = anywhere.draw(job, 1, "rectangle", (3, 3, 9, 9), "car")
    number = track(anywhere, job, "scribble", "rectangle", {2: (3, 3, 9, 9)}, object=1)
    beyond = anywhere.scribble(job, 99, LINE, tag=1, label="car")
    anywhere.client.jobs.retrieve(job).remove_frames_by_ids([3])
    deleted = anywhere.scribble(job, 3, LINE, tag=1, label="car")
    report = anywhere.sync(job)
    assert report.scribbles == {0: 1}
    why = "no strokes; with the label 'scribble', draw polyline, points, polygon or a mask, not a rectangle"
    assert report.ignored == {
        "of a type that is neither a mask nor a stroke": [f"ellipse {ellipse} on frame 1"],
        why: [f"rectangle {under} on frame 1", f"rectangle of track {number} on frame 2"],
        "rectangles are boxes around an object only with a number": [f"rectangle {plain} on frame 1"],
        "on frames that the job does not have": [f"polyline {beyond} on frame 99"],
        "on deleted frames": [f"polyline {deleted} on frame 3"],
    }
    assert f"  not used: ellipse {ellipse} on frame 1: of a type that is neither a mask nor a stroke" in report.lines()


def test_labels_without_a_number_beside_others_are_named(anywhere: Bench, pictures: Pictures) -> None:
    (job,) = anywhere.task(pictures[:3], labels=ANY)
    task = anywhere.server.job(job)["task_id"]
    anywhere.server.change_labels([{"name": "road", "type": "any", "attributes": []}], task=task)
    anywhere.scribble(job, 0, LINE, tag=1, label="car")
    lane = anywhere.draw(job, 0, "polyline", LINE, "road")
    number = track(anywhere, job, "road", "polygon", {1: (1, 1, 9, 1, 9, 9)})
    assert anywhere.sync(job).ignored == {
        "the label 'road' is not for objects: it has no attribute 'object'": [
            f"polyline {lane} on frame 0",
            f"track {number}",
        ]
    }


def test_where_nothing_can_be_used_the_error_says_why(anywhere: Bench, pictures: Pictures) -> None:
    (job,) = anywhere.task(pictures[:3], labels=ANY)
    number = track(anywhere, job, "car", "rectangle", {0: (3, 3, 9, 9)})
    with pytest.raises(
        InputError, match=f"nothing is drawn: .*; not used: rectangle of track {number} on frame 0: rect"
    ):
        anywhere.sync(job)


# -- rectangles as boxes ----------------------------------------------------------------------------------------------


def test_a_rectangle_with_a_number_is_a_box(anywhere: Bench, pictures: Pictures) -> None:
    (job,) = anywhere.task(pictures[:4], labels=ANY)
    anywhere.draw(job, 0, "rectangle", (10, 12, 31, 33), "car", object=1)
    track(anywhere, job, "person", "rectangle", {2: (60, 40, 80, 60)}, object=2)
    before = (anywhere.shapes(job, "rectangle"), anywhere.tracks(job))
    report = anywhere.sync(job)
    assert (report.boxes, report.objects, report.ignored) == ({0: 1, 2: 1}, {1: "car", 2: "person"}, {})
    assert "  boxes on frames 0, 2" in report.lines()
    assert {(0, 1), (2, 2)} <= set(anywhere.masks(job))
    assert (anywhere.shapes(job, "rectangle"), anywhere.tracks(job)) == before
    assert anywhere.sync(job).round == 1


def test_a_turned_rectangle_is_the_box_around_it(bench: Bench, pictures: Pictures) -> None:
    (job,) = bench.task(pictures[:2], labels=ANY)
    number = bench.draw(job, 0, "rectangle", (20, 30, 40, 34), "car", object=1)
    (shape,) = bench.shapes(job, "rectangle")
    assert shape["id"] == number
    bench.edit(job, shape, rotation=90.0)
    from siaf.cvat.job.clip import open_job
    from siaf.cvat.job.ledger import Ledger
    from siaf.cvat.job.reading import read_job

    clip = open_job(bench.server, job)
    (found,) = read_job(bench.server.annotations(job), clip, bench.labels(job), Ledger(job)).rectangles
    assert found.box(clip) == pytest.approx((28, 22, 32, 42))


@pytest.mark.parametrize("points", [(10, 12, 10, 33), (10, 12, 31, 12)])
def test_a_rectangle_without_width_or_height_is_refused_by_name(
    anywhere: Bench, pictures: Pictures, points: tuple[int, ...]
) -> None:
    (job,) = anywhere.task(pictures[:2], labels=ANY)
    number = anywhere.draw(job, 1, "rectangle", points, "car", object=1)
    with pytest.raises(InputError, match=f"rectangle {number} on frame 1: the box .* is inverted or empty"):
        anywhere.sync(job)


# -- masks without numbers --------------------------------------------------------------------------------------------


def joined(bench: Bench, pictures: Pictures) -> tuple[int, int]:
    """A job in which somebody joined the masks of objects 1 and 2 on frame 3; the new mask's id."""
    (job,) = bench.task(pictures[:5])
    bench.scribble(job, 0, LINE, tag=1, label="car")
    bench.box_mask(job, 0, (72, 45, 85, 55), "person", tag=2)
    bench.sync(job)
    parts = [s for s in bench.shapes(job) if s["frame"] == 3]
    assert sorted(s["group"] for s in parts) == [1, 2]
    whole = np.logical_or(*(bitmap(s["points"], pictures) for s in parts))
    bench.delete(job, *parts)
    return job, bench.draw(job, 3, "mask", rle(whole), "car")


def test_a_joined_mask_is_asked_about_before_any_work(anywhere: Bench, pictures: Pictures) -> None:
    job, number = joined(anywhere, pictures)
    before = anywhere.everything(job)
    question = (
        f"mask {number} on frame 3 has no number and lies where objects 1 and 2 had a mask that is gone; "
        "it would become object 3, a 'car', and objects 1 and 2 would be absent there"
    )
    with pytest.raises(Unanswered, match=f"job {job}: {question}: set their numbers, or .*--yes") as caught:
        anywhere.sync(job)
    assert caught.value.questions == [question]
    assert anywhere.everything(job) == before
    looked = anywhere.sync(job, dry_run=True)
    assert looked.notes == [question]
    assert anywhere.everything(job) == before
    report = anywhere.sync(job, yes=True)
    assert (report.notes, report.round, report.references) == ([question], 2, [3])
    assert sorted(report.objects) == [1, 2, 3]
    assert not {(3, 1), (3, 2)} & set(anywhere.masks(job))
    assert anywhere.sync(job).round == 2  # what was answered is not asked again


def test_a_joined_mask_with_a_number_is_that_object(anywhere: Bench, pictures: Pictures) -> None:
    job, number = joined(anywhere, pictures)
    shape = next(s for s in anywhere.shapes(job) if s["id"] == number)
    anywhere.edit(job, shape, attributes=anywhere.attributes(job, "car", {"object": 1}))
    report = anywhere.sync(job)
    assert (sorted(report.objects), report.references, report.notes) == ([1, 2], [3], [])


def test_a_new_mask_beside_a_deleted_one_is_not_asked_about(anywhere: Bench, pictures: Pictures) -> None:
    job, number = joined(anywhere, pictures)
    whole = next(s for s in anywhere.shapes(job) if s["id"] == number)
    free = ~bitmap(whole["points"], pictures)
    assert free.any()
    anywhere.delete(job, whole)
    anywhere.draw(job, 3, "mask", rle(free), "car")
    assert anywhere.sync(job).notes == []


def test_two_masks_without_a_number_on_a_frame_are_not_one_object_unasked(anywhere: Bench, pictures: Pictures) -> None:
    (job,) = anywhere.task(pictures[:3])
    first = anywhere.box_mask(job, 1, (5, 5, 15, 15), "car", tag=0)
    anywhere.box_mask(job, 2, (5, 5, 15, 15), "car", tag=0)  # one a frame: the label's only object
    anywhere.box_mask(job, 1, (60, 50, 80, 60), "person", tag=0)  # of another label
    objects = anywhere.sync(job).objects
    tag = {label: number for number, label in objects.items()}
    assert sorted(tag) == ["car", "person"]
    second = anywhere.box_mask(job, 1, (40, 40, 50, 50), "car", tag=0)
    names = f"mask {first} on frame 1 and mask {second} on frame 1"
    question = f"{names} have no number; together they would become object {tag['car']}"
    with pytest.raises(Unanswered, match=question):
        anywhere.sync(job)
    assert anywhere.sync(job, yes=True).notes == [question]
    assert anywhere.sync(job).notes == []


def test_without_setup_the_question_says_where_numbers_come_from(anywhere: Bench, pictures: Pictures) -> None:
    (job,) = anywhere.task(pictures[:2], labels=ANY, setup=False)
    for box in ((5, 5, 15, 15), (40, 40, 50, 50)):
        area = (box[2] - box[0] + 1) * (box[3] - box[1] + 1)
        anywhere.draw(job, 0, "mask", (0, area, *box), "car")
    with pytest.raises(Unanswered, match=r"have no number \(siaf cvat setup adds 'object'\)"):
        anywhere.sync(job)


# -- imported masks ---------------------------------------------------------------------------------------------------


def imported(bench: Bench, job: int, masks: dict[tuple[int, int], list[float]], labels: dict[int, str]) -> None:
    """What CVAT makes of annotations.xml: a shape a mask, source and attributes as in the file, no group."""
    for (frame, tag), points in masks.items():
        shape = {
            "type": "mask",
            "frame": frame,
            "label_id": bench.label_id(job, labels[tag]),
            "points": points,
            "source": "semi-auto",
            "attributes": bench.attributes(job, labels[tag], {"object": tag}),
        }
        bench.server.patch_annotations(job, "create", shapes=[shape])


def test_imported_masks_alone_count_as_drawn_and_the_report_says_so(anywhere: Bench, pictures: Pictures) -> None:
    (job,) = anywhere.task(pictures[:4])
    masks = {(f, 1): [0.0, 121.0, 5.0, 5.0, 15.0, 15.0] for f in range(4)}
    imported(anywhere, job, masks, {1: "car"})
    report = anywhere.sync(job)
    assert (report.created, report.updated, report.deleted, report.human) == (0, 0, 0, 4)
    (note,) = report.notes
    assert note.startswith("masks on 4 of 4 frames are human work for siaf, which changes none of them; ")
    assert "use either that or siaf cvat import-state, not both" in note
    assert anywhere.sync(job).notes == []


def test_imported_masks_that_equal_the_session_s_are_siaf_s_own(anywhere: Bench, pictures: Pictures) -> None:
    """annotations.xml and session.siaf of one run, both given to CVAT; one mask was mended in between."""
    from siaf.cvat import commands

    first, second = (anywhere.task(pictures[:5])[0] for _ in range(2))
    anywhere.scribble(first, 0, LINE, tag=1, label="car")
    anywhere.scribble(first, 2, (72, 50, 85, 50), tag=2, label="person")
    anywhere.sync(first)
    jobs = anywhere.store.job(anywhere.server.url, first)
    (anywhere.folder / "session.siaf").write_bytes(jobs.state(jobs.ledger()) or b"")
    masks = anywhere.masks(first)
    spot = next(s for s in sorted(masks) if s[0] == 3)
    mended = {**masks, spot: [0.0, 121.0, 5.0, 5.0, 15.0, 15.0]}
    imported(anywhere, second, mended, {1: "car", 2: "person"})
    commands.import_state(anywhere.client, second, anywhere.folder / "session.siaf", store=anywhere.store)
    report = anywhere.sync(second)
    assert f"{len(masks) - 1} masks equal the session's, so siaf treats them as its own from now on" in report.notes
    assert (report.references, report.human, report.created) == ([3], 1, 0)
    assert anywhere.masks(second)[spot] == mended[spot]
    anywhere.scribble(second, 4, (30, 60, 50, 60), tag=1)
    later = anywhere.sync(second)
    assert (later.human, later.updated + later.created > 0) == (1, True)


# -- options and empty masks ------------------------------------------------------------------------------------------


def change_options(bench: Bench, job: int, label: str, attribute: str, values: list[str]) -> None:
    """As somebody who edits a label's attribute; CVAT leaves what shapes have."""
    found = bench.labels(job)[bench.label_id(job, label)]
    assert found is not None
    old = found.attribute(attribute)
    assert old is not None
    form = {"id": old.id, "name": attribute, "mutable": old.mutable, "input_type": old.input_type}
    entry = {"id": found.id, "name": label, "attributes": [{**form, "default_value": values[0], "values": values}]}
    bench.server.change_labels([entry], task=bench.server.job(job)["task_id"])


def test_renamed_options_make_no_shape_look_changed_and_stop_no_round(anywhere: Bench, pictures: Pictures) -> None:
    (job,) = anywhere.task(pictures[:4], labels=ANY)
    task = anywhere.server.job(job)["task_id"]
    color = {"name": "color", "mutable": False, "input_type": "select", "default_value": "red", "values": ["red", "b"]}
    car = anywhere.label_id(job, "car")
    anywhere.server.change_labels([{"id": car, "name": "car", "attributes": [color]}], task=task)
    anywhere.scribble(job, 0, LINE, tag=1, label="car")
    anywhere.sync(job)
    change_options(anywhere, job, "car", "color", ["crimson", "b"])
    change_options(anywhere, job, "scribble", "label", ["nothing", "auto", "person"])
    change_options(anywhere, job, "scribble", "polarity", ["plus", "minus"])
    report = anywhere.sync(job)
    assert (report.round, report.scribbles, report.references, report.human) == (1, {}, [], 0)
    known = anywhere.scribble(job, 1, LINE, tag=1, label="auto", polarity="positive")
    unknown = anywhere.scribble(job, 1, LINE, tag=5, label="auto", polarity="positive")
    minus = anywhere.scribble(job, 2, LINE, tag=1, label="person", polarity="minus")
    report = anywhere.sync(job)
    assert known
    assert (report.round, report.scribbles, report.objects) == (2, {1: 1}, {1: "car"})
    names = {reason.split(",")[0].split(":")[0]: shapes for reason, shapes in report.ignored.items()}
    assert names == {
        "'label' is 'auto'": [f"polyline {unknown} on frame 1"],
        "their polarity is neither positive nor negative": [f"polyline {minus} on frame 2"],
    }


def test_a_renamed_option_in_a_track_stops_no_round(anywhere: Bench, pictures: Pictures) -> None:
    (job,) = anywhere.task(pictures[:4], labels=ANY)
    color = {"name": "color", "mutable": False, "input_type": "select", "default_value": "red", "values": ["red", "b"]}
    car = anywhere.label_id(job, "car")
    task = anywhere.server.job(job)["task_id"]
    anywhere.server.change_labels([{"id": car, "name": "car", "attributes": [color]}], task=task)
    anywhere.scribble(job, 0, LINE, tag=1, label="car")
    anywhere.sync(job, write_as="polygon-track")
    change_options(anywhere, job, "car", "color", ["crimson", "b"])
    anywhere.scribble(job, 3, (40, 60, 60, 60), tag=1)
    report = anywhere.sync(job)
    assert (report.round, report.updated, report.tracks["updated"]) == (2, 0, 1)


def test_empty_scribble_masks_are_a_note(anywhere: Bench, pictures: Pictures) -> None:
    (job,) = anywhere.task(pictures[:3])
    anywhere.scribble(job, 0, LINE, tag=1, label="car")
    empty = anywhere.draw(job, 1, "mask", (9, 4, 4, 6, 6), "scribble", object=7, label="car")
    outside = anywhere.draw(job, 1, "mask", (0, 4, 200, 4, 201, 5), "scribble", object=1)
    report = anywhere.sync(job)
    assert (report.scribbles, report.objects) == ({0: 1}, {1: "car"})
    names = [f"mask {empty} on frame 1", f"mask {outside} on frame 1"]
    assert {reason: sorted(shapes) for reason, shapes in report.ignored.items()} == {
        "no pixel of it is in the frame": names
    }
