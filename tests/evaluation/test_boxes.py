"""Rectangles are tracked as CVAT's tracker tracks them, and scored where the object is."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from siaf.evaluation.boxes import first_boxes, mil_boxes, score_boxes, siaf_boxes, still_boxes
from siaf.evaluation.davis import LabelledSequence
from siaf.model.loaded import Model


def test_first_boxes_are_the_edges_of_the_first_masks(two_objects: LabelledSequence) -> None:
    assert first_boxes(two_objects.masks) == {1: (15, 2, 37, 22), 2: (25, 26, 47, 46)}


def test_rectangles_are_tracked_as_the_functions_tracker_does(
    tiny_model: Model, two_objects: LabelledSequence, function: Callable[..., dict[str, Any]]
) -> None:
    boxes = first_boxes(two_objects.masks)
    found = siaf_boxes(tiny_model, two_objects.frames, boxes)
    shapes = [{"type": "rectangle", "points": list(box)} for box in boxes.values()]
    states = function(two_objects.frames[0], shapes=shapes, states=[None, None])["states"]
    for i in range(1, len(two_objects.frames)):
        answer = function(two_objects.frames[i], shapes=[None, None], states=states)
        states = answer["states"]
        assert [shape["points"] for shape in answer["shapes"]] == [found[tag][i].tolist() for tag in boxes]


def test_mil_can_follow_a_moving_object_better_than_a_still_box(two_objects: LabelledSequence) -> None:
    """It is random, and loses the object in one run of six."""
    boxes = {1: first_boxes(two_objects.masks)[1]}
    still = score_boxes(still_boxes(two_objects.frames, boxes), two_objects.masks)
    assert max(score_boxes(mil_boxes(two_objects.frames, boxes), two_objects.masks) for _ in range(6)) > still


def test_the_first_frame_and_frames_without_the_object_do_not_count() -> None:
    truth = np.zeros((4, 20, 20), np.uint8)
    truth[0, :10, :10] = truth[2, :10, :10] = truth[3, 10:, 10:] = 1
    found = {1: np.tile([0.0, 0, 10, 10], (4, 1))}
    assert score_boxes(found, truth) == pytest.approx(0.5)
