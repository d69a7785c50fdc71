"""Scribbles: what a stroke may be, and the stroke map it becomes."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strokes import stroke

from siaf.errors import InputError
from siaf.scribbles import (
    Scribble,
    check_scribbles,
    erase_denied,
    rasterize,
)


class TestScribble:
    def test_points_are_float_pixels_that_nobody_can_change(self) -> None:
        scribble = Scribble(1, [[1, 2], [3, 4]])  # type: ignore[arg-type]
        assert scribble.points.dtype == np.float64
        with pytest.raises(ValueError, match="read-only"):
            scribble.points[0, 0] = 9

    def test_later_changes_of_the_callers_array_do_not_matter(self) -> None:
        xy = np.zeros((2, 2))
        scribble = Scribble(1, xy)
        xy[:] = 7
        assert scribble.points.tolist() == [[0, 0], [0, 0]]

    def test_equal_strokes_are_equal(self) -> None:
        assert stroke(1, (1, 2)) == stroke(1, (1, 2))
        assert len({stroke(1, (1, 2)), stroke(1, (1, 2)), stroke(2, (1, 2)), stroke(1, (1, 2), width=9)}) == 3

    @pytest.mark.parametrize(
        ("field", "arguments"),
        [
            ("tag", {"tag": 256}),
            ("tag", {"tag": -1}),
            ("tag", {"tag": 1.0}),
            ("tag", {"tag": True}),
            ("tag", {"tag": None}),
            ("points", {"points": []}),
            ("points", {"points": np.zeros((0, 2))}),
            ("points", {"points": [1, 2]}),
            ("points", {"points": [[1, 2, 3]]}),
            ("points", {"points": [[1, 2], [3]]}),
            ("points", {"points": [["1", "2"]]}),
            ("points", {"points": None}),
            ("points", {"points": [[1, 2], [3, float("nan")]]}),
            ("points", {"points": [[1, float("inf")]]}),
            ("width", {"width": 0}),
            ("width", {"width": float("nan")}),
            ("width", {"width": 1e9}),
            ("width", {"width": "3"}),
            ("polarity", {"polarity": "maybe"}),
            ("polarity", {"tag": 0, "polarity": "negative"}),
        ],
    )
    def test_bad_values_are_refused_and_named(self, field: str, arguments: dict[str, Any]) -> None:
        with pytest.raises(InputError) as caught:
            Scribble(**({"tag": 1, "points": [[1, 2]]} | arguments))
        assert caught.value.field == field

    def test_a_point_slightly_outside_is_a_slip_of_the_hand(self) -> None:
        check_scribbles([stroke(1, (-5, 3), (62, 44))], height=40, width=60)

    @pytest.mark.parametrize("xy", [(-40, 3), (3, -40), (90, 3), (3, 75), (1e300, 0)])
    def test_a_point_far_outside_is_refused_and_named(self, xy: tuple[float, float]) -> None:
        with pytest.raises(InputError, match=r"point 1 .* far outside the 60×40 frame") as caught:
            check_scribbles([stroke(1, (1, 1)), stroke(1, (1, 1), xy)], height=40, width=60)
        assert caught.value.field == "scribbles[1].points"


class TestRasterize:
    def test_unscribbled_is_minus_one_background_zero_objects_their_tag(self) -> None:
        strokes = rasterize([stroke(0, (5, 2), (15, 2)), stroke(200, (5, 12), (15, 12))], 20, 30)
        assert strokes.dtype == np.int16
        assert strokes.shape == (20, 30)
        assert strokes[[2, 12, 7], [10, 10, 10]].tolist() == [0, 200, -1]

    @pytest.mark.parametrize(("width", "rows"), [(1, 3), (3, 3), (5, 5), (9, 9)])
    def test_width_is_in_pixels_and_never_below_three(self, width: float, rows: int) -> None:
        strokes = rasterize([stroke(1, (5, 20), (35, 20), width=width)], 40, 40)
        assert (strokes[:, 20] == 1).sum() == rows
        assert strokes[20 - rows // 2, 20] == strokes[20 + rows // 2, 20] == 1

    def test_a_click_is_a_disc(self) -> None:
        strokes = rasterize([Scribble.click(4, 10, 8, radius=5)], 20, 20)
        y, x = np.nonzero(strokes == 4)
        assert (x.min(), x.max(), y.min(), y.max()) == (6, 14, 4, 12)
        assert np.hypot(x - 10, y - 8).max() < 5

    def test_later_strokes_lie_on_top(self) -> None:
        across, down = stroke(1, (0, 10), (20, 10)), stroke(2, (10, 0), (10, 20))
        assert rasterize([across, down], 21, 21)[10, 10] == 2
        assert rasterize([down, across], 21, 21)[10, 10] == 1

    def test_a_negative_stroke_is_background_but_spares_other_objects_strokes(self) -> None:
        denial = stroke(1, (0, 10), (30, 10), polarity="negative")
        strokes = rasterize([stroke(1, (5, 0), (5, 20)), stroke(2, (20, 0), (20, 20)), denial], 21, 31)
        assert strokes[10, [5, 12, 20]].tolist() == [0, 0, 2]
        assert strokes[2, 5] == 1

    @pytest.mark.parametrize("size", [(20, 30), (81, 113), (17, 49)])
    def test_other_sizes_keep_the_place_and_at_least_three_pixels(self, size: tuple[int, int]) -> None:
        strokes = rasterize([stroke(1, (60, 10), (60, 90))], 100, 120, size=size)
        assert strokes.shape == size
        columns = np.flatnonzero(strokes[size[0] // 2] == 1)
        assert len(columns) == 3
        assert columns[1] == int(60.5 / 120 * size[1])

    def test_what_sticks_out_is_cut_off(self) -> None:
        strokes = rasterize([stroke(1, (-4, -4), (24, 24)), Scribble.click(2, 22, 10, radius=4)], 20, 20)
        assert (np.diag(strokes) == 1).all()
        assert strokes[10, 19] == 2
        assert strokes[10, 17] == -1

    def test_a_stroke_just_outside_marks_nothing(self) -> None:
        assert (rasterize([stroke(1, (-4, 3), (-4, 9))], 20, 20) == -1).all()

    def test_no_strokes_give_an_empty_map(self) -> None:
        assert (rasterize([], 3, 4) == -1).all()

    @given(
        st.lists(st.tuples(st.floats(-9, 59), st.floats(-9, 49)), min_size=1, max_size=6),
        st.floats(0.5, 30),
        st.sampled_from([None, (16, 16), (97, 113)]),
    )
    def test_any_valid_stroke_can_be_drawn(
        self, points: list[tuple[float, float]], width: float, size: tuple[int, int] | None
    ) -> None:
        strokes = rasterize([stroke(7, *points, width=width)], 40, 50, size=size)
        assert set(np.unique(strokes)) <= {-1, 7}
        inside = [(x, y) for x, y in points if 0 <= x < 49 and 0 <= y < 39]
        if inside:
            assert (strokes == 7).sum() >= 4


class TestEraseDenied:
    def test_only_the_denied_object_goes_and_only_under_the_stroke(self) -> None:
        mask = np.repeat(np.array([[1] * 10 + [2] * 10], np.uint8), 20, axis=0)
        erased = erase_denied(mask, [stroke(1, (0, 10), (19, 10), polarity="negative"), stroke(0, (0, 2), (19, 2))])
        assert erased[10].tolist() == [0] * 10 + [2] * 10
        assert erased[2].tolist() == [1] * 10 + [2] * 10
        assert mask[10, 0] == 1
