"""What is to be written: changes, batches, tracks with gaps, and the checks before anything is sent."""

from typing import Any

import numpy as np
import pytest

from siaf.cvat.job.clip import JobClip
from siaf.cvat.job.labels import LabelBook
from siaf.cvat.job.ledger import LabeledObject, Ledger
from siaf.cvat.job.reading import Reading
from siaf.cvat.writing.changes import Change, Wanted, batches, plan_changes
from siaf.cvat.writing.checks import check_change
from siaf.errors import InputError
from siaf.masks import IndexMask
from siaf.session.mask_store import MaskStore
from siaf.session.snapshot import SessionMasks

HEIGHT, WIDTH = 40, 60
OBJECT = {
    "id": 7,
    "name": "object",
    "mutable": False,
    "input_type": "number",
    "default_value": "0",
    "values": ["0", "255", "1"],
}
COLOR = {
    "id": 8,
    "name": "color",
    "mutable": True,
    "input_type": "select",
    "default_value": "red",
    "values": ["red", "blue"],
}
LABEL = {"id": 1, "name": "car", "type": "any", "color": "#fff", "attributes": [OBJECT, COLOR]}
MASKS_ONLY = {"id": 2, "name": "bus", "type": "mask", "color": "#fff", "attributes": []}
BOOK = LabelBook([LABEL, MASKS_ONLY])
EMPTY: dict[str, Any] = {"shapes": [], "tracks": [], "tags": []}


def clip(deleted: frozenset[int] = frozenset()) -> JobClip:
    """A job of frames 10 to 15."""
    return JobClip(1, 1, None, 10, 15, WIDTH, HEIGHT, deleted, 72, False, "", "new", "annotation", None)


def box(left: int, top: int, right: int, bottom: int, tag: int = 1) -> IndexMask:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[top:bottom, left:right] = tag
    return mask


def wanted(masks: dict[int, IndexMask], **more: Any) -> Wanted:
    store = MaskStore(HEIGHT, WIDTH)
    for frame, mask in masks.items():
        store[frame] = mask
    scores = {f: {1: 0.75} for f in masks}
    shown = SessionMasks(masks=store, interacted=[], confidence=scores, frames=6)
    return Wanted(shown, {1: LabeledObject("car")}, more.get("absent", set()), more.get("human", set()))


def plan(target: Wanted, write_as: Any = "mask", job: JobClip | None = None) -> list[Change]:
    return plan_changes(target, EMPTY, Reading(), job or clip(), BOOK, Ledger(1), write_as)


def shape(**changes: Any) -> dict[str, Any]:
    (change,) = plan(wanted({0: box(5, 5, 15, 15)}))
    return {**change.shapes[0], **changes}


def test_a_mask_is_written_with_everything_that_cvat_keeps() -> None:
    assert shape() == {
        "type": "mask",
        "frame": 10,
        "label_id": 1,
        "points": [0.0, 100.0, 5.0, 5.0, 14.0, 14.0],
        "group": 1,
        "source": "auto",
        "score": 0.75,
        "occluded": False,
        "outside": False,
        "z_order": 0,
        "rotation": 0.0,
        "attributes": [{"spec_id": 7, "value": "1"}, {"spec_id": 8, "value": "red"}],
        "elements": [],
    }


def test_deleted_frames_human_spots_and_absent_objects_are_left_out() -> None:
    masks = {f: box(5, 5, 15, 15) for f in range(6)}
    target = wanted(masks, absent={(11, 1)}, human={(12, 1)})
    (change,) = plan(target, job=clip(frozenset({15})))
    assert [s["frame"] for s in change.shapes] == [10, 13, 14]


@pytest.mark.parametrize("write_as", ["polygon-track", "rectangle-track"])
def test_a_track_is_outside_where_the_object_is_absent(write_as: str) -> None:
    visible = {1: box(5, 5, 15, 15), 2: box(6, 5, 16, 15), 4: box(8, 5, 18, 15)}
    (change,) = plan(wanted({**dict.fromkeys(range(6), box(0, 0, 0, 0)), **visible}), write_as)
    (track,) = change.tracks
    assert track["frame"] == 11
    assert [(k["frame"], k["outside"]) for k in track["shapes"]] == [
        (11, False),
        (12, False),
        (13, True),
        (14, False),
        (15, True),
    ]
    assert [a["spec_id"] for a in track["attributes"]] == [7]
    assert {a["spec_id"] for k in track["shapes"] for a in k["attributes"]} == {8}
    check_change(change, clip(), BOOK)


