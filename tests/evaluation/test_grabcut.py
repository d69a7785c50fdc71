"""GrabCut separates what its strokes or box say, and says nothing of what was not drawn."""

import numpy as np
from numpy.typing import NDArray
from strokes import stroke

from siaf.evaluation.grabcut import grabcut_answer, grabcut_from_box, grabcut_from_strokes
from siaf.evaluation.metrics import jaccard

Array = NDArray[np.uint8]


def two_squares() -> tuple[Array, Array]:
    rng = np.random.default_rng(2)
    frame = rng.integers(90, 110, (120, 160, 3), dtype=np.uint8)
    mask = np.zeros((120, 160), np.uint8)
    for tag, (top, left, colour) in enumerate([(20, 15, (220, 30, 30)), (50, 95, (30, 40, 220))], start=1):
        region = np.s_[top : top + 45, left : left + 45]
        frame[region] = np.clip(np.array(colour) + rng.integers(-15, 16, (45, 45, 3)), 0, 255)
        mask[region] = tag
    return frame, mask


def test_grabcut_separates_two_objects_by_their_strokes() -> None:
    frame, mask = two_squares()
    found = grabcut_from_strokes(frame, [stroke(1, (25, 30), (50, 55)), stroke(2, (105, 60), (130, 85))])
    assert jaccard(found == 1, mask == 1) > 0.9
    assert jaccard(found == 2, mask == 2) > 0.9


def test_grabcut_without_an_objects_stroke_finds_nothing() -> None:
    frame, _ = two_squares()
    assert not grabcut_from_strokes(frame, [stroke(0, (5, 5), (20, 5))]).any()


def test_grabcut_remembers_earlier_strokes() -> None:
    frame, mask = two_squares()
    answer = grabcut_answer(None, frame)
    answer([stroke(1, (25, 30), (50, 55))])
    found = answer([stroke(2, (105, 60), (130, 85))])
    assert jaccard(found == 1, mask == 1) > 0.9


def test_grabcut_finds_the_object_in_a_box() -> None:
    frame, mask = two_squares()
    assert jaccard(grabcut_from_box(frame, (10.0, 15.0, 66.0, 70.0)), mask == 1) > 0.9


def test_a_box_around_everything_is_everything() -> None:
    frame, _ = two_squares()
    assert grabcut_from_box(frame, (0.0, 0.0, 160.0, 120.0)).all()
