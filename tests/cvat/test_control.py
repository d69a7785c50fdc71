"""Rounds taken back, objects swapped, merged and split: before and after, on a job with three objects."""

from typing import Any

import numpy as np
import pytest
from bench import Bench, Pictures, bitmap, check_ledger
from numpy.typing import NDArray

from siaf.cvat import commands
from siaf.cvat.rounds import writer
from siaf.cvat.rounds.control import Control
from siaf.cvat.rounds.control_report import ControlReport
from siaf.cvat.storage.store import JobStore
from siaf.errors import InputError
from siaf.session.state_file import read_masks

Json = dict[str, Any]
BOXES = {1: (8, 12, 24, 28), 2: (68, 42, 86, 58), 3: (80, 2, 94, 9)}
LABELS = {1: "car", 2: "person", 3: "car"}
START = 4
HUMAN = 7
"""A frame on which people corrected object 2."""


def control(bench: Bench, job: int, do: Any, *objects: int, from_frame: int | None = None) -> ControlReport:
    return commands.control(
        bench.client, job, do, store=bench.store, objects=objects, from_frame=from_frame, wait_s=0.0
    )


@pytest.fixture
def three(anywhere: Bench, pictures: Pictures) -> int:
    """A job with three objects on every frame after a round: masks by hand on its first and last frame."""
    (job,) = anywhere.task(pictures)
    for tag, box in BOXES.items():
        anywhere.box_mask(job, 0, box, LABELS[tag], tag)
    for tag, (left, top, right, bottom) in BOXES.items():
        y = (top + bottom) / 2
        anywhere.scribble(job, 9, (left, y, right, y), tag=tag, label=LABELS[tag])
    anywhere.sync(job)
    assert {tag for frame, tag in anywhere.masks(job) if frame == 9} == {1, 2, 3}
    return job


def with_a_correction(bench: Bench, job: int) -> Json:
    """Somebody changes the mask of object 2 on a frame, and a round takes that."""
    by_hand = bench.box_mask(job, HUMAN, (30, 30, 50, 50), "person", 2)
    bench.delete(job, *(s for s in bench.shapes(job) if s["frame"] == HUMAN and s["group"] == 2))
    bench.sync(job)
    return shape(bench, job, by_hand)


def shape(bench: Bench, job: int, number: int) -> Json:
    (found,) = [s for s in bench.everything(job)["shapes"] if s["id"] == number]
    return found


def human(bench: Bench, job: int) -> list[Json]:
    return [s for s in bench.everything(job)["shapes"] if s["source"] != "auto"]


def index_masks(bench: Bench, job: int, pictures: Pictures) -> NDArray[np.uint8]:
    """What the job shows, as one index mask a frame."""
    found = np.zeros(pictures.shape[:3], np.uint8)
    for (frame, tag), points in bench.masks(job).items():
        found[frame][bitmap(points, pictures)] = tag
    return found


def renamed(masks: NDArray[np.uint8], names: dict[int, int]) -> NDArray[np.uint8]:
    table = np.arange(256, dtype=np.uint8)
    table[list(names)] = list(names.values())
    return table[masks]


def check_settled(bench: Bench, job: int, pictures: Pictures) -> None:
    """Ledger, session and job agree, and a sync has nothing to do."""
    check_ledger_of_own(bench, job)
    place = bench.store.job(bench.server.url, job)
    state = place.state(place.ledger())
    if state is not None:
        session = np.stack([read_masks(state).mask(frame) for frame in range(len(pictures))])
        np.testing.assert_array_equal(index_masks(bench, job, pictures), session)
    before = bench.everything(job)
    report = bench.sync(job)
    assert not report.changed
    assert bench.everything(job) == before


def check_ledger_of_own(bench: Bench, job: int) -> None:
    ledger = bench.store.job(bench.server.url, job).ledger()
    assert ledger.pending is None
    found = bench.everything(job)["shapes"]
    assert set(ledger.shapes) == {s["id"] for s in found if s["source"] == "auto"}
    for number, own in ledger.shapes.items():
        assert (own.frame, own.tag) == next((s["frame"], s["group"]) for s in found if s["id"] == number)


EDITS = [
    pytest.param("swap", (1, 2), {1: 2, 2: 1}, {1: "car", 2: "person", 3: "car"}, id="swap"),
    pytest.param("merge", (1, 3), {3: 1}, {1: "car", 2: "person", 3: "car"}, id="merge"),
    pytest.param("split", (1,), {1: 4}, {1: "car", 2: "person", 3: "car", 4: "car"}, id="split"),
]


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


