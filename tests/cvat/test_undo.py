"""Rounds taken back: the masks before them return, what people made stays, scribbles count again with the next one."""

from typing import Any

import numpy as np
import pytest
from bench import Bench, Pictures
from controlled_job import (
    EDITS,
    HUMAN,
    LABELS,
    START,
    check_ledger_of_own,
    check_settled,
    control,
    human,
    index_masks,
    shape,
    with_a_correction,
)

from siaf.cvat.rounds import writer
from siaf.cvat.storage.store import JobStore
from siaf.errors import InputError

Json = dict[str, Any]


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
