"""Simulated strokes, boxes and previous masks."""

import time

import cv2
import numpy as np
import pytest

from siaf.training.prompts import (
    NO_MASK,
    box_prompt,
    correcting_strokes,
    first_strokes,
    perturb_mask,
    simulate_interaction,
)

SIZE = 97


def _label() -> np.ndarray:
    """A disc (1), a ring (2) and a thin diagonal bar (3)."""
    label = np.zeros((SIZE, SIZE), np.uint8)
    cv2.circle(label, (28, 30), 18, 1, -1)
    cv2.circle(label, (68, 64), 20, 2, 6)
    cv2.line(label, (8, 88), (40, 60), 3, 3)
    return label


def _seeds(count: int) -> list[np.random.Generator]:
    return [np.random.default_rng(seed) for seed in range(count)]


def _iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / max((one | other).sum(), 1))


@pytest.mark.parametrize("rng", _seeds(60))
def test_strokes_never_lie(rng: np.random.Generator) -> None:
    label = _label()
    strokes, previous = simulate_interaction(label, rng)
    drawn = strokes >= 0
    assert strokes.dtype == np.int16 and previous.dtype == np.uint8
    assert strokes.shape == previous.shape == label.shape
    assert strokes.min() >= -1
    assert (strokes[drawn] == label[drawn]).all()
    assert set(np.unique(previous)) <= {0, 1, 2, 3} or (previous == NO_MASK).all()


def test_same_seed_same_prompts() -> None:
    one, other = (simulate_interaction(_label(), np.random.default_rng(5)) for _ in range(2))
    assert (one[0] == other[0]).all() and (one[1] == other[1]).all()


def test_all_situations_occur() -> None:
    results = [simulate_interaction(_label(), rng) for rng in _seeds(200)]
    without_mask = [(strokes, mask) for strokes, mask in results if (mask == NO_MASK).all()]
    assert 0.3 < len(without_mask) / len(results) < 0.55
    assert any((strokes == 0).any() for strokes, _ in without_mask)
    assert any(not (strokes == 0).any() for strokes, _ in without_mask)
    sizes = [int((strokes > 0).sum()) for strokes, _ in without_mask]
    assert min(sizes) < 60 and max(sizes) > 300, "from single clicks to long strokes"


@pytest.mark.parametrize("rng", _seeds(40))
def test_first_strokes_touch_every_asked_object_and_no_other(rng: np.random.Generator) -> None:
    strokes = first_strokes(_label(), [1, 3], rng)
    assert set(np.unique(strokes)) - {-1, 0} == {1, 3}


@pytest.mark.parametrize("rng", _seeds(40))
def test_objects_without_prompts_get_no_stroke(rng: np.random.Generator) -> None:
    strokes, _ = simulate_interaction(_label(), rng, objects_with_prompts={2})
    assert not np.isin(strokes, [1, 3]).any()


def test_nothing_to_prompt_is_fine() -> None:
    empty = np.zeros((SIZE, SIZE), np.uint8)
    for rng in _seeds(30):
        strokes, previous = simulate_interaction(empty, rng)
        assert strokes.max() <= 0
        assert not np.isin(previous, [1, 2, 3]).any()


def test_a_given_absence_of_a_mask_leads_to_first_strokes() -> None:
    none = np.full((SIZE, SIZE), NO_MASK, np.uint8)
    for rng in _seeds(20):
        strokes, previous = simulate_interaction(_label(), rng, previous=none)
        assert (previous == NO_MASK).all()
        assert {1, 2, 3} <= set(np.unique(strokes))


@pytest.mark.parametrize("rng", _seeds(30))
def test_corrections_of_too_large_a_mask_are_background_strokes_on_the_excess(
    rng: np.random.Generator,
) -> None:
    label = np.zeros((SIZE, SIZE), np.uint8)
    label[30:60, 10:40] = 1
    previous = label.copy()
    previous[30:60, 40:80] = 1
    strokes, kept = simulate_interaction(label, rng, previous=previous)
    assert (kept == previous).all()
    assert (strokes == 0).any()
    assert (previous[strokes == 0] == 1).all()


