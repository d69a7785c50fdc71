"""Which frames are given, and which are scored."""

import numpy as np
import pytest

from siaf.errors import InputError
from siaf.evaluation.davis import LabelledSequence
from siaf.evaluation.propagation import reference_frames, score_masks
from siaf.frames.source import ArrayFrames
from siaf.scribbles import Scribble


def test_references_are_spread_from_the_first_frame_to_the_last() -> None:
    assert reference_frames(9, 1) == [0]
    assert reference_frames(9, 2) == [0, 8]
    assert reference_frames(9, 3) == [0, 4, 8]
    with pytest.raises(InputError, match="fewer than the clip's 9 frames"):
        reference_frames(9, 9)


def test_frames_that_were_given_are_not_scored() -> None:
    truth = np.zeros((6, 8, 8), np.uint8)
    truth[:, 2:6, 2:6] = 1
    masks = truth.copy()
    masks[3] = 0
    assert score_masks(masks, truth).jaccard == pytest.approx(3 / 4)
    assert score_masks(masks, truth, [0, 3, 5]).jaccard == 1


def test_objects_are_those_that_the_given_frames_show() -> None:
    truth = np.zeros((5, 8, 8), np.uint8)
    truth[:, :2], truth[2:, 6:] = 1, 2
    masks = np.where(truth == 2, 0, truth).astype(np.uint8)
    assert score_masks(masks, truth).objects == 1
    late = score_masks(masks, truth, [0, 4])
    assert (late.objects, late.jaccard) == (2, pytest.approx((1 + 1 / 3) / 2))


def test_every_second_frame_keeps_its_mask_and_strokes() -> None:
    frames = np.arange(5, dtype=np.uint8)[:, None, None, None] * np.ones((5, 4, 4, 3), np.uint8)
    line = Scribble(1, np.array([[1.0, 1.0]]))
    clip = LabelledSequence("clip", ArrayFrames(list(frames)), frames[..., 0], ({1: [line], 4: [line]},))
    half = clip.every(2)
    assert [int(half.frames[i][0, 0, 0]) for i in range(len(half.frames))] == [0, 2, 4]
    assert half.masks[:, 0, 0].tolist() == [0, 2, 4]
    assert half.scribbles == ({2: [line]},)