# -- undo -------------------------------------------------------------------------------------------------------------


def test_undo_brings_the_masks_before_the_round_back(anywhere: Bench, three: int, pictures: Pictures) -> None:
    before = anywhere.contents(three)
    drawn = anywhere.scribble(three, 5, (40, 50, 55, 50), tag=2, label="person")
    anywhere.scribble(three, 5, (2, 66, 20, 66), tag=4, label="car")
    anywhere.sync(three)
    assert 4 in {tag for _, tag in anywhere.masks(three)}
    report = control(anywhere, three, "undo")
    lines = [s for s in human(anywhere, three) if s["frame"] == 5]
    assert drawn in {s["id"] for s in lines}
    for line in lines:
        anywhere.delete(three, line)
    assert anywhere.contents(three) == before
    assert (report.round, report.objects) == (1, LABELS)


def test_nothing_happens_after_an_undo_until_something_is_drawn(
    anywhere: Bench, three: int, pictures: Pictures
) -> None:
    anywhere.scribble(three, 5, (40, 50, 55, 50), tag=2, label="person")
    second = anywhere.sync(three)
    with_second = anywhere.contents(three)
    report = control(anywhere, three, "undo")
    assert any("1 scribbles and masks of people" in note for note in report.notes)
    check_settled(anywhere, three, pictures)
    again = anywhere.sync(three)
    assert any("was taken back" in note for note in again.notes)
    anywhere.scribble(three, 7, (30, 50, 40, 50), tag=2, label="person")
    third = anywhere.sync(three)
    assert (second.scribbles, third.scribbles, third.round) == ({5: 1}, {5: 1, 7: 1}, 2)
    assert anywhere.contents(three) != with_second


def test_a_scribble_that_is_deleted_after_an_undo_lets_the_others_count(anywhere: Bench, three: int) -> None:
    anywhere.scribble(three, 5, (40, 50, 55, 50), tag=2, label="person")
    bad = anywhere.scribble(three, 6, (2, 2, 20, 2), tag=2, label="person")
    anywhere.sync(three)
    control(anywhere, three, "undo")
    anywhere.delete(three, shape(anywhere, three, bad))
    assert anywhere.sync(three).scribbles == {5: 1}


def test_undo_leaves_what_people_made(anywhere: Bench, three: int, pictures: Pictures) -> None:
    with_a_correction(anywhere, three)
    late = anywhere.box_mask(three, 2, (60, 60, 70, 70), "car", 1)
    by_people = human(anywhere, three)
    control(anywhere, three, "undo")
    assert human(anywhere, three) == by_people
    assert {s["id"] for s in by_people} >= {late}
    tags = [s["group"] for s in anywhere.shapes(three) if s["frame"] == HUMAN and s["source"] == "auto"]
    assert 2 not in tags, "a correction and the automatic mask below it"
    check_ledger_of_own(anywhere, three)
    assert not anywhere.sync(three).changed


def test_a_mask_whose_deletion_a_round_took_comes_back_and_one_deleted_since_does_not(
    anywhere: Bench, three: int, pictures: Pictures
) -> None:
    def delete(frame: int) -> None:
        anywhere.delete(three, *(s for s in anywhere.shapes(three) if (s["frame"], s["group"]) == (frame, 1)))

    before = anywhere.masks(three)
    delete(6)
    anywhere.sync(three)
    assert (6, 1) not in anywhere.masks(three)
    delete(3)
    control(anywhere, three, "undo")
    assert anywhere.masks(three) == {spot: points for spot, points in before.items() if spot != (3, 1)}
    assert anywhere.sync(three).references == [] and (3, 1) not in anywhere.masks(three)
    anywhere.scribble(three, 8, (40, 50, 50, 50), tag=2, label="person")
    assert anywhere.sync(three).references == [3]


@pytest.mark.parametrize(("do", "objects", "names", "table"), EDITS)
def test_undo_takes_an_edit_back(
    anywhere: Bench, three: int, pictures: Pictures, do: str, objects: tuple[int, ...], names: Json, table: Json
) -> None:
    before = anywhere.contents(three)
    control(anywhere, three, do, *objects, from_frame=START)
    assert anywhere.contents(three) != before
    control(anywhere, three, "undo")
    assert anywhere.contents(three) == before
    check_settled(anywhere, three, pictures)


