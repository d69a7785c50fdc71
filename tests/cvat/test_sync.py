"""A round on a job, as a labeler sees it: what goes in, what comes out, what is left alone."""

import numpy as np
import pytest
from bench import Bench, Pictures, bitmap, rle

from siaf.cvat.rounds import writer
from siaf.errors import InputError
from siaf.session.shrinking import ranges

LINE_1 = (8.0, 20.0, 20.0, 20.0)
LINE_2 = (72.0, 50.0, 85.0, 50.0)


def two_scribbles(bench: Bench, job: int) -> None:
    bench.scribble(job, 0, LINE_1, tag=1, label="car")
    bench.scribble(job, 4, LINE_2, tag=2, label="person")


def test_scribbles_on_several_frames_become_masks_on_all(anywhere: Bench, pictures: Pictures) -> None:
    (job,) = anywhere.task(pictures)
    two_scribbles(anywhere, job)
    report = anywhere.sync(job)
    masks = anywhere.masks(job)
    assert report.scribbles == {0: 1, 4: 1}
    assert report.objects == {1: "car", 2: "person"}
    assert report.created == len(masks) > 0
    assert {frame for frame, _ in masks} == set(range(10))
    assert bitmap(masks[0, 1], pictures)[20, 8:21].all()
    assert bitmap(masks[4, 2], pictures)[50, 72:86].all()


def test_masks_carry_tag_group_label_source_and_score(anywhere: Bench, pictures: Pictures) -> None:
    (job,) = anywhere.task(pictures)
    two_scribbles(anywhere, job)
    anywhere.sync(job)
    label = {1: anywhere.label_id(job, "car"), 2: anywhere.label_id(job, "person")}
    for shape in anywhere.shapes(job):
        (attribute,) = shape["attributes"]
        assert shape["group"] == int(attribute["value"])
        assert shape["label_id"] == label[shape["group"]]
        assert shape["source"] == "auto"
        assert 0 <= shape["score"] <= 1


def test_objects_never_overlap(anywhere: Bench, pictures: Pictures) -> None:
    (job,) = anywhere.task(pictures)
    two_scribbles(anywhere, job)
    anywhere.sync(job)
    layers = np.zeros(pictures.shape[:3], int)
    for (frame, _), points in anywhere.masks(job).items():
        layers[frame] += bitmap(points, pictures)
    assert layers.max((1, 2)).tolist() == [1] * 10


def test_syncing_again_changes_nothing(anywhere: Bench, pictures: Pictures) -> None:
    (job,) = anywhere.task(pictures)
    two_scribbles(anywhere, job)
    first = anywhere.sync(job)
    before = anywhere.everything(job)
    again = anywhere.sync(job)
    assert anywhere.everything(job) == before
    assert (again.created, again.updated, again.deleted, again.round) == (0, 0, 0, first.round)


def test_a_report_names_objects_that_vanished_or_shrank(anywhere: Bench, pictures: Pictures) -> None:
    """A brush mask of a whole frame, then one of a corner: what covered other frames has to shrink."""
    height, width = pictures.shape[1:3]
    (job,) = anywhere.task(pictures)
    anywhere.box_mask(job, 4, (0, 0, width - 1, height - 1), "car", 1)
    assert anywhere.sync(job).shrunk == []
    before = anywhere.masks(job)
    anywhere.box_mask(job, 6, (0, 0, 6, 6), "car", 1)
    report, after = anywhere.sync(job), anywhere.masks(job)
    had = {frame: int(bitmap(points, pictures).sum()) for (frame, _), points in before.items()}
    has = {frame: int(bitmap(points, pictures).sum()) for (frame, _), points in after.items()}
    frames = [f for f in sorted(had) if f not in (4, 6) and 2 * has.get(f, 0) < had[f]]
    assert frames, "nothing shrank: the case is none"
    gone = [f for f in frames if not has.get(f)]
    smaller = [f for f in frames if f not in gone]
    lines = [f"object 1 is less than half of what it was on {ranges(smaller)}"] if smaller else []
    lines += [f"object 1 is gone on {ranges(gone)}"] if gone else []
    assert report.shrunk == lines


