"""The robot scribbles what DAVIS's robot scribbles, and the same every time."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from siaf.davis import davis_document
from siaf.errors import InputError
from siaf.evaluation.robot import first_frames, next_frames, robot_scribbles
from siaf.masks import IndexMask

DATA = Path(__file__).parent / "data"
MASKS = np.load(DATA / "robot.npz")
OFFICIAL: list[dict[str, Any]] = json.loads((DATA / "robot.json").read_text())


def mask_with_square(height: int = 60, width: int = 80) -> IndexMask:
    mask = np.zeros((height, width), np.uint8)
    mask[15:45, 20:60] = 1
    return mask


@pytest.mark.parametrize("case", range(len(OFFICIAL)), ids=lambda case: f"{case}-{OFFICIAL[case]['pinned']}")
def test_agrees_with_davisinteractive(case: int) -> None:
    pred, gt = MASKS[f"pred_{case}"], MASKS[f"gt_{case}"]
    found = robot_scribbles(pred, gt, OFFICIAL[case]["tags"])
    document = davis_document({0: found}, n_frames=1, height=gt.shape[0], width=gt.shape[1])
    strokes, expected = document["scribbles"][0], OFFICIAL[case]["strokes"]
    assert [s["object_id"] for s in strokes] == [s["object_id"] for s in expected]
    assert [len(s["path"]) for s in strokes] == [s["points"] for s in expected]
    for stroke, official in zip(strokes, expected, strict=True):
        np.testing.assert_allclose(np.array(stroke["path"])[official["at"]], official["path"], atol=1e-6)


def test_nothing_to_correct_gives_no_stroke() -> None:
    mask = mask_with_square()
    assert robot_scribbles(mask, mask, [1]) == []


def test_a_missed_object_is_scribbled_inside() -> None:
    gt = mask_with_square()
    strokes = robot_scribbles(np.zeros_like(gt), gt, [1])
    assert strokes
    for stroke in strokes:
        x, y = stroke.points.round().astype(int).T
        assert stroke.tag == 1
        assert gt[y, x].all()


def test_what_was_taken_for_an_object_is_scribbled_as_background() -> None:
    pred = mask_with_square()
    assert {s.tag for s in robot_scribbles(pred, np.zeros_like(pred), [1])} == {0}


def test_the_same_masks_give_the_same_strokes() -> None:
    gt = np.random.default_rng(3).integers(0, 3, (40, 50)).astype(np.uint8)
    pred = np.zeros_like(gt)
    assert robot_scribbles(pred, gt, [1, 2]) == robot_scribbles(pred, gt, [1, 2])


def test_a_prediction_of_another_size_is_refused() -> None:
    with pytest.raises(InputError, match="prediction"):
        robot_scribbles(np.zeros((4, 5), np.uint8), np.zeros((4, 6), np.uint8), [1])


def test_the_worst_frames_are_scribbled_next_and_used_ones_last() -> None:
    quality = np.array([0.9, 0.2, 0.5, 0.2, 0.1])
    assert next_frames(quality, 2) == [4, 1]
    assert next_frames(quality, 3, used={4, 1}) == [3, 2, 0]
    assert next_frames(quality, 4, used={4, 1, 3}) == [2, 0, 4, 1]
    assert next_frames(quality, 9) == [4, 1, 3, 2, 0]


def test_the_first_frames_are_spread_and_show_the_objects() -> None:
    masks = np.ones((12, 4, 4), np.uint8)
    assert first_frames(masks, 1) == [5]
    assert first_frames(masks, 3) == [1, 5, 9]
    masks[4:7] = 0  # nothing to scribble in the middle
    assert first_frames(masks, 1) == [7]
    with pytest.raises(InputError, match="frames: cannot choose 13 frames from a clip of 12"):
        first_frames(masks, 13)
