"""Objects keep their pixels on a frame that somebody draws on, but for what strokes touch."""

import numpy as np
import pytest

from siaf.masks import IndexMask
from siaf.scribbles import Scribble
from siaf.session.corrections import keep_elsewhere


def mask(**boxes: tuple[int, int, int, int]) -> IndexMask:
    """40×60 pixels; t2=(x1, y1, x2, y2) fills a box with tag 2."""
    result = np.zeros((40, 60), np.uint8)
    for name, (x1, y1, x2, y2) in boxes.items():
        result[y1:y2, x1:x2] = int(name[1:])
    return result


def line(tag: int, x1: float, x2: float, y: float, polarity: str = "positive") -> Scribble:
    return Scribble(tag, np.array([[x1, y], [x2, y]]), polarity=polarity)  # type: ignore[arg-type]


BEFORE = mask(t1=(2, 2, 12, 12), t2=(30, 5, 50, 25))


def test_an_object_that_the_network_lost_comes_back_whole() -> None:
    kept = keep_elsewhere(mask(t1=(2, 2, 14, 14)), BEFORE, {1}, [line(1, 4, 10, 6)])
    assert ((kept == 2) == (BEFORE == 2)).all()
    assert ((kept == 1) == (mask(t1=(2, 2, 14, 14)) == 1)).all(), "the object that was drawn is as the network says"


def test_an_object_neither_grows_nor_gives_pixels_to_the_one_that_was_drawn() -> None:
    new = mask(t1=(2, 2, 40, 20), t2=(35, 0, 58, 30))
    kept = keep_elsewhere(new, BEFORE, {1}, [line(1, 4, 10, 6)])
    assert ((kept == 2) == (BEFORE == 2)).all()


def test_a_part_that_a_stroke_of_another_object_crosses_is_as_the_network_says() -> None:
    before = BEFORE.copy()
    before[30:38, 30:38] = 2  # a second part of object 2
    new = before.copy()
    new[5:25, 30:50] = 1  # the stroke says that the first part is object 1
    new[30:38, 30:38] = 0  # and the network loses the second part, which nobody spoke about
    kept = keep_elsewhere(new, before, {1}, [line(1, 32, 48, 15)])
    assert (kept[5:25, 30:50] == 1).all()
    assert (kept[30:38, 30:38] == 2).all()


@pytest.mark.parametrize("also_drawn", [False, True])
def test_a_stroke_over_the_rim_of_a_neighbour_takes_nothing_else_of_it(also_drawn: bool) -> None:
    """The network forgets the neighbour: but for what the stroke's own object gains, nobody asked for that."""
    before = mask(t1=(10, 10, 20, 20), t2=(20, 10, 40, 20))
    new = mask(t1=(10, 10, 23, 20), t3=(50, 30, 55, 35))
    new[10:20, 30:42] = 2
    strokes = [line(1, 12, 22, 15), *([line(2, 38, 41, 12)] if also_drawn else [])]
    kept = keep_elsewhere(new, before, {1, 2} if also_drawn else {1}, strokes)
    assert (kept[10:20, 20:23] == 1).all()
    assert (kept[10:20, 23:40] == 2).all()


def test_a_background_stroke_on_an_object_lets_the_network_take_it_away() -> None:
    kept = keep_elsewhere(mask(), BEFORE, set(), [line(0, 32, 48, 15)])
    assert not (kept == 2).any()
    assert ((kept == 1) == (BEFORE == 1)).all()


def test_what_not_this_object_strokes_name_counts_as_touched() -> None:
    """The tag of a negative stroke is among those that the round speaks about; the network decides."""
    kept = keep_elsewhere(mask(t1=(2, 2, 12, 12)), BEFORE, {2}, [line(2, 32, 48, 15, "negative")])
    assert not (kept == 2).any()


def test_a_correction_changes_the_parts_that_its_strokes_touch() -> None:
    """Of object 2 a stripe was missing on the right, a stripe on the left was too much, and all else was right."""
    new = mask(t2=(34, 5, 56, 25))
    new[28:34, 10:20] = 2  # what the network thinks of besides
    new[10:14, 42:46] = 0
    strokes = [line(2, 51, 54, 15), line(0, 31, 33, 15)]
    expected = mask(t1=(2, 2, 12, 12), t2=(34, 5, 56, 25))
    assert (keep_elsewhere(new, BEFORE, {2}, strokes) == expected).all()
    assert (keep_elsewhere(new, BEFORE, {2}, strokes[:1]) == mask(t1=(2, 2, 12, 12), t2=(30, 5, 56, 25))).all()
    assert (keep_elsewhere(new, BEFORE, set(), strokes[1:]) == mask(t1=(2, 2, 12, 12), t2=(34, 5, 50, 25))).all()


def test_pixels_that_one_corrected_object_takes_from_another_are_its_own() -> None:
    before = mask(t1=(10, 10, 20, 20), t2=(20, 10, 40, 20))
    new = mask(t1=(10, 10, 26, 20), t2=(26, 10, 40, 20))
    strokes = [line(1, 12, 24, 15)]
    assert (keep_elsewhere(new, before, {1, 2}, [*strokes, line(2, 35, 45, 15)]) == new).all()
    assert (keep_elsewhere(new, before, {1}, strokes) == new).all(), "its stroke ran over the other one"


def test_a_stroke_that_says_nothing_new_asks_for_another_try() -> None:
    new = mask(t1=(2, 2, 12, 12), t2=(31, 4, 52, 26))
    assert (keep_elsewhere(new, BEFORE, {2}, [line(2, 34, 46, 15)]) == new).all()
    assert (keep_elsewhere(new, BEFORE, {2}, [line(2, 34, 46, 30, "negative")]) == BEFORE).all(), "it was not there"


def test_an_object_that_is_somewhere_else_leaves_its_old_place() -> None:
    new = mask(t1=(2, 2, 12, 12), t2=(5, 25, 25, 38))
    assert (keep_elsewhere(new, BEFORE, {2}, [line(2, 8, 20, 30)]) == new).all()


def test_a_box_and_a_new_object_count_whole_but_for_what_nobody_spoke_about() -> None:
    boxed = mask(t1=(2, 2, 12, 12), t2=(33, 8, 48, 22))
    assert (keep_elsewhere(boxed, BEFORE, {2}, [line(2, 34, 60, 15)], anew={2}) == boxed).all()
    new = BEFORE.copy()
    new[5:30, 20:40] = 3
    expected = np.where(BEFORE == 2, 2, new)
    assert (keep_elsewhere(new, BEFORE, {3}, [line(3, 22, 28, 15)]) == expected).all()