def test_the_human_s_scribbles_stay_by_default(anywhere: Bench, pictures: Pictures) -> None:
    (job,) = anywhere.task(pictures)
    two_scribbles(anywhere, job)
    before = anywhere.shapes(job, "polyline")
    anywhere.sync(job)
    assert anywhere.shapes(job, "polyline") == before


def test_used_scribbles_can_be_removed(anywhere: Bench, pictures: Pictures) -> None:
    (job,) = anywhere.task(pictures)
    two_scribbles(anywhere, job)
    anywhere.sync(job, scribbles="remove")
    assert anywhere.shapes(job, "polyline") == []
    assert anywhere.sync(job, scribbles="remove").created == 0


def test_used_scribbles_can_be_marked(anywhere: Bench, pictures: Pictures) -> None:
    (job,) = anywhere.task(pictures)
    two_scribbles(anywhere, job)
    anywhere.sync(job, scribbles="mark")
    label = anywhere.labels(job).scribble
    assert label is not None
    marked = anywhere.shapes(job, "polyline")
    assert [label.value(s, "used") for s in marked] == ["true", "true"]
    assert [label.value(s, "object") for s in marked] == ["1", "2"]
    report = anywhere.sync(job, scribbles="mark")
    assert (report.round, report.scribbles) == (1, {})


def test_scribbles_that_cannot_be_marked_are_counted(anywhere: Bench, pictures: Pictures) -> None:
    (job,) = anywhere.task(pictures, labels=(("car", "any"), ("background", "polyline")))
    anywhere.scribble(job, 0, LINE_1, tag=1)
    anywhere.draw(job, 0, "polyline", (40, 60, 60, 60), "background")
    report = anywhere.sync(job, scribbles="mark")
    assert report.notes == [
        "1 used scribbles cannot be marked: their label has no 'used'",
        "1 used scribbles marked",
    ]
    assert anywhere.masks(job)


