"""Parts of a mask that nobody asked for go, and so do those that were denied."""

import numpy as np
import pytest

from siaf.masks import IndexMask
from siaf.scribbles import Scribble
from siaf.session.parts import asked_parts

LEFT, RIGHT, CORNER = (slice(5, 25), slice(5, 25)), (slice(5, 15), slice(40, 50)), (slice(25, 28), slice(25, 28))


def shown(*places: tuple[slice, slice], tag: int = 1) -> IndexMask:
    mask = np.zeros((40, 60), np.uint8)
    for place in places:
        mask[place] = tag
    return mask


def line(tag: int, *points: tuple[float, float], polarity: str = "positive") -> Scribble:
    return Scribble(tag, np.array(points, np.float64), polarity=polarity)  # type: ignore[arg-type]


ON_LEFT, ON_RIGHT, ACROSS = line(1, (10, 10)), line(1, (45, 10)), line(1, (10, 10), (45, 10))


@pytest.mark.parametrize(
    ("strokes", "before", "left"),
    [
        ([ON_LEFT], None, [LEFT]),
        ([ON_RIGHT], None, [RIGHT]),
        ([ON_LEFT, ON_RIGHT], None, [LEFT, RIGHT]),
        ([ACROSS], None, [LEFT, RIGHT]),
        ([ON_LEFT], [RIGHT], [LEFT, RIGHT]),  # it was there before
        ([ON_LEFT, line(0, (45, 10))], [RIGHT, LEFT], [LEFT]),
        ([ON_LEFT, line(1, (45, 10), polarity="negative")], [LEFT, RIGHT], [LEFT]),
        ([line(0, (45, 10))], [LEFT, RIGHT], [LEFT]),
        ([line(1, (45, 10), polarity="negative")], None, [LEFT]),
        ([line(0, (20, 20))], [LEFT, RIGHT], [LEFT, RIGHT]),  # only the pixels of the stroke are wrong
        ([ON_RIGHT, line(0, (20, 20))], [LEFT], [LEFT, RIGHT]),
        ([ON_RIGHT, line(0, (20, 20))], None, [RIGHT]),
        ([ON_RIGHT, line(0, (48, 8))], None, [RIGHT]),  # a positive one holds it
        ([line(2, (10, 10))], None, [LEFT, RIGHT]),  # says nothing about object 1
        ([line(2, (10, 10), polarity="negative")], None, [LEFT, RIGHT]),
    ],
)
def test_what_stays(strokes: list[Scribble], before: list[tuple[slice, slice]] | None, left: list) -> None:
    known = None if before is None else shown(*before)
    assert np.array_equal(asked_parts(shown(LEFT, RIGHT), strokes, {}, known), shown(*left))


def test_parts_that_meet_at_a_corner_are_one() -> None:
    mask = shown(LEFT, CORNER)
    assert np.array_equal(asked_parts(mask, [ON_LEFT], {}, None), mask)


def test_a_box_bounds_its_mask_and_asks_for_all_inside() -> None:
    mask = shown(LEFT, RIGHT)
    found = asked_parts(mask, [], {1: (8.0, 0.0, 45.0, 40.0)}, None)
    expected = np.zeros_like(mask)
    expected[:, 8:45] = mask[:, 8:45]
    assert np.array_equal(found, expected)
    denied = asked_parts(mask, [line(1, (42, 8), polarity="negative")], {1: (8.0, 0.0, 45.0, 40.0)}, None)
    assert np.array_equal(np.unique(np.nonzero(denied)[1]), np.arange(8, 25))


def test_objects_are_looked_at_one_by_one() -> None:
    mask = shown(LEFT) + shown(RIGHT, tag=2)
    assert np.array_equal(asked_parts(mask, [ON_RIGHT], {}, None), shown(RIGHT, tag=2))
    assert np.array_equal(asked_parts(mask, [ON_LEFT], {}, None), mask)
    assert np.array_equal(asked_parts(mask, [ON_LEFT], {2: (40.0, 5.0, 45.0, 40.0)}, None)[:, 45:], shown(LEFT)[:, 45:])
