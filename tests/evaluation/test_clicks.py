"""Simulated clicks go where RITM's do, and are answered as CVAT's interactor answers."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from siaf.evaluation.clicks import box_score, click_rounds, next_click, siaf_segmenter
from siaf.evaluation.davis import LabelledSequence
from siaf.interactive.clicks import Clicks
from siaf.masks import Bitmap
from siaf.model.loaded import Model

Function = Callable[..., dict[str, Any]]


def disc(x: int, y: int, radius: int) -> Bitmap:
    rows, columns = np.mgrid[:60, :80]
    return (rows - y) ** 2 + (columns - x) ** 2 <= radius**2


NOTHING = np.zeros((60, 80), bool)


def test_the_first_click_is_in_the_middle_of_the_object() -> None:
    assert next_click(NOTHING, disc(30, 20, 9) | disc(60, 40, 5), NOTHING) == (30, 20, True)


def test_a_mistaken_area_is_clicked_negative_when_it_is_the_largest_error() -> None:
    assert next_click(disc(60, 40, 9), disc(30, 20, 5), NOTHING) == (60, 40, False)


def test_the_frames_border_ends_an_error() -> None:
    strip = np.zeros((60, 80), bool)
    strip[:, :5] = True
    click = next_click(NOTHING, strip, NOTHING)
    assert click is not None and click[0] == 2


def test_a_pixel_is_clicked_once() -> None:
    once = np.zeros((60, 80), bool)
    once[20, 30] = True
    assert next_click(NOTHING, disc(30, 20, 9), once) != (30, 20, True)


def test_a_right_mask_needs_no_click() -> None:
    assert next_click(disc(30, 20, 9), disc(30, 20, 9), NOTHING) is None


def test_every_answer_gets_all_clicks_so_far() -> None:
    truth = disc(30, 20, 9) | disc(60, 40, 5)
    seen = []

    def segment(clicks: Clicks) -> Bitmap:
        """Finds discs of radius 5 around positive clicks."""
        seen.append((len(clicks.positive), len(clicks.negative)))
        discs = [disc(int(x), int(y), 5) for x, y in clicks.positive]
        return np.logical_or.reduce(discs)

    scores = click_rounds(segment, truth, 3)
    assert seen == [(1, 0), (2, 0), (3, 0)]
    assert scores == sorted(scores)
    assert scores[1] - scores[0] == pytest.approx(disc(60, 40, 5).sum() / truth.sum())


def test_what_is_right_stays_right_without_further_clicks() -> None:
    calls = []

    def segment(clicks: Clicks) -> Bitmap:
        calls.append(clicks)
        return disc(30, 20, 9)

    assert click_rounds(segment, disc(30, 20, 9), 3) == [1, 1, 1]
    assert len(calls) == 1


def test_the_true_box_is_given_alone() -> None:
    def segment(clicks: Clicks) -> Bitmap:
        assert not len(clicks.positive) and not len(clicks.negative)
        assert clicks.boxes == ((21.0, 11.0, 40.0, 30.0),)
        return disc(30, 20, 9)

    assert box_score(segment, disc(30, 20, 9)) == 1


def test_clicks_are_answered_as_cvats_interactor_answers(
    tiny_model: Model, two_objects: LabelledSequence, function: Function
) -> None:
    """The same clicks, one after the other, to the function: its masks are the evaluation's."""
    frame, truth = two_objects.frames[0], two_objects.masks[0] == 1
    ours = siaf_segmenter(tiny_model, frame)
    answers = []

    def segment(clicks: Clicks) -> Bitmap:
        answer = function(
            frame,
            pos_points=clicks.positive.tolist(),
            neg_points=clicks.negative.tolist(),
            obj_bbox=[pair for box in clicks.boxes for pair in (list(box[:2]), list(box[2:]))],
        )
        answers.append(np.array(answer["mask"]) > 0)
        mask = ours(clicks)
        assert (answers[-1] == mask).all()
        return mask

    click_rounds(segment, truth, 3)
    assert len(answers) == 3
    ours = siaf_segmenter(tiny_model, frame)
    box_score(segment, truth)