def test_a_scribble_that_was_changed_meanwhile_is_not_removed(
    anywhere: Bench, pictures: Pictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    (job,) = anywhere.task(pictures)
    two_scribbles(anywhere, job)
    drawn = anywhere.shapes(job, "polyline")[0]
    longer = [*LINE_1, 30.0, 24.0]

    def meanwhile(*_: object) -> None:
        if anywhere.shapes(job, "polyline")[0]["points"] != longer:
            anywhere.edit(job, drawn, points=longer)

    monkeypatch.setattr(writer, "check_change", meanwhile)
    anywhere.sync(job, scribbles="remove")
    assert [s["points"] for s in anywhere.shapes(job, "polyline")] == [longer]
    assert anywhere.sync(job, scribbles="remove").scribbles == {0: 1}


def test_points_and_brush_masks_are_scribbles_too(anywhere: Bench, pictures: Pictures) -> None:
    (job,) = anywhere.task(pictures)
    anywhere.draw(job, 0, "points", [10, 20, 15, 20], "scribble", object=1, label="car")
    brush = np.zeros(pictures.shape[1:3], bool)
    brush[48:53, 72:86] = True
    anywhere.draw(job, 0, "mask", rle(brush), "scribble", object=2, label="person")
    anywhere.sync(job)
    masks = anywhere.masks(job)
    assert bitmap(masks[0, 1], pictures)[20, 10]
    assert bitmap(masks[0, 2], pictures)[50, 75:83].all()


def test_negative_and_background_scribbles_say_where_it_is_not(anywhere: Bench, pictures: Pictures) -> None:
    (job,) = anywhere.task(pictures)
    two_scribbles(anywhere, job)
    anywhere.scribble(job, 0, (40, 40, 60, 40), tag=1, polarity="negative")
    anywhere.scribble(job, 0, (40, 60, 60, 60), tag=0, polarity="negative")
    anywhere.sync(job)
    masks = anywhere.masks(job)
    assert not bitmap(masks[0, 1], pictures)[40, 40:61].any()
    for (frame, _), points in masks.items():
        assert frame != 0 or not bitmap(points, pictures)[60, 40:61].any()


def test_without_setup_every_label_is_one_object(anywhere: Bench, pictures: Pictures) -> None:
    (job,) = anywhere.task(pictures, labels=(("car", "any"), ("person", "any")), setup=False)
    anywhere.draw(job, 0, "polyline", LINE_1, "car")
    anywhere.draw(job, 3, "polyline", LINE_2, "person")
    report = anywhere.sync(job)
    assert sorted(report.objects.values()) == ["car", "person"]
    groups = {(s["label_id"], s["group"]) for s in anywhere.shapes(job)}
    assert len(groups) == 2


def test_a_second_round_takes_exactly_the_new_scribbles(anywhere: Bench, pictures: Pictures) -> None:
    (job,) = anywhere.task(pictures)
    two_scribbles(anywhere, job)
    anywhere.sync(job)
    anywhere.scribble(job, 7, (40, 20, 50, 20), tag=1)
    anywhere.scribble(job, 8, (10, 60, 20, 60), tag=3, label="person")
    report = anywhere.sync(job)
    assert report.round == 2
    assert report.scribbles == {7: 1, 8: 1}
    assert sorted(report.objects) == [1, 2, 3]
    assert bitmap(anywhere.masks(job)[8, 3], pictures)[60, 10:21].all()


def test_dry_run_changes_nothing(anywhere: Bench, pictures: Pictures) -> None:
    (job,) = anywhere.task(pictures)
    two_scribbles(anywhere, job)
    before = anywhere.everything(job)
    report = anywhere.sync(job, dry_run=True)
    assert report.scribbles == {0: 1, 4: 1}
    assert report.created == 0
    assert anywhere.everything(job) == before
    assert anywhere.sync(job).round == 1


def test_the_report_says_which_frames_to_annotate_next(anywhere: Bench, pictures: Pictures) -> None:
    (job,) = anywhere.task(pictures)
    two_scribbles(anywhere, job)
    report = anywhere.sync(job)
    assert report.suggest
    assert not set(report.suggest) & {0, 4}


def test_nothing_drawn_is_an_error_that_says_how_to_draw(anywhere: Bench, pictures: Pictures) -> None:
    (job,) = anywhere.task(pictures[:3])
    with pytest.raises(InputError, match="draw lines with the label 'scribble'"):
        anywhere.sync(job)


def test_an_object_needs_a_label_when_there_are_several(anywhere: Bench, pictures: Pictures) -> None:
    (job,) = anywhere.task(pictures[:3])
    number = anywhere.scribble(job, 1, LINE_1, tag=4)
    with pytest.raises(InputError, match=f"polyline {number} on frame 1: which label has object 4"):
        anywhere.sync(job)


def test_an_object_with_two_labels_is_refused(anywhere: Bench, pictures: Pictures) -> None:
    (job,) = anywhere.task(pictures[:3])
    anywhere.scribble(job, 0, LINE_1, tag=1, label="car")
    anywhere.scribble(job, 1, LINE_1, tag=1, label="person")
    with pytest.raises(InputError, match="object 1 is a 'car', but a 'person' here"):
        anywhere.sync(job)


def test_a_scribble_far_outside_is_named(anywhere: Bench, pictures: Pictures) -> None:
    (job,) = anywhere.task(pictures[:3])
    number = anywhere.scribble(job, 1, (5, 5, 900, 5), tag=1, label="car")
    with pytest.raises(InputError, match=f"polyline {number} on frame 1: .*far outside"):
        anywhere.sync(job)