def test_undo_goes_back_as_far_as_there_are_rounds(anywhere: Bench, three: int, pictures: Pictures) -> None:
    by_people = human(anywhere, three)
    anywhere.scribble(three, 5, (40, 50, 55, 50), tag=2, label="person")
    anywhere.sync(three)
    assert [control(anywhere, three, "undo").round for _ in range(2)] == [1, 0]
    assert [s for s in anywhere.shapes(three) if s["source"] == "auto"] == []
    assert [s for s in human(anywhere, three) if s["frame"] != 5] == by_people
    assert not anywhere.sync(three).changed
    with pytest.raises(InputError, match=f"job {three}: there is no round to take back"):
        control(anywhere, three, "undo")
    anywhere.scribble(three, 2, (40, 50, 55, 50), tag=2, label="person")
    assert anywhere.sync(three).round == 1


def test_a_store_keeps_so_many_rounds(bench: Bench, three: int, tmp_path: Any) -> None:
    for frame in range(1, 8):
        bench.scribble(three, frame, (40, 50, 55, 50), tag=2, label="person")
        bench.sync(three)
    assert len(list((tmp_path / "store").rglob("state-*"))) == 6
    for _ in range(5):
        control(bench, three, "undo")
    with pytest.raises(InputError, match=r"before round 3 is not in this store, which keeps the last 5 rounds"):
        control(bench, three, "undo")
    assert len(list((tmp_path / "store").rglob("state-*"))) == 1


def test_removed_scribbles_come_back(anywhere: Bench, three: int) -> None:
    anywhere.sync(three, scribbles="remove")
    anywhere.scribble(three, 5, (40, 50, 55, 50), tag=2, label="person")
    drawn = anywhere.shapes(three, "polyline")
    anywhere.sync(three, scribbles="remove")
    assert anywhere.shapes(three, "polyline") == []
    report = control(anywhere, three, "undo")
    assert [s["points"] for s in anywhere.shapes(three, "polyline")] == [s["points"] for s in drawn]
    assert "1 used scribbles are back in the job" in report.notes
    assert not anywhere.sync(three, scribbles="remove").changed
    assert len(anywhere.shapes(three, "polyline")) == 1


@pytest.mark.parametrize("step", [(writer.JobWriter, "create"), (JobStore, "save")], ids=lambda step: step[1])
def test_an_undo_that_is_cut_off_before_its_end_brings_scribbles_back_once(
    anywhere: Bench, three: int, step: tuple[type, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    anywhere.sync(three, scribbles="remove")
    anywhere.scribble(three, 5, (40, 50, 55, 50), tag=2, label="person")
    drawn = anywhere.shapes(three, "polyline")
    anywhere.sync(three, scribbles="remove")
    with monkeypatch.context() as patch:

        def cut(*_: object) -> None:
            raise KeyboardInterrupt

        patch.setattr(*step, cut)
        with pytest.raises(KeyboardInterrupt):
            control(anywhere, three, "undo")
    report = control(anywhere, three, "undo")
    assert [s["points"] for s in anywhere.shapes(three, "polyline")] == [s["points"] for s in drawn]
    assert "1 used scribbles are back in the job" in report.notes
    assert not anywhere.sync(three, scribbles="remove").changed


def test_marked_scribbles_lose_their_mark(anywhere: Bench, three: int) -> None:
    anywhere.sync(three, scribbles="mark")
    anywhere.scribble(three, 5, (40, 50, 55, 50), tag=2, label="person")
    anywhere.sync(three, scribbles="mark")
    label = anywhere.labels(three).scribble
    assert label is not None
    assert {label.value(s, "used") for s in anywhere.shapes(three, "polyline")} == {"true"}
    control(anywhere, three, "undo")
    used = {s["frame"]: label.value(s, "used") for s in anywhere.shapes(three, "polyline")}
    assert used == {5: "false", 9: "true"}


def test_an_undo_that_is_cut_off_is_finished_by_a_sync(
    anywhere: Bench, three: int, pictures: Pictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = index_masks(anywhere, three, pictures)
    anywhere.scribble(three, 5, (40, 50, 55, 50), tag=2, label="person")
    anywhere.sync(three)
    with monkeypatch.context() as patch:

        def cut(*_: object) -> None:
            raise KeyboardInterrupt

        patch.setattr(writer, "check_change", cut)
        with pytest.raises(KeyboardInterrupt):
            control(anywhere, three, "undo")
    anywhere.sync(three)
    np.testing.assert_array_equal(index_masks(anywhere, three, pictures), before)
    check_settled(anywhere, three, pictures)


# -- what cannot be done ----------------------------------------------------------------------------------------------


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
