"""What was drawn in earlier rounds counts until something else is drawn there."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from siaf import Session
from siaf.model.loaded import Model
from siaf.scribbles import Polarity, Scribble
from siaf.session.standing_strokes import standing_strokes

SIZE = (60, 100)
Frames = NDArray[np.uint8]


def line(tag: int, x0: float, x1: float, y: float, polarity: Polarity = "positive") -> Scribble:
    """A horizontal stroke with a point on every pixel."""
    x = np.arange(x0, x1 + 1)
    return Scribble(tag, np.stack([x, np.full_like(x, y)], axis=1), polarity=polarity)


def upright(tag: int, x: float, polarity: Polarity = "positive") -> Scribble:
    y = np.arange(0.0, 60.0)
    return Scribble(tag, np.stack([np.full_like(y, x), y], axis=1), polarity=polarity)


def test_strokes_that_agree_all_stand_in_their_order() -> None:
    first, second = line(1, 10, 30, 20), line(0, 60, 90, 40)
    assert standing_strokes([[first], [second]], [line(1, 10, 30, 25)], *SIZE) == [first, second]
    assert standing_strokes([], [first], *SIZE) == []


@pytest.mark.parametrize(
    "later", [upright(0, 500), upright(2, 500), upright(1, 500, "negative")], ids=["background", "another", "not it"]
)
def test_a_stroke_is_cut_where_a_later_one_says_otherwise(later: Scribble) -> None:
    """The later stroke is 3 pixels wide, and reaches 0.3 % of the long side beyond."""
    pieces = standing_strokes([[line(1, 480, 520, 20)]], [later], 600, 1000)
    assert [(p.points[0, 0], p.points[-1, 0]) for p in pieces] == [(480, 495), (505, 520)]
    assert {p.tag for p in pieces} == {1}


def test_not_an_object_falls_only_where_the_object_is_drawn() -> None:
    denied = line(1, 40, 60, 20, "negative")
    assert standing_strokes([[denied]], [upright(2, 50), upright(0, 50)], *SIZE) == [denied]
    assert len(standing_strokes([[denied]], [upright(1, 50)], *SIZE)) == 2


def test_what_a_round_between_contradicted_does_not_come_back() -> None:
    stroke = line(1, 40, 60, 20)
    assert standing_strokes([[stroke], [line(0, 35, 65, 20)]], [], *SIZE) == [line(0, 35, 65, 20)]
    assert standing_strokes([[stroke], [line(0, 35, 65, 20)]], [line(1, 35, 65, 20)], *SIZE) == []


def test_a_round_keeps_the_pixels_that_earlier_rounds_drew(tiny_model: Model, clip: Frames) -> None:
    session = Session(tiny_model, clip)
    first, second = line(1, 5, 30, 15), line(1, 5, 30, 45)
    session.interact({0: [first]})
    mask = session.interact({0: [second, upright(0, 60)]})[0]
    assert (mask[15, 5:31] == 1).all()
    mask = session.interact({0: [line(0, 5, 30, 15)]})[0]
    assert (mask[15, 5:31] == 0).all()
    assert (mask[45, 5:31] == 1).all()


def test_a_mask_and_undo_end_what_was_drawn_before(tiny_model: Model, clip: Frames) -> None:
    session = Session(tiny_model, clip)
    session.interact({0: [line(1, 5, 30, 15)]})
    given = np.zeros(clip.shape[1:3], np.uint8)
    given[40:50, 5:31] = 1
    session.interact(references={0: given})
    mask = session.interact({0: [line(1, 5, 30, 45)]})[0]
    fresh = Session(tiny_model, clip)
    fresh.interact(references={0: given})
    assert np.array_equal(mask, fresh.interact({0: [line(1, 5, 30, 45)]})[0])

    again = Session(tiny_model, clip)
    again.interact(references={0: given})
    again.interact({0: [line(1, 70, 90, 10)]})
    again.undo()
    assert np.array_equal(again.interact({0: [line(1, 5, 30, 45)]})[0], mask)


def test_a_removed_objects_strokes_are_not_those_of_a_later_one_of_its_number(
    tiny_model: Model, clip: Frames, tmp_path: Path
) -> None:
    session = Session(tiny_model, clip)
    session.interact({0: [line(1, 5, 30, 15), line(2, 60, 90, 15)], 3: [line(1, 5, 30, 15)]})
    session.remove_object(1)
    session.save(tmp_path / "session.siaf")
    for each in (session, Session.load(tmp_path / "session.siaf", tiny_model, clip)):
        assert each.rounds[0].scribbles == {0: [line(2, 60, 90, 15)], 3: []}
        mask = each.interact({0: [line(1, 5, 30, 60)]})[0]
        assert not (mask[15, 5:31] == 1).all()
        assert (mask[15, 60:91] == 2).all()
