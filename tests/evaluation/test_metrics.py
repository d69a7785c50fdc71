"""J and F are DAVIS's own, to the last digit; box overlap follows the same rules for absent objects."""

from pathlib import Path

import numpy as np
import pytest

from siaf.errors import InputError
from siaf.evaluation.metrics import boundary_f, box_iou, jaccard, sequence_boundary_f, sequence_jaccard, swapped_objects

OFFICIAL = np.load(Path(__file__).parent / "data" / "metrics.npz")
CASES = range(len(OFFICIAL.files) // 4)


@pytest.mark.parametrize("case", CASES)
def test_agrees_with_the_official_packages(case: int) -> None:
    pred, gt = OFFICIAL[f"pred_{case}"], OFFICIAL[f"gt_{case}"]
    tags = range(1, OFFICIAL[f"jaccard_{case}"].shape[1] + 1)
    np.testing.assert_allclose(sequence_jaccard(pred, gt, tags), OFFICIAL[f"jaccard_{case}"], atol=1e-9)
    np.testing.assert_allclose(sequence_boundary_f(pred, gt, tags), OFFICIAL[f"boundary_{case}"], atol=1e-9)


def test_both_empty_is_perfect_and_one_empty_is_worthless() -> None:
    empty, square = np.zeros((20, 30), bool), np.zeros((20, 30), bool)
    square[5:12, 8:20] = True
    assert jaccard(empty, empty) == boundary_f(empty, empty) == 1
    assert jaccard(square, empty) == boundary_f(square, empty) == boundary_f(empty, square) == 0


def test_the_boundary_tolerance_is_eight_pixels_at_480p() -> None:
    """ceil(0.008 · √(480² + 854²)) = 8: a shift of 8 pixels costs no boundary quality, a shift of 9 does."""
    gt = np.zeros((480, 854), bool)
    gt[100:300, 200:500] = True
    assert boundary_f(np.roll(gt, 8, axis=1), gt) == 1
    assert boundary_f(np.roll(gt, 9, axis=1), gt) < 1


def test_masks_of_different_size_are_refused() -> None:
    with pytest.raises(InputError, match=r"prediction: .*\(4, 5\).*\(4, 6\)"):
        jaccard(np.zeros((4, 5), bool), np.zeros((4, 6), bool))
    with pytest.raises(InputError, match="prediction"):
        sequence_boundary_f(np.zeros((2, 4, 5), np.uint8), np.zeros((3, 4, 5), np.uint8), [1])


def test_box_overlap() -> None:
    gt = np.array([[0, 0, 10, 10], [0, 0, 10, 10], [0, 0, 10, 10]], float)
    pred = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [10, 0, 20, 10]], float)
    np.testing.assert_allclose(box_iou(pred, gt), [1, 50 / 150, 0])


def test_an_absent_box_matches_only_an_absent_box() -> None:
    absent, box = [np.nan] * 4, [1.0, 2.0, 3.0, 4.0]
    assert box_iou(np.array([absent, absent, box]), np.array([absent, box, absent])).tolist() == [1, 0, 0]


def test_impossible_boxes_are_refused() -> None:
    with pytest.raises(InputError, match="boxes: a box ends before it begins"):
        box_iou(np.array([[5.0, 0, 1, 2]]), np.array([[0.0, 0, 1, 2]]))
    with pytest.raises(InputError, match="boxes"):
        box_iou(np.zeros((1, 4)), np.zeros((2, 4)))


def test_an_object_is_swapped_where_another_tag_covers_more_of_it_than_its_own() -> None:
    gt = np.zeros((4, 40, 40), np.uint8)
    gt[:, :10, :10], gt[:, 20:30, 20:30] = 1, 2
    pred = gt.copy()
    pred[1, :10, :10] = 0  # lost, not swapped
    pred[2, :10, :6] = 2
    pred[3, 20:30, 20:24] = 1
    assert swapped_objects(pred, gt, (1, 2)).tolist() == [[False] * 2, [False] * 2, [True, False], [False] * 2]


def test_slivers_are_not_judged() -> None:
    gt = np.zeros((1, 100, 100), np.uint8)
    gt[0, 0, :4] = 1
    assert not swapped_objects(gt * 2, gt, (1, 2)).any()
