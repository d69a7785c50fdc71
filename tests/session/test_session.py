"""Rounds of interaction: what a labeler can rely on, shown with random weights on a small clip."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from recording_model import RecordingModel
from small_rounds import Frames, run, stroke

from siaf import Session
from siaf.errors import InputError
from siaf.model.loaded import Model
from siaf.scribbles import rasterize


def test_scribbles_for_several_objects_on_several_frames_are_one_round(session: Session) -> None:
    masks = session.interact({3: [stroke(1, 20, 20)], 7: [stroke(2, 45, 50)]})
    assert sorted(masks) == [3, 7]
    assert session.interacted == [3, 7]
    assert session.objects.tags == [1, 2]
    assert session.pending == 10
    assert [*session.propagate()][-1] == (10, 10)
    assert session.pending == 0


def test_an_object_scribbled_on_one_frame_is_looked_for_on_the_others(recording: RecordingModel, clip: Frames) -> None:
    Session(recording, clip).interact({3: [stroke(1, 20, 20)], 7: [stroke(2, 45, 50)]})
    (asked,) = [call for call in recording.calls if call.method == "decode_masks"]
    assert (asked.count, asked.slots) == (2, [[1, 2]])


def test_what_was_drawn_is_never_contradicted(session: Session) -> None:
    masks = session.interact({3: [stroke(1, 20, 20), stroke(0, 40, 60)], 7: [stroke(2, 45, 50)]})
    assert (masks[3][20, 20:31] == 1).all()
    assert (masks[3][60, 40:51] == 0).all()
    assert (masks[7][50, 45:56] == 2).all()


def test_tags_beyond_ten_open_a_second_group(session: Session) -> None:
    session.interact({5: [stroke(10 + i, 5 + 7 * i, 5 + 5 * i, 3) for i in range(11)]})
    masks = run(session)
    assert session.objects.groups() == 2
    assert set(np.unique(np.stack(list(masks.values())))) <= {0, *range(10, 21)}
    assert all(masks[5][5 + 5 * i, 5 + 7 * i] == 10 + i for i in range(11))


def test_a_human_mask_is_taken_as_it_is(session: Session, clip: Frames) -> None:
    reference = np.zeros(clip.shape[1:3], np.int64)
    reference[5:20, 5:20] = 9
    masks = session.interact(references={4: reference})
    assert np.array_equal(masks[4], reference)
    run(session)
    assert np.array_equal(session.mask(4), reference)
    session.interact({8: [stroke(9, 40, 40)]})
    run(session)
    assert np.array_equal(session.mask(4), reference)


def test_strokes_beside_a_human_mask_leave_its_objects_alone(session: Session, clip: Frames) -> None:
    reference = np.zeros(clip.shape[1:3], np.uint8)
    reference[5:20, 5:20] = 9
    mask = session.interact({4: [stroke(2, 50, 50)]}, references={4: reference})[4]
    assert (mask[5:20, 5:20] == 9).all()
    assert (mask[50, 50:61] == 2).all()


def test_an_object_absent_from_the_only_reference_is_absent_everywhere(session: Session, clip: Frames) -> None:
    reference = np.zeros(clip.shape[1:3], np.uint8)
    reference[5:20, 5:20] = 1
    session.interact(references={0: reference})
    assert set(np.unique(np.stack(list(run(session).values())))) == {0, 1}


def test_reannotating_a_frame_replaces_its_entry_in_memory(session: Session) -> None:
    session.interact({3: [stroke(1, 20, 20)]})
    run(session)
    first = session.memory.entries[3]
    session.interact({3: [stroke(1, 60, 60)]})
    run(session)
    assert list(session.memory.entries) == [3]
    assert session.memory.entries[3] is not first


def test_memory_keeps_the_interacted_frames_of_all_rounds(session: Session) -> None:
    session.interact({3: [stroke(1, 20, 20)]})
    session.interact({9: [stroke(1, 40, 20)]})
    run(session)
    assert sorted(session.memory.entries) == [3, 9]


def test_undo_takes_back_the_last_round(session: Session) -> None:
    session.interact({3: [stroke(1, 20, 20)]})
    first = run(session)
    session.interact({9: [stroke(1, 40, 20), stroke(2, 60, 60)]})
    run(session)
    session.undo()
    assert session.interacted == [3]
    assert session.objects.tags == [1]
    again = run(session)
    assert all(np.array_equal(first[f], again[f]) for f in first)


def test_the_same_round_after_an_undo_gives_the_same_masks(session: Session) -> None:
    session.interact({3: [stroke(1, 20, 20)]})
    first = run(session)
    assert all((mask == 1).any() for mask in first.values())
    session.undo()
    session.interact({3: [stroke(1, 20, 20)]})
    second = run(session)
    assert all(np.array_equal(first[f], second[f]) for f in first)


def test_removing_an_object_empties_its_pixels_and_keeps_the_others(session: Session) -> None:
    session.interact({3: [stroke(1, 20, 20), stroke(2, 60, 50)]})
    before = run(session)
    session.remove_object(1)
    for frame, mask in before.items():
        assert np.array_equal(session.mask(frame), np.where(mask == 1, 0, mask))
    session.undo()
    assert session.objects.tags == []


def test_the_least_confident_frames_are_suggested_apart_from_each_other(session: Session) -> None:
    session.interact({0: [stroke(1, 20, 20)]})
    run(session)
    session.confidence.update({f: {1: 0.9} for f in range(1, 12)} | {5: {1: 0.2}, 6: {1: 0.3}, 10: {1: 0.4}})
    assert session.suggest(2) == [5, 6]
    assert session.suggest(5)[:3] == [5, 6, 10]
    assert len(set(session.suggest(5)) & set(range(1, 12))) == 5


@pytest.mark.parametrize(
    ("scribbles", "references", "field"),
    [
        ({}, {}, "scribbles"),
        ({12: [stroke(1, 5, 5)]}, {}, r"scribbles\[12\]"),
        ({3: [stroke(1, 5, 5), stroke(1, 900, 5)]}, {}, r"scribbles\[3\]\[1\].points"),
        ({}, {3: np.zeros((5, 5), np.uint8)}, r"references\[3\]"),
        ({}, {3: np.full((72, 96), 300)}, r"references\[3\]"),
        ({}, {3: np.zeros((72, 96), np.float32)}, r"references\[3\]"),
        ({}, {-1: np.zeros((72, 96), np.uint8)}, r"references\[-1\]"),
    ],
)
def test_bad_input_names_the_field_and_changes_nothing(
    session: Session, scribbles: dict, references: dict, field: str
) -> None:
    session.interact({3: [stroke(1, 20, 20)]})
    revision = session.revision
    with pytest.raises(InputError, match=field):
        session.interact(scribbles, references)
    assert session.revision == revision
    assert len(session.rounds) == 1
    assert session.objects.tags == [1]


def test_a_failure_half_way_leaves_the_session_as_it_was(recording: RecordingModel, clip: Frames) -> None:
    session = Session(recording, clip)
    session.interact({3: [stroke(1, 20, 20)]})
    expected = run(session)
    recording.failing.add("decode_masks")
    with pytest.raises(RuntimeError):
        session.interact({5: [stroke(2, 20, 20)]})
    assert session.objects.tags == [1]
    assert session.interacted == [3]
    assert all(np.array_equal(expected[f], session.mask(f)) for f in expected)


def test_an_object_that_a_round_says_nothing_about_keeps_its_pixels(session: Session, clip: Frames) -> None:
    """Random weights redraw it anywhere; what stood there must not depend on that."""
    two = np.zeros((72, 96), np.uint8)
    two[10:30, 17:37], two[40:60, 58:78] = 1, 2
    session.interact(references={3: two})
    run(session)
    session.set_propagated_mask(6, two)  # what random weights make of the frame is not the point
    before = session.mask(6)
    after = session.interact({6: [stroke(1, 2, 2)]})[6]
    drawn = rasterize([stroke(1, 2, 2)], 72, 96) == 1
    assert ((after == 2) == ((before == 2) & ~drawn)).all()


def test_a_round_names_objects_that_it_made_vanish_or_shrink(session: Session, clip: Frames) -> None:
    two = np.zeros((72, 96), np.uint8)
    two[10:30, 17:37], two[40:60, 58:78] = 1, 2
    session.interact(references={3: two})
    run(session)
    assert session.shrunk == [], "nothing was there before the first round"
    for frame in (5, 6, 10):
        session.set_propagated_mask(frame, np.full((72, 96), 1 + frame % 2))
    before = {f: session.mask(f) for f in range(12)}
    session.interact(references={8: two})
    after = run(session)
    expected: dict[tuple[int, bool], list[int]] = {}
    for frame in (f for f in range(12) if f not in (3, 8)):
        for tag in (1, 2):
            old, new = (int((masks[frame] == tag).sum()) for masks in (before, after))
            if old >= 0.0005 * 72 * 96 and 2 * new < old:
                expected.setdefault((tag, new == 0), []).append(frame)
    assert expected, "no object covers all of a frame any more"
    assert {(s.tag, s.gone): list(s.frames) for s in session.shrunk} == expected


def test_with_one_object_it_does_not_matter_how_many_share_a_pass(tiny_model: Model, clip: Frames) -> None:
    def masks(per_pass: int) -> dict[int, NDArray[np.uint8]]:
        session = Session(replace(tiny_model, objects_per_pass=per_pass), clip)
        session.interact({3: [stroke(1, 20, 20)]})
        return run(session)

    alone, ten = masks(1), masks(10)
    assert all(np.array_equal(alone[f], ten[f]) for f in alone)


def test_a_frame_that_was_suggested_and_drawn_on_is_suggested_no_more(session: Session) -> None:
    session.interact({3: [stroke(1, 20, 20)]})
    run(session)
    first = session.suggest(1)
    session.interact({first[0]: [stroke(1, 30, 20)]})
    run(session)
    assert sorted(session.suggest(12)) == sorted(set(range(12)) - {3, first[0]})
