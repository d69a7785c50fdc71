"""What is done before a round, while a labeler draws: previews, encodings, steps that give no mask."""

import numpy as np
import pytest
from recording_model import RecordingModel
from small_rounds import Frames, run, stroke

from siaf import Scribble, Session
from siaf.errors import InputError
from siaf.model.loaded import Model
from siaf.prompts import Prompts
from siaf.session.feature_cache import FeatureCache, feature_bytes
from siaf.session.state_file import dump_session


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
    assert set(np.unique(shown[3])) == {0, 2}
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
