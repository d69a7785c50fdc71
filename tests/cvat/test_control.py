"""Objects swapped, merged and split from a frame on: before and after, on a job with three of them."""

from typing import Any

import numpy as np
import pytest
from bench import Bench, Pictures, check_ledger
from controlled_job import (
    BOXES,
    EDITS,
    HUMAN,
    LABELS,
    START,
    check_settled,
    control,
    human,
    index_masks,
    with_a_correction,
)
from numpy.typing import NDArray

from siaf.cvat.rounds.control import Control
from siaf.errors import InputError

Json = dict[str, Any]


def renamed(masks: NDArray[np.uint8], names: dict[int, int]) -> NDArray[np.uint8]:
    table = np.arange(256, dtype=np.uint8)
    table[list(names)] = list(names.values())
    return table[masks]


@pytest.mark.parametrize(("do", "objects", "names", "table"), EDITS)
def test_objects_are_others_from_the_frame_on(
    anywhere: Bench, three: int, pictures: Pictures, do: str, objects: tuple[int, ...], names: Json, table: Json
) -> None:
    before, by_people = index_masks(anywhere, three, pictures), human(anywhere, three)
    report = control(anywhere, three, do, *objects, from_frame=START)
    after = index_masks(anywhere, three, pictures)
    np.testing.assert_array_equal(after[:START], before[:START])
    np.testing.assert_array_equal(after[START:], renamed(before[START:], names))
    assert (report.objects, report.round, report.kept) == (table, 2, [])
    assert human(anywhere, three) == by_people
    labels = {number: anywhere.label_id(three, name) for number, name in table.items()}
    assert all(s["label_id"] == labels[s["group"]] for s in anywhere.shapes(three) if s["source"] == "auto")
    check_settled(anywhere, three, pictures)


@pytest.mark.parametrize(("do", "objects", "names", "table"), EDITS)
def test_the_next_round_goes_on_with_the_new_identities(
    anywhere: Bench, three: int, pictures: Pictures, do: str, objects: tuple[int, ...], names: Json, table: Json
) -> None:
    control(anywhere, three, do, *objects, from_frame=START)
    changed = index_masks(anywhere, three, pictures)
    anywhere.scribble(three, 8, (40, 50, 50, 50), tag=2, label="person")
    report = anywhere.sync(three)
    assert (report.round, report.scribbles, report.objects) == (3, {8: 1}, table)
    after = index_masks(anywhere, three, pictures)
    for frame in (0, START - 1, START):  # both sides of the change are pinned
        np.testing.assert_array_equal(after[frame], changed[frame])


@pytest.mark.parametrize(("do", "objects", "names", "table"), EDITS)
def test_what_people_made_stays_and_is_listed(
    anywhere: Bench, three: int, pictures: Pictures, do: str, objects: tuple[int, ...], names: Json, table: Json
) -> None:
    by_hand = with_a_correction(anywhere, three)
    before, by_people = index_masks(anywhere, three, pictures), human(anywhere, three)
    report = control(anywhere, three, do, *objects, from_frame=START)
    after = index_masks(anywhere, three, pictures)
    assert human(anywhere, three) == by_people
    about = 2 in {*names, *names.values()}
    expected = [f"mask {by_hand['id']} on frame {HUMAN} (object 2)"] if about else []
    assert report.kept == expected
    kept = [HUMAN] if about else []
    for frame in range(START, 10):
        wanted = before[frame] if frame in kept else renamed(before[frame], names)
        np.testing.assert_array_equal(after[frame], wanted)
    check_settled(anywhere, three, pictures)


def test_a_mask_that_somebody_deleted_does_not_come_back_as_another(
    anywhere: Bench, three: int, pictures: Pictures
) -> None:
    anywhere.delete(three, *(s for s in anywhere.shapes(three) if (s["frame"], s["group"]) == (6, 1)))
    control(anywhere, three, "swap", 1, 2, from_frame=START)
    assert {tag for frame, tag in anywhere.masks(three) if frame == 6} == {1, 3}
    assert anywhere.sync(three).references == [6]
    assert {tag for frame, tag in anywhere.masks(three) if frame == 6} == {1, 3}


