"""The motion prior: near costs nothing, far costs more, and what moves fast may go farther."""

import numpy as np
import pytest

from siaf.model.motion import penalty, step

STILL = np.zeros(256, np.float32)


def at(column: int, tag: int = 1) -> np.ndarray:
    """A 3×3 object on 21×41 cells."""
    cells = np.zeros((21, 41), np.uint8)
    cells[9:12, column - 1 : column + 2] = tag
    return cells


def test_cells_within_reach_cost_nothing_and_each_further_one_as_much_again() -> None:
    lost = penalty(at(10), STILL, 1)
    assert lost is not None
    row = lost[10]  # the object's edge is at column 11
    assert row[6:15].max() == 0
    assert row[15:18] == pytest.approx([0.3, 0.6, 0.9])


def test_reach_grows_by_two_cells_for_every_cell_of_the_last_step() -> None:
    pace = step(at(10), at(14), STILL)
    assert pace[1] == pytest.approx(4)
    lost = penalty(at(14), pace, 1)
    assert lost is not None
    assert lost[10, 26] == 0 and lost[10, 27] == pytest.approx(0.3)  # 3 + 2 · 4 cells from column 15


def test_a_fast_step_is_forgotten_slowly() -> None:
    fast = step(at(10), at(20), STILL)
    assert step(at(20), at(20), fast)[1] == pytest.approx(7)
    assert step(at(20), at(29), fast)[1] == pytest.approx(9)


def test_nothing_is_said_about_an_object_that_was_absent() -> None:
    assert penalty(at(10, tag=2), STILL, 1) is None
    assert step(np.zeros((21, 41), np.uint8), at(30), STILL)[1] == 0
