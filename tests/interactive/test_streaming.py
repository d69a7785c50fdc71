"""A session whose frames arrive one by one: the same masks as with all frames at hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from siaf import Scribble, Session
from siaf.errors import InputError
from siaf.frames.source import frame_digest
from siaf.interactive.streaming import ArrivingFrames, StreamingSession
from siaf.model.loaded import Model
from siaf.session.feature_cache import FeatureCache

Frames = NDArray[np.uint8]
ROUNDS = [
    {3: [Scribble(1, np.array([[20, 20], [30, 20]]))], 8: [Scribble(2, np.array([[45, 50], [55, 50]]))]},
    {6: [Scribble(1, np.array([[30, 25], [40, 25]]))]},
]


def test_two_rounds_with_a_restart_at_every_frame(tiny_model: Model, clip: Frames) -> None:
    whole = Session(tiny_model, clip)
    pictures = {frame_digest(frame): frame for frame in clip}
    known: dict[int, str] = {}
    state, seen = None, {}
    for strokes in ROUNDS:
        whole.interact(strokes)
        for _ in whole.propagate():
            pass

        known |= {number: frame_digest(clip[number]) for number in strokes}
        streaming = StreamingSession(
            tiny_model, FeatureCache(), ArrivingFrames(12, 72, 96, known, pictures.__getitem__), state
        )
        for number in strokes.keys() & seen.keys():
            streaming.session.set_propagated_mask(number, seen[number])
        seen |= streaming.session.interact(strokes)
        while (number := streaming.next_frame) is not None:
            mask, _ = streaming.arrive(clip[number])
            if mask is not None:
                seen[number] = mask
            state = streaming.dump()
            frames = ArrivingFrames(12, 72, 96, known, pictures.__getitem__)
            streaming = StreamingSession(tiny_model, FeatureCache(), frames, state)
        assert all(np.array_equal(seen[number], whole.mask(number)) for number in range(12))


def test_a_frame_that_nobody_waits_for_is_refused(tiny_model: Model, clip: Frames) -> None:
    streaming = StreamingSession(tiny_model, FeatureCache(), ArrivingFrames(12, 72, 96, {}, lambda _: clip[0]))
    with pytest.raises(InputError, match="all frames of the round are done"):
        streaming.arrive(clip[0])


def test_no_two_frames_are_asked_for_at_once(tiny_model: Model, clip: Frames) -> None:
    """On a GPU the chains of a session step side by side; here only one frame is at hand."""
    on_gpu = replace(tiny_model, device=torch.device("meta"))
    frames = ArrivingFrames(12, 72, 96, {}, lambda digest: pytest.fail("no picture is needed"))
    assert Session(on_gpu, clip)._propagator.side_by_side > 1
    assert StreamingSession(on_gpu, FeatureCache(), frames).session._propagator.side_by_side == 1
