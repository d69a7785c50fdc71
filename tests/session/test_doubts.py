"""A correction leaves an object as it was where the segmenter is in doubt, or where it can't see what was there."""

import numpy as np
from numpy.typing import NDArray

from siaf.masks import IndexMask
from siaf.scribbles import Scribble
from siaf.session.doubts import keep_doubtful

SIZE = (120, 200)
LITTLE, SURE = 0.6, 0.9
"""Chances that do not outweigh what was there, and that do."""


def mask(*boxes: tuple[int, int, int, int]) -> IndexMask:
    """Boxes (x1, y1, x2, y2) of object 1."""
    result = np.zeros(SIZE, np.uint8)
    for x1, y1, x2, y2 in boxes:
        result[y1:y2, x1:x2] = 1
    return result


def stroke(tag: int, x1: float, x2: float, y: float) -> Scribble:
    return Scribble(tag, np.array([[x1, y], [x2, y]]), width=1)


def corrected(new: IndexMask, before: IndexMask, certainty: float, *strokes: Scribble) -> IndexMask:
    """What is left of `new`, of whose answer for object 1 the segmenter is so certain everywhere."""
    chance: NDArray[np.float32] = np.where(new == 1, certainty, 1 - certainty).astype(np.float32)
    return keep_doubtful(new, before, lambda _: chance, {1}, strokes)


BODY = (50, 20, 100, 100)


def test_what_an_object_gains_or_loses_counts_if_the_segmenter_is_sure() -> None:
    before, new = mask(BODY), mask((70, 20, 130, 100))
    assert (corrected(new, before, SURE) == new).all()
    assert (corrected(new, before, LITTLE) == before).all()


def test_pixels_under_strokes_are_as_drawn() -> None:
    before, new = mask(BODY), mask((50, 20, 102, 100))
    kept = corrected(new, before, LITTLE, stroke(1, 95, 101, 60))
    assert (kept[60, 100:102] == 1).all() and (kept[50, 100:102] == 0).all()


def test_a_thin_part_stays_however_sure_the_segmenter_is() -> None:
    """Spokes, lines and fingers are narrower than the cells that it draws on."""
    thin, thick = (100, 30, 180, 32), (100, 60, 180, 70)
    kept = corrected(mask(BODY), mask(BODY, thin, thick), SURE)
    assert (kept == mask(BODY, thin)).all()


def test_a_thin_part_goes_if_a_stroke_denies_it() -> None:
    thin, other = (100, 30, 180, 32), (100, 60, 180, 62)
    kept = corrected(mask(BODY), mask(BODY, thin, other), SURE, stroke(0, 120, 140, 31))
    assert (kept == mask(BODY, other)).all()


def test_of_a_separate_part_of_which_next_to_nothing_is_found_nothing_stays() -> None:
    """A spill on a stone beside the object: its rim, of which the segmenter is less sure, must not be left over."""
    apart = (150, 50, 166, 66)
    before, new = mask(BODY, apart), mask(BODY, (150, 50, 154, 54))
    assert (corrected(new, before, LITTLE) == new).all()


def test_a_thick_part_that_a_stroke_asks_for_counts_however_unsure_the_segmenter_is() -> None:
    before, new = mask(BODY, (100, 40, 140, 80)), mask(BODY)
    assert (corrected(new, before, LITTLE) == before).all()
    assert (corrected(new, before, LITTLE, stroke(0, 110, 130, 60)) == new).all()
    assert (corrected(before, new, LITTLE) == new).all()
    assert (corrected(before, new, LITTLE, stroke(1, 110, 130, 60)) == before).all()


def test_what_a_stroke_took_away_against_the_segmenter_stays_away() -> None:
    """A part that a background stroke touches goes as a whole, though the segmenter has it (`siaf.session.parts`)."""
    apart = (150, 50, 190, 90)
    before, new = mask(BODY, apart), mask(BODY)
    chance = np.where(before == 1, SURE, 1 - SURE).astype(np.float32)
    chance[50:90, 150:153] = 0.4  # its edge, where the segmenter is not sure
    kept = keep_doubtful(new, before, lambda _: chance, {1}, [stroke(0, 160, 180, 70)])
    assert (kept == new).all()


def test_what_objects_take_from_each_other_is_as_found() -> None:
    before = mask(BODY)
    before[20:100, 100:150] = 2
    new = before.copy()
    new[20:100, 90:100] = 2
    assert (corrected(new, before, LITTLE) == new).all()


def test_objects_that_nobody_corrects_are_not_looked_at() -> None:
    before, new = mask(BODY), mask((70, 20, 130, 100))
    assert (keep_doubtful(new, before, lambda _: np.full(SIZE, 0.5, np.float32), (), []) == new).all()
    assert new.any(), "and the mask that was given stays as it was"
