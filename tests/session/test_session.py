"""Rounds of interaction: what a labeler can rely on, shown with random weights on a small clip."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from recording_model import RecordingModel

from siaf import Scribble, Session
from siaf.errors import InputError
from siaf.model.loaded import Model
from siaf.prompts import Prompts
from siaf.scribbles import rasterize
from siaf.session.feature_cache import FeatureCache, feature_bytes
from siaf.session.memory import MAX_PERMANENT
from siaf.session.state_file import dump_session

Frames = NDArray[np.uint8]


def stroke(tag: int, x: float, y: float, length: float = 10) -> Scribble:
    return Scribble(tag=tag, points=np.array([[x, y], [x + length, y]]))


def run(session: Session) -> dict[int, NDArray[np.uint8]]:
    for _ in session.propagate():
        pass
    return {f: session.mask(f) for f in range(len(session.frames))}


@pytest.fixture
def session(tiny_model: Model, clip: Frames) -> Session:
    return Session(tiny_model, clip)


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
    assert set(np.unique(np.stack(list(run(session).values())))) <= {0, 1}


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


def test_a_later_object_leaves_earlier_interacted_frames_of_others_alone(session: Session, clip: Frames) -> None:
    reference = np.zeros(clip.shape[1:3], np.uint8)
    reference[10:40, 10:40] = 1
    session.interact(references={2: reference})
    run(session)
    session.interact({8: [stroke(2, 60, 50)]})
    assert ((session.mask(2) == 1) == (reference == 1)).all()


def test_an_object_drawn_on_one_frame_is_carried_to_the_other_interacted_frames(session: Session) -> None:
    """Whatever the interaction network guessed: the frame must not teach the memory that the object is background."""
    session.interact({3: [stroke(1, 20, 20)], 8: [stroke(2, 45, 50)]})
    before = {f: session.mask(f) for f in (3, 8)}
    carried = sum(done == 0 for done, _ in session.propagate())
    assert carried == 10  # five frames each way
    assert np.array_equal(session.mask(3) == 1, before[3] == 1)
    assert np.array_equal(session.mask(8) == 2, before[8] == 2)


def test_a_background_stroke_holds_against_an_object_that_is_carried_there(session: Session) -> None:
    everywhere = Scribble(0, np.array([[0.0, y] if y % 2 else [95.0, y] for y in range(72)]), width=9)
    session.interact({3: [stroke(1, 20, 20)], 8: [stroke(2, 45, 50), everywhere]})
    before = session.mask(8)
    run(session)
    assert np.array_equal(session.mask(8), before)


def test_a_human_mask_speaks_for_all_objects_of_its_round(session: Session, clip: Frames) -> None:
    reference = np.zeros(clip.shape[1:3], np.uint8)
    reference[5:20, 5:20] = 1
    session.interact({8: [stroke(2, 45, 50)]}, references={3: reference})
    run(session)
    assert np.array_equal(session.mask(3), reference)


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


def test_every_round_propagates_all_other_frames_again(session: Session) -> None:
    session.interact({3: [stroke(1, 20, 20)]})
    run(session)
    session.interact({9: [stroke(1, 40, 20)]})
    assert session.pending == 10


@pytest.mark.parametrize("seed", range(6))
def test_propagation_stopped_anywhere_goes_on_to_the_identical_result(
    tiny_model: Model, clip: Frames, seed: int
) -> None:
    scribbles = {3: [stroke(1, 20, 20)], 8: [stroke(2, 45, 50)]}
    whole = Session(tiny_model, clip)
    whole.interact(scribbles)
    expected = run(whole)
    rng = np.random.default_rng(seed)
    parts = Session(tiny_model, clip)
    parts.interact(scribbles)
    while parts.pending:
        for _, __ in zip(range(int(rng.integers(1, 4))), parts.propagate(), strict=False):
            pass
    assert all(np.array_equal(expected[f], parts.mask(f)) for f in expected)


def test_a_new_round_ends_a_propagation_that_is_still_held(session: Session) -> None:
    session.interact({3: [stroke(1, 20, 20)]})
    old = session.propagate()
    next(old)
    session.interact({9: [stroke(1, 40, 20)]})
    assert list(old) == []
    assert session.pending == 10


def test_the_least_confident_frames_are_suggested_apart_from_each_other(session: Session) -> None:
    session.interact({0: [stroke(1, 20, 20)]})
    run(session)
    session.confidence.update({f: {1: 0.9} for f in range(1, 12)} | {5: {1: 0.2}, 6: {1: 0.3}, 10: {1: 0.4}})
    assert session.suggest(2) == [5, 6]
    assert all(0 <= f < 12 for f in session.suggest(5))


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


def test_chains_side_by_side_give_the_masks_of_one_after_the_other(
    tiny_model: Model, recording: RecordingModel, clip: Frames
) -> None:
    scribbles = {2: [stroke(1, 20, 20)], 8: [stroke(1, 40, 20), stroke(2, 45, 50)]}
    plain, batched = Session(tiny_model, clip), Session(recording, clip)
    batched._propagator.side_by_side = 4
    plain.interact(scribbles)
    expected = run(plain)
    batched.interact(scribbles)
    found = run(batched)
    passes = recording.counts("propagate")
    assert max(passes) == 4
    assert sum(passes) == 10 + 6  # a walk of the second object, six frames long
    assert all(np.array_equal(expected[f], found[f]) for f in expected)


def test_frames_prepared_before_a_round_are_not_encoded_in_it(
    tiny_model: Model, recording: RecordingModel, clip: Frames
) -> None:
    plain, prepared = Session(tiny_model, clip), Session(recording, clip)
    assert all(prepared.prepare(frame) for frame in range(12))
    scribbles = {3: [stroke(1, 20, 20)], 8: [stroke(2, 45, 50)]}
    plain.interact(scribbles)
    expected = run(plain)
    recording.failing.add("encode_batch")
    prepared.interact(scribbles)
    assert all(np.array_equal(expected[f], mask) for f, mask in run(prepared).items())


def test_preparing_frames_pushes_none_out_of_the_cache(tiny_model: Model, clip: Frames) -> None:
    room = 3 * feature_bytes(tiny_model.encode_batch(clip[:1])[0])
    session = Session(tiny_model, clip, cache=FeatureCache(room))
    assert [session.prepare(frame) for frame in range(5)] == [True, True, True, False, False]


def test_masks_are_the_same_where_features_leave_for_disk(tiny_model: Model, clip: Frames, tmp_path: Path) -> None:
    plain, spilling = Session(tiny_model, clip), Session(tiny_model, clip, cache=FeatureCache(1, folder=tmp_path))
    for session in (plain, spilling):
        session.interact({3: [stroke(1, 20, 20)]})
    expected = run(plain)
    assert all(np.array_equal(expected[f], mask) for f, mask in run(spilling).items())
    assert len(list(tmp_path.iterdir())) == 11


def test_masks_next_to_a_correction_come_first(session: Session) -> None:
    session.interact({0: [stroke(1, 20, 20)]})
    run(session)
    session.interact({8: [stroke(1, 40, 20)]})
    assert session.plan.results[:4] == [9, 7, 10, 6]


def test_a_round_that_changes_nothing_propagates_nothing(recording: RecordingModel, clip: Frames) -> None:
    session = Session(recording, clip)
    session.interact({3: [stroke(1, 20, 20)], 8: [stroke(2, 45, 50)]})
    run(session)
    session.interact(references={3: session.mask(3)})  # what was carried there is the human's now
    settled = run(session)
    session.interact(references={3: session.mask(3)})
    recording.calls.clear()
    again = run(session)
    assert not recording.counts("propagate")
    assert all(np.array_equal(settled[f], again[f]) for f in settled)


def test_a_mask_that_was_put_there_is_propagated_over(session: Session, clip: Frames) -> None:
    session.interact({3: [stroke(1, 20, 20)]})
    expected = run(session)
    session.set_propagated_mask(5, np.zeros(clip.shape[1:3], np.uint8))
    session.interact(references={3: session.mask(3)})
    assert np.array_equal(run(session)[5], expected[5])


def test_only_the_neighbourhood_of_a_correction_is_propagated_if_so_wished(
    recording: RecordingModel, clip: Frames
) -> None:
    session = Session(recording, clip)
    session.repropagate = "near"
    session.interact({0: [stroke(1, 20, 20)]})
    before = run(session)
    session.interact({8: [stroke(1, 40, 20)]})
    recording.calls.clear()
    after = run(session)
    assert sum(recording.counts("propagate")) == 7  # 4 to 7 and 9 to 11
    assert all(np.array_equal(before[f], after[f]) for f in range(4))
    session.repropagate = "all"
    session.interact({8: [stroke(1, 44, 20)]})
    run(session)
    assert sum(recording.counts("propagate")) == 7 + 10


def test_repropagate_must_be_known(session: Session) -> None:
    with pytest.raises(InputError, match="repropagate"):
        session.repropagate = "far"  # type: ignore[assignment]


def test_an_object_is_carried_again_after_its_source_was_corrected(session: Session, clip: Frames) -> None:
    one, two = np.zeros(clip.shape[1:3], np.uint8), np.zeros(clip.shape[1:3], np.uint8)
    one[10:30, 10:30], two[40:60, 40:70] = 1, 2
    session.interact(references={3: one, 8: two}, about={3: [1], 8: [2]})
    run(session)
    carried = session.mask(8) == 1
    moved = np.zeros_like(one)
    moved[5:70, 60:95] = 1
    session.interact(references={3: moved}, about={3: [1]})
    assert np.array_equal(session.mask(8) == 1, carried)  # until it is carried again
    run(session)
    assert not np.array_equal(session.mask(8) == 1, carried)
    assert np.array_equal(session.mask(8) == 2, two == 2)


def test_reads_are_bounded_however_many_frames_were_annotated(recording: RecordingModel, clip: Frames) -> None:
    session = Session(recording, np.concatenate([clip, clip]))
    reference = np.zeros(clip.shape[1:3], np.uint8)
    reference[10:30, 10:30] = 1
    session.interact(references={f: np.roll(reference, f, axis=1) for f in range(0, 24, 2)})
    run(session)
    rows, cols = recording.grid(72, 96)
    assert max(call.tokens for call in recording.calls) == MAX_PERMANENT * rows * cols


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


def test_objects_from_another_clip_stay_where_its_memory_finds_them(
    session: Session, tiny_model: Model, clip: Frames
) -> None:
    two = np.zeros((72, 96), np.uint8)
    two[10:30, 17:37], two[40:60, 58:78] = 1, 2
    session.interact(references={3: two})
    run(session)
    heir = Session(tiny_model, clip)
    heir.inherit(dump_session(session))
    found = heir.estimate_mask(5)
    after = heir.interact({5: [stroke(1, 2, 2)]})[5]
    drawn = rasterize([stroke(1, 2, 2)], 72, 96) == 1
    assert ((after == 2) == ((found == 2) & ~drawn)).all()


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


def test_an_object_may_be_removed_while_it_is_still_to_be_carried(session: Session) -> None:
    session.interact({0: [stroke(1, 20, 20)], 8: [stroke(2, 45, 50)]})
    session.remove_object(2)
    assert all(not (mask == 2).any() for mask in run(session).values())
    assert session.pending == 0


def test_an_undo_below_the_groups_of_an_inherited_memory(session: Session, tiny_model: Model, clip: Frames) -> None:
    session.interact({3: [stroke(1, 20, 20)]})
    run(session)
    heir = Session(tiny_model, clip)
    heir.inherit(dump_session(session))
    heir.interact({4: [stroke(100 + i, 5 + 5 * i, 5 + 5 * i) for i in range(10)]})
    run(heir)
    heir.undo()
    run(heir)
    assert (heir.objects.tags, heir.objects.groups(), heir.pending) == ([1], 1, 0)


def test_a_frame_that_was_suggested_and_drawn_on_is_suggested_no_more(session: Session) -> None:
    session.interact({3: [stroke(1, 20, 20)]})
    run(session)
    first = session.suggest(1)
    session.interact({first[0]: [stroke(1, 30, 20)]})
    run(session)
    assert first[0] not in session.suggest(12)
    assert set(session.suggest(12)) <= set(range(12)) - {3, first[0]}


def test_a_round_can_be_previewed_without_being_taken(session: Session, tiny_model: Model, clip: Frames) -> None:
    first, second = {3: [stroke(1, 20, 20)]}, {5: [stroke(1, 30, 20), stroke(2, 45, 50)], 3: [stroke(2, 45, 50)]}
    size = {"frames": 12, "height": 72, "width": 96}
    session.interact(first)
    for done, _ in session.propagate():
        if done == 4:
            break
    before = dump_session(session)
    shown = session.preview_round(Prompts.of(second, **size))
    assert dump_session(session) == before
    with pytest.raises(InputError, match=r"scribbles\[5\]\[0\].points"):
        session.preview_round(Prompts.of({5: [stroke(1, 900, 20)]}, **size))
    assert dump_session(session) == before
    taken = session.interact(second)
    assert sorted(shown) == sorted(taken) == [3, 5]
    assert all((shown[frame] == taken[frame]).all() for frame in taken)


def drawn(*frames: dict[int, list[Scribble]]) -> Prompts:
    return Prompts.of({f: strokes for each in frames for f, strokes in each.items()}, frames=12, height=72, width=96)


def test_a_round_finds_what_its_previews_encoded_and_gives_the_same(recording: RecordingModel, clip: Frames) -> None:
    first, second = {3: [stroke(1, 20, 20)]}, {8: [stroke(2, 60, 50), stroke(3, 20, 20)]}
    alone = Session(recording, clip)
    expected = alone.interact_with(drawn(first, second))
    recording.calls.clear()
    session = Session(recording, clip)
    session.preview_round(drawn(first))
    session.preview_round(drawn(second), elsewhere=[1])
    assert recording.counts("encode_prompts") == [1, 1]
    found = session.interact_with(drawn(first, second))
    assert recording.counts("encode_prompts") == [1, 1]
    assert all((found[frame] == expected[frame]).all() for frame in (3, 8))
    assert dump_session(session) == dump_session(alone)


def test_a_preview_that_is_no_more_of_use_makes_no_difference(recording: RecordingModel, clip: Frames) -> None:
    first, second = {3: [stroke(2, 20, 20)]}, {8: [stroke(1, 60, 50)]}
    alone = Session(recording, clip)
    alone.interact_with(drawn(first, second))
    session = Session(recording, clip)
    session.preview_round(drawn({3: [stroke(2, 30, 20)]}))  # another stroke than the round's
    session.preview_round(drawn(second))
    session.preview_round(drawn(first))  # in the first place, which will be object 1's
    recording.calls.clear()
    session.interact_with(drawn(first, second))
    assert recording.counts("encode_prompts") == [1]
    assert dump_session(session) == dump_session(alone)


def test_tags_from_elsewhere_get_a_place_and_no_pixels(session: Session) -> None:
    before = dump_session(session)
    shown = session.preview_round(drawn({3: [stroke(2, 20, 20)]}), elsewhere=[1, 7])
    assert set(np.unique(shown[3])) <= {0, 2}
    assert session.objects.tags == []
    assert dump_session(session) == before


def test_passing_frames_ahead_changes_no_mask(tiny_model: Model, clip: Frames) -> None:
    first, second = {2: [stroke(1, 14, 20)], 8: [stroke(2, 79, 50)]}, {5: [stroke(3, 30, 30)]}
    sessions = Session(tiny_model, clip), Session(tiny_model, clip)
    for session, hasty in zip(sessions, (False, True), strict=True):
        for given in (first, second):
            session.interact(given)
            before = [session.mask(frame).tobytes() for frame in range(12)]
            while hasty and session.pass_frame():
                assert session.plan.results_done == 0
            assert [session.mask(frame).tobytes() for frame in range(12)] == before
        run(session)
        assert not session.pass_frame()
    assert dump_session(sessions[0]) == dump_session(sessions[1])


def test_frames_are_passed_as_far_as_the_first_that_gets_a_mask(session: Session) -> None:
    assert not session.pass_frame()
    session.interact({2: [stroke(1, 14, 20)], 8: [stroke(2, 79, 50)]})
    assert [session.pass_frame() for _ in range(6)] == [True] * 5 + [False]
    assert session.plan.remaining_frames[0] == 8
    assert session.plan.results[0] == 8