def test_corrections_of_too_small_a_mask_are_object_strokes() -> None:
    label = np.zeros((SIZE, SIZE), np.uint8)
    label[30:60, 10:80] = 1
    previous = label.copy()
    previous[:, 40:] = 0
    on_the_error = 0
    for rng in _seeds(30):
        strokes = correcting_strokes(label, previous, [1], [1], rng)
        assert (strokes == 1).any() and not (strokes == 0).any()
        on_the_error += int((previous[strokes == 1] == 0).all())
    assert on_the_error >= 15, "mostly on what is missing, sometimes anywhere on the object"


def test_an_object_that_has_left_but_is_still_claimed_is_taken_back() -> None:
    label = np.zeros((SIZE, SIZE), np.uint8)
    previous = label.copy()
    previous[20:50, 20:50] = 2
    strokes, _ = simulate_interaction(label, np.random.default_rng(0), previous=previous)
    assert (strokes == 0).any() and (previous[strokes == 0] == 2).all()


@pytest.mark.parametrize("rng", _seeds(30))
def test_a_box_is_a_filled_previous_mask_with_background_strokes_outside(rng: np.random.Generator) -> None:
    label = np.zeros((SIZE, SIZE), np.uint8)
    cv2.circle(label, (40, 50), 20, 1, -1)
    strokes, previous = box_prompt(label, rng)
    x, y, w, h = cv2.boundingRect((previous == 1).astype(np.uint8))
    assert (previous[y : y + h, x : x + w] == 1).all(), "a filled rectangle"
    assert np.allclose([x, y, x + w, y + h], [20, 30, 61, 71], atol=5)
    assert (strokes == 0).any() and strokes.max() == 0
    assert (previous[strokes == 0] == 0).all()


def test_boxes_of_chosen_tags_only() -> None:
    _, previous = box_prompt(_label(), np.random.default_rng(0), tags=[2])
    assert set(np.unique(previous)) == {0, 2}


def test_damaged_masks_cover_good_and_bad_ones_and_wrong_objects() -> None:
    label = np.zeros((SIZE, SIZE), np.uint8)
    cv2.circle(label, (30, 30), 20, 1, -1)
    cv2.rectangle(label, (60, 50), (90, 90), 2, -1)
    overlaps = np.array(
        [_iou((damaged == 1), (label == 1)) for damaged in (perturb_mask(label, rng) for rng in _seeds(200))]
    )
    assert 0.15 < (overlaps < 0.2).mean() < 0.5, "wrong or forgotten"
    assert (overlaps > 0.4).mean() > 0.4
    assert (overlaps > 0.8).any() and ((overlaps > 0.4) & (overlaps < 0.6)).any()
    assert (overlaps == 1).mean() < 0.1


def test_damage_keeps_shape_and_tags() -> None:
    for rng in _seeds(30):
        damaged = perturb_mask(_label(), rng)
        assert damaged.shape == (SIZE, SIZE) and damaged.dtype == np.uint8
        assert set(np.unique(damaged)) <= {0, 1, 2, 3}


def test_an_object_of_one_pixel_is_still_prompted() -> None:
    label = np.zeros((SIZE, SIZE), np.uint8)
    label[40, 50] = 1
    for rng in _seeds(30):
        strokes = first_strokes(label, [1], rng)
        assert strokes[40, 50] == 1


def test_fast_enough_to_keep_up_with_training() -> None:
    label = np.kron(_label(), np.ones((2, 2), np.uint8))
    start = time.process_time()
    for rng in _seeds(20):
        simulate_interaction(label, rng)
    # 20 frames of three objects; the aim is 3 ms an object, four times that is allowed on a busy machine.
    assert (time.process_time() - start) / 60 < 0.012