def test_a_rectangle_s_edges_are_those_that_the_tracker_gives() -> None:
    """Right and bottom are behind the last pixel; an object of one pixel is a rectangle too."""
    (change,) = plan(wanted({0: box(3, 2, 7, 5), 1: box(9, 7, 10, 8)}), "rectangle-track")
    points = [k["points"] for k in change.tracks[0]["shapes"] if not k["outside"]]
    assert points == [[3.0, 2.0, 7.0, 5.0], [9.0, 7.0, 10.0, 8.0]]
    check_change(change, clip(), BOOK)


def test_requests_stay_small() -> None:
    (change,) = plan(wanted({f: box(5, 5, 15, 15) for f in range(6)}))
    many = Change("create", change.shapes * 300, [], change.own_shapes * 300)
    parts = list(batches(many))
    assert [len(part) for part in parts] == [500, 500, 500, 300]
    assert [s for part in parts for s in part.shapes] == many.shapes
    assert [own for part in parts for own in part.own_shapes] == many.own_shapes


def test_a_shape_larger_than_a_request_still_goes() -> None:
    huge = shape(points=[0.0, *[1.0] * 500_000])
    parts = list(batches(Change("create", [shape(), huge, shape()])))
    assert [len(part) for part in parts] == [1, 1, 1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frame": 9}, "frame 9 is not the job's"),
        ({"frame": 16}, "frame 16 is not the job's"),
        ({"label_id": 99}, "label 99 is not the job's"),
        ({"points": [0.0, 99.0, 5.0, 5.0, 14.0, 14.0]}, "sum to 99"),
        ({"points": [100.0, 5.0, 5.0, 14.0, 14.0]}, "the mask is empty"),
        ({"points": [0.0, 100.0, 55.0, 5.0, 64.0, 14.0]}, "leaves the 60×40 frame"),
        ({"points": [0.5, 99.5, 5.0, 5.0, 14.0, 14.0]}, "whole pixel counts"),
        ({"points": [0.0, float("nan"), 5.0, 5.0, 14.0, 14.0]}, "must be finite"),
        ({"attributes": [{"spec_id": 99, "value": "1"}]}, "attribute 99 is not one of label 'car'"),
        ({"attributes": [{"spec_id": 7, "value": "256"}]}, "'256' is no value of attribute 'object'"),
        ({"attributes": [{"spec_id": 8, "value": "green"}]}, "'green' is no value of attribute 'color'"),
        ({"score": 1.5}, "the score 1.5 is not 0 to 1"),
        ({"id": 5}, "a new shape has no id"),
        (
            {"label_id": 2, "type": "polygon", "points": [1, 1, 5, 1, 5, 5], "attributes": []},
            "is for mask, not polygon",
        ),
    ],
)
def test_what_cvat_could_not_show_is_never_sent(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_change(Change("create", [shape(**changes)]), clip(), BOOK)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shapes": []}, "without keyframes"),
        ({"frame": 12}, "must ascend from the track's first frame"),
        ({"attributes": [{"spec_id": 8, "value": "red"}]}, "attribute 8 is not one of label 'car'"),
    ],
)
def test_tracks_that_break_cvat_are_never_sent(changes: dict[str, Any], message: str) -> None:
    (change,) = plan(wanted({f: box(5, 5, 15, 15) for f in range(6)}), "polygon-track")
    check_change(change, clip(), BOOK)
    with pytest.raises(InputError, match=message):
        check_change(Change("create", [], [{**change.tracks[0], **changes}]), clip(), BOOK)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"type": "mask"}, "cannot show tracks of masks"),
        ({"points": [1.0, 1.0, 5.0, 5.0]}, "a polygon cannot have 4 numbers"),
        ({"points": [1.0, 1.0, 99.0, 5.0, 5.0, 9.0]}, "leaves the 60×40 frame"),
        ({"type": "rectangle", "points": [9.0, 9.0, 5.0, 5.0]}, "a rectangle is left, top, right, bottom, not 9, 9, 5"),
        ({"type": "rectangle", "points": [9.0, 5.0, 9.0, 8.0]}, "a rectangle is left, top, right, bottom, not 9, 5, 9"),
        ({"type": "rectangle", "points": [5.0, 9.0, 8.0, 9.0]}, "a rectangle is left, top, right, bottom, not 5, 9, 8"),
    ],
)
def test_keyframes_are_checked_too(changes: dict[str, Any], message: str) -> None:
    (change,) = plan(wanted({f: box(5, 5, 15, 15) for f in range(6)}), "polygon-track")
    track = change.tracks[0]
    keyframes = [{**track["shapes"][0], **changes}, *track["shapes"][1:]]
    with pytest.raises(InputError, match=message):
        check_change(Change("create", [], [{**track, "shapes": keyframes}]), clip(), BOOK)
