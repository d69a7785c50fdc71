"""Objects that nobody spoke about keep their pixels on a frame that somebody draws on."""

import numpy as np

from siaf.masks import IndexMask
from siaf.scribbles import Scribble
from siaf.session.untouched import keep_untouched


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
    kept = keep_untouched(mask(t1=(2, 2, 14, 14)), BEFORE, {1}, [line(1, 4, 10, 6)])
    assert ((kept == 2) == (BEFORE == 2)).all()
    assert ((kept == 1) == (mask(t1=(2, 2, 14, 14)) == 1)).all(), "the object that was drawn is as the network says"


def test_an_object_neither_grows_nor_gives_pixels_to_the_one_that_was_drawn() -> None:
    new = mask(t1=(2, 2, 40, 20), t2=(35, 0, 58, 30))
    kept = keep_untouched(new, BEFORE, {1}, [line(1, 4, 10, 6)])
    assert ((kept == 2) == (BEFORE == 2)).all()


def test_a_part_that_a_stroke_of_another_object_crosses_is_as_the_network_says() -> None:
    before = BEFORE.copy()
    before[30:38, 30:38] = 2  # a second part of object 2
    new = before.copy()
    new[5:25, 30:50] = 1  # the stroke says that the first part is object 1
    new[30:38, 30:38] = 0  # and the network loses the second part, which nobody spoke about
    kept = keep_untouched(new, before, {1}, [line(1, 32, 48, 15)])
    assert (kept[5:25, 30:50] == 1).all()
    assert (kept[30:38, 30:38] == 2).all()


def test_a_background_stroke_on_an_object_lets_the_network_take_it_away() -> None:
    kept = keep_untouched(mask(), BEFORE, set(), [line(0, 32, 48, 15)])
    assert not (kept == 2).any()
    assert ((kept == 1) == (BEFORE == 1)).all()


def test_what_not_this_object_strokes_name_counts_as_touched() -> None:
    """The tag of a negative stroke is among those that the round speaks about; the network decides."""
    kept = keep_untouched(mask(t1=(2, 2, 12, 12)), BEFORE, {2}, [line(2, 32, 48, 15, "negative")])
    assert not (kept == 2).any()
