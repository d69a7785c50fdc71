"""What AFI is shown: frames that only stand beside the asked one are looked at once."""

from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from recording_model import RecordingModel

from siaf import Scribble, Session
from siaf.model.loaded import Model

Frames = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Answering(Model):
    """AFI finds the same `shares` on every frame, (1 + objects)×H×W."""

    shares: torch.Tensor | None = None

    @classmethod
    def of(cls, model: Model, shares: NDArray[np.float32]) -> Self:
        """The other parts of a model."""
        return cls(**{each.name: getattr(model, each.name) for each in fields(Model)}, shares=torch.from_numpy(shares))

    def decode_masks(self, encodings: Any, *rest: Any) -> torch.Tensor:
        assert self.shares is not None
        return self.shares.expand(len(encodings), *self.shares.shape)


STROKE = Scribble(1, np.array([[20.0, 20.0], [30.0, 20.0]]))


def test_a_second_click_looks_at_its_own_frame_only(recording: RecordingModel, clip: Frames) -> None:
    session = Session(recording, clip)
    session.interact({2: [STROKE], 8: [STROKE]})
    first = session.preview(5, [STROKE])
    again = session.preview(5, [STROKE])
    assert recording.counts("encode_prompts") == [1, 1, 3, 1]
    assert np.allclose(first.channels, again.channels, atol=1e-4)


def test_of_the_frames_beside_those_that_are_needed_again_stay(recording: RecordingModel, clip: Frames) -> None:
    session = Session(recording, clip)
    session.interact({2: [STROKE], 6: [STROKE], 10: [STROKE]})
    for frame in (8, 4, 4):  # beside 6 and 10, then 2 and 6
        session.preview(frame, [STROKE])
    assert recording.counts("encode_prompts") == [1, 1, 1, 3, 2, 1]


def test_a_context_frame_whose_mask_changed_is_looked_at_anew(recording: RecordingModel, clip: Frames) -> None:
    session = Session(recording, clip)
    session.interact({2: [STROKE], 8: [STROKE]})
    session.preview(5, [STROKE])
    session.interact(references={8: np.eye(72, 96, dtype=np.uint8)})
    found = session.preview(5, [STROKE])
    assert recording.counts("encode_prompts") == [1, 1, 3, 2]
    session = Session(recording, clip)
    session.interact({2: [STROKE], 8: [STROKE]})
    session.interact(references={8: np.eye(72, 96, dtype=np.uint8)})
    assert np.allclose(session.preview(5, [STROKE]).channels, found.channels, atol=1e-4)


def test_of_a_drawn_object_the_parts_go_that_no_stroke_touches(tiny_model: Model, clip: Frames) -> None:
    """On the first round; a part that was there before stays, as long as no stroke denies it."""
    shares = np.full((3, 72, 96), 0.1, np.float32)
    shares[1, 10:30, 10:40] = shares[1, 50:60, 70:90] = shares[2, 35:45, 10:20] = 0.8
    shares[0] = 1 - shares[1:].max(0)
    session = Session(Answering.of(tiny_model, shares), clip)
    session.objects.add(1)
    session.objects.add(2)
    mask = session.interact({2: [STROKE]})[2]
    assert (mask[10:30, 10:40] == 1).all()
    assert not (mask[50:60, 70:90] == 1).any()
    assert (mask[35:45, 10:20] == 2).all()  # nothing was said about it
    known = np.zeros((72, 96), np.uint8)
    known[10:30, 10:40] = known[50:60, 70:90] = 1
    session.set_propagated_mask(4, known)
    assert (session.interact({4: [STROKE]})[4][50:60, 70:90] == 1).all()
    denied = Scribble(0, np.array([[75.0, 55.0], [80.0, 55.0]]))
    assert not (session.interact({4: [denied]})[4][50:60, 70:90] == 1).any()


def test_a_correction_is_local_on_a_frame_that_was_drawn_on_and_not_on_a_propagated_one(
    tiny_model: Model, clip: Frames
) -> None:
    height, width = clip.shape[1:3]
    known, thought = np.zeros((height, width), np.uint8), np.zeros((2, height, width), np.float32)
    known[10:40, 10:40] = 1
    thought[1, 10:40, 10:46] = 1  # more on the right, where the stroke is
    thought[1, 20:26, 20:26] = 0  # and a hole where nobody said anything
    thought[0] = 1 - thought[1]
    model = Answering.of(tiny_model, thought)
    stroke = Scribble(1, np.array([[30.0, 30.0], [44.0, 30.0]]))

    session = Session(model, clip)
    session.interact(references={0: known})
    corrected = session.interact({0: [stroke]})[0]
    expected = known.copy()
    expected[10:40, 40:46] = 1
    assert np.array_equal(corrected[4:44, 4:44], expected[4:44, 4:44]) and (corrected[20:26, 20:26] == 1).all()

    session = Session(model, clip)
    session.interact(references={0: known})
    session.set_propagated_mask(5, known)
    assert (session.interact({5: [stroke]})[5][21:25, 21:25] == 0).all()


def test_a_correction_leaves_what_the_network_is_in_doubt_about(tiny_model: Model, clip: Frames) -> None:
    height, width = clip.shape[1:3]
    known, thought = np.zeros((height, width), np.uint8), np.zeros((2, height, width), np.float32)
    known[10:40, 10:40] = 1
    thought[1, 10:40, 10:50] = 0.6  # more on the right, where the stroke is
    thought[1, 10:40, 4:10] = 0.6  # and on the left
    thought[1, 20:26, 20:26] = 0.4  # and a hole
    thought[0] = 1 - thought[1]
    session = Session(Answering.of(tiny_model, thought), clip)
    session.interact(references={0: known})
    session.set_propagated_mask(5, known)
    mask = session.interact({5: [Scribble(1, np.array([[30.0, 30.0], [48.0, 30.0]]), width=1)]})[5]
    expected = known.copy()
    expected[10:40, 40:50] = 1
    assert np.array_equal(mask[8:42, :46], expected[8:42, :46]) and (mask[30, 46:49] == 1).all()