def test_a_merge_from_the_first_frame_leaves_one_object_less(anywhere: Bench, three: int, pictures: Pictures) -> None:
    """Frame 0 was drawn by hand, and stays."""
    report = control(anywhere, three, "merge", 1, 3, from_frame=0)
    assert {tag for frame, tag in anywhere.masks(three) if frame > 0} == {1, 2}
    assert report.kept == [f"mask {s['id']} on frame 0 (object {s_tag})" for s, s_tag in _by_hand(anywhere, three)]
    assert report.objects == LABELS


def _by_hand(bench: Bench, job: int) -> list[tuple[Json, int]]:
    book = bench.labels(job)
    found = []
    for one in human(bench, job):
        label = book[one["label_id"]]
        assert label is not None
        tag = int(label.value(one, "object") or 0)
        if one["type"] == "mask" and tag in (1, 3):
            found.append((one, tag))
    return sorted(found, key=lambda pair: pair[1])


def test_tracks_follow_too(anywhere: Bench, pictures: Pictures) -> None:
    (job,) = anywhere.task(pictures, labels=(("car", "any"), ("person", "any")))
    for tag, (left, top, right, bottom) in BOXES.items():
        y = (top + bottom) / 2
        anywhere.scribble(job, 0, (left, y, right, y), tag=tag, label=LABELS[tag])
    anywhere.sync(job, write_as="rectangle-track")

    def boxes() -> dict[tuple[int, int], list[float]]:
        found = {}
        for track in anywhere.tracks(job):
            found |= {(k["frame"], track["group"]): k["points"] for k in track["shapes"] if not k["outside"]}
        return found

    before = boxes()
    control(anywhere, job, "swap", 1, 2, from_frame=START)
    names = {1: 2, 2: 1, 3: 3}
    assert boxes() == {(f, names[t] if f >= START else t): points for (f, t), points in before.items()}
    check_ledger(anywhere, job)
    assert not anywhere.sync(job).changed


@pytest.mark.parametrize(
    ("do", "objects", "frame", "message"),
    [
        ("swap", (1, 9), START, "objects: there is no object 9 in the job; there are: 1, 2, 3"),
        ("swap", (1, 1), START, "objects: needs two objects, not 1 twice"),
        ("merge", (1, 2), 10, r"from_frame: 10 is not a frame of the job \(0 to 9"),
    ],
)
def test_what_cannot_be_done_is_named(
    anywhere: Bench, three: int, do: str, objects: tuple[int, ...], frame: int, message: str
) -> None:
    before = anywhere.everything(three)
    with pytest.raises(InputError, match=message):
        control(anywhere, three, do, *objects, from_frame=frame)
    assert anywhere.everything(three) == before


@pytest.mark.parametrize(
    ("do", "objects", "frame", "field"),
    [
        ("jump", (), None, "do"),
        ("undo", (1,), None, "objects"),
        ("undo", (), 3, "from_frame"),
        ("swap", (1,), 3, "objects"),
        ("swap", (1, 256), 3, "objects"),
        ("swap", (1, True), 3, "objects"),
        ("split", (1,), None, "from_frame"),
        ("split", (1,), "3", "from_frame"),
    ],
)
def test_a_wrong_wish_is_named(do: Any, objects: Any, frame: Any, field: str) -> None:
    with pytest.raises(InputError, match=f"^{field}: "):
        Control(do, objects, frame)


def test_a_job_without_rounds_says_so(anywhere: Bench, pictures: Pictures) -> None:
    (job,) = anywhere.task(pictures[:2])
    with pytest.raises(InputError, match="no round has been run"):
        control(anywhere, job, "swap", 1, 2, from_frame=0)
