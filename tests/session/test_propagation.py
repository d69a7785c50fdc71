"""Later rounds read only what is new in the memory, and find what they would find otherwise."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from recording_model import RecordingModel

from siaf import Scribble, Session
from siaf.model.loaded import Model
from siaf.session.feature_cache import FeatureCache
from siaf.session.state_file import dump_session, parse_session

Frames = NDArray[np.uint8]


def play(session: Session, *frames: int) -> NDArray[np.uint8]:
    for frame in frames:
        session.interact({frame: [Scribble(1, np.array([[20.0, 20.0], [30.0, 20.0]]))]})
        for _ in session.propagate():
            pass
    return np.stack([session.mask(f) for f in range(len(session.frames))])


def test_a_second_round_reads_its_own_frame_only(recording: RecordingModel, clip: Frames) -> None:
    session = Session(recording, clip)
    play(session, 3)
    recording.calls.clear()
    play(session, 8)
    assert recording.counts("read") == [1] * 10  # the frames but 3, which is the user's, and 8


def test_a_corrected_frame_is_read_again_with_all_others(recording: RecordingModel, clip: Frames) -> None:
    session = Session(recording, clip)
    play(session, 3, 8)
    recording.calls.clear()
    session.interact(references={3: np.eye(72, 96, dtype=np.uint8)})
    for _ in session.propagate():
        pass
    assert recording.counts("read") == [2] * 10


def test_a_session_that_comes_back_from_a_file_reads_the_same_bits(
    recording: RecordingModel, clip: Frames, tmp_path: Path
) -> None:
    def found(session: Session) -> list[torch.Tensor]:
        recording.calls.clear()
        for _ in session.propagate():
            pass
        return [call.result[0].scores for call in recording.calls if call.method == "propagate"]

    session = Session(recording, clip)
    play(session, 8, 3)
    session.interact({11: [Scribble(1, np.array([[20.0, 20.0], [30.0, 20.0]]))]})
    session.save(tmp_path / "x.siaf")
    stayed, back = found(session), found(Session.load(tmp_path / "x.siaf", recording, clip))
    assert len(back) == len(stayed) == 9
    assert all(torch.equal(a, b) for a, b in zip(back, stayed, strict=True))


@pytest.mark.parametrize("rounds", [(3,), (3, 8), (3, 8, 3, 0, 11)])
def test_masks_are_those_of_reading_everything_again(tiny_model: Model, clip: Frames, rounds: tuple[int, ...]) -> None:
    cache = FeatureCache()
    kept = play(Session(tiny_model, clip, cache=cache), *rounds)
    whole = RecordingModel.of(tiny_model, in_parts=False)
    again = play(Session(whole, clip, cache=cache), *rounds)
    assert (again != kept).mean() < 1e-3  # random weights make many ties, which the last bit of a sum decides
    assert not whole.counts("read")


def test_more_than_ten_objects_are_read_in_parts_too(tiny_model: Model, clip: Frames) -> None:
    mask = np.zeros((72, 96), np.uint8)
    for tag in range(1, 13):
        mask[5 * tag : 5 * tag + 4, 10:60] = tag

    def run(model: Model) -> NDArray[np.uint8]:
        session = Session(model, clip)
        for frame in (2, 9):
            session.interact(references={frame: mask})
            for _ in session.propagate():
                pass
        return np.stack([session.mask(f) for f in range(len(clip))])

    assert np.array_equal(run(RecordingModel.of(tiny_model, in_parts=False)), run(tiny_model))


def test_what_was_carried_is_handed_out_and_changes_nothing_by_itself(tiny_model: Model, clip: Frames) -> None:
    """Objects that were drawn on other frames come back as a value: only the session changes what people made."""
    session = Session(tiny_model, clip)
    mask = np.zeros((72, 96), np.uint8)
    mask[10:30, 5:25] = 1
    session.interact(references={0: mask}, about={0: [1]})
    session.interact(references={3: mask * 2}, about={3: [2]})
    now, running = session.snapshot().annotations, session._propagator
    before = {frame: (now.masks.packed(frame), now.annotated_tags[frame]) for frame in now.masks}
    carried = []
    while not carried:
        carried += [found for found in [running.advance(now)] if found is not None]
        assert {frame: (now.masks.packed(frame), now.annotated_tags[frame]) for frame in now.masks} == before
    assert (carried[0].frame, carried[0].walk.adopts) == (3, {1})
    assert carried[0].mask is not None and carried[0].mask.shape == (72, 96)


def test_a_snapshot_makes_the_same_session(tiny_model: Model, clip: Frames) -> None:
    session = Session(tiny_model, clip)
    play(session, 3)
    session.interact({8: [Scribble(2, np.array([[45.0, 50.0], [55.0, 50.0]]))]})
    next(session.propagate())
    twin = Session(tiny_model, clip)
    twin.restore(parse_session(dump_session(session), tiny_model, clip).snapshot())
    assert dump_session(twin) == dump_session(session)
