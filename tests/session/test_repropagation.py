"""What a round propagates, in which order, and what of it is as it was."""

from pathlib import Path

import numpy as np
import pytest
from recording_model import RecordingModel
from small_rounds import Frames, run, stroke

from siaf import Session
from siaf.errors import InputError
from siaf.model.loaded import Model
from siaf.session.feature_cache import FeatureCache
from siaf.session.memory import MAX_PERMANENT


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


def test_reads_are_bounded_however_many_frames_were_annotated(recording: RecordingModel, clip: Frames) -> None:
    session = Session(recording, np.concatenate([clip, clip]))
    reference = np.zeros(clip.shape[1:3], np.uint8)
    reference[10:30, 10:30] = 1
    session.interact(references={f: np.roll(reference, f, axis=1) for f in range(0, 24, 2)})
    run(session)
    rows, cols = recording.grid(72, 96)
    assert max(call.tokens for call in recording.calls) == MAX_PERMANENT * rows * cols
