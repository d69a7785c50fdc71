"""Scribbles: what a stroke may be, the stroke map it becomes, and DAVIS-interactive JSON in and out."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from siaf.errors import InputError
from siaf.scribbles import (
    Scribble,
    check_scribbles,
    davis_document,
    erase_denied,
    rasterize,
    read_davis,
    write_davis,
)

SIZE = {"n_frames": 4, "height": 40, "width": 60}


def stroke(tag: int, *points: tuple[float, float], **more: Any) -> Scribble:
    return Scribble(tag, np.array(points, float), **more)


def one_stroke_document(**changes: Any) -> dict[str, Any]:
    line = {"path": [[0.1, 0.2], [0.5, 0.5]], "object_id": 1, "start_time": 0, "end_time": 9} | changes
    return {"scribbles": [[], [], [], [line]], "sequence": "dog", "annotated_frame": 3}


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


class TestDavis:
    def test_paths_are_fractions_of_the_last_pixel(self) -> None:
        document = one_stroke_document(path=[[0, 0], [1, 1], [0.5, 0.5]])
        found = read_davis(document, **SIZE)
        assert list(found) == [3]
        assert found[3][0].points.tolist() == [[0, 0], [59, 39], [29.5, 19.5]]
        assert found[3][0].tag == 1

    def test_unknown_keys_are_ignored(self) -> None:
        document = one_stroke_document(colour="red") | {"tool": {"version": 2}}
        assert len(read_davis(document, **SIZE)[3]) == 1

    @pytest.mark.parametrize("height_width", [(40, 60), (1, 1)])
    def test_written_and_read_back_is_the_same(self, tmp_path: Path, height_width: tuple[int, int]) -> None:
        size = {"n_frames": 4, "height": height_width[0], "width": height_width[1]}
        scribbles = {
            0: [stroke(3, (0, 0), width=7.5)],
            2: [stroke(0, (0, 0)), stroke(2, (0, 0), polarity="negative")],
        }
        write_davis(tmp_path / "s.json", scribbles, **size)
        assert read_davis(tmp_path / "s.json", **size) == scribbles

    def test_points_survive_to_a_billionth_of_a_pixel(self) -> None:
        points = np.random.default_rng(0).uniform(0, 39, (50, 2))
        back = read_davis(davis_document({1: [Scribble(1, points)]}, **SIZE), **SIZE)[1][0]
        assert np.allclose(back.points, points, atol=1e-9)

    def test_other_programs_find_the_davis_keys(self) -> None:
        document = davis_document({1: [stroke(5, (1, 1))]}, **SIZE, sequence="dog")
        assert document["sequence"] == "dog"
        assert len(document["scribbles"]) == 4
        assert set(document["scribbles"][1][0]) >= {"path", "object_id", "start_time", "end_time"}

    @pytest.mark.parametrize("number", [1, "1", 1.0])
    def test_a_whole_number_counts_as_it_is_written(self, number: object) -> None:
        assert read_davis(one_stroke_document(object_id=number), **SIZE)[3][0].tag == 1

    def test_a_frame_that_is_not_in_the_video_cannot_be_written(self) -> None:
        with pytest.raises(InputError, match="no frame 4"):
            davis_document({4: [stroke(1, (1, 1))]}, **SIZE)

    @pytest.mark.parametrize(
        ("field", "changes"),
        [
            ("scribbles[3][0].path", {"path": []}),
            ("scribbles[3][0].path", {"path": [[0.5, float("nan")]]}),
            ("scribbles[3][0].path", {"path": [[384, 200]]}),
            ("scribbles[3][0].path", {"path": [[0.5]]}),
            ("scribbles[3][0].path", {"path": "0.5,0.5"}),
            ("scribbles[3][0].path", {"path": {"x": 1}}),
            ("scribbles[3][0].object_id", {"object_id": 256}),
            ("scribbles[3][0].object_id", {"object_id": "dog"}),
            ("scribbles[3][0].width", {"width": -1}),
            ("scribbles[3][0].polarity", {"polarity": "?"}),
        ],
    )
    def test_a_bad_stroke_is_refused_and_its_place_named(self, field: str, changes: dict[str, Any]) -> None:
        with pytest.raises(InputError) as caught:
            read_davis(one_stroke_document(**changes), **SIZE)
        assert caught.value.field == field
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize(
        ("field", "document"),
        [
            ("scribbles", {}),
            ("scribbles", {"scribbles": {"0": []}}),
            ("scribbles", {"scribbles": [[], []]}),
            ("scribbles[1]", {"scribbles": [[], {}, [], []]}),
            ("scribbles[1][0]", {"scribbles": [[], [[]], [], []]}),
            ("scribbles[1][0]", {"scribbles": [[], [{"path": [[0, 0]]}], [], []]}),
            ("scribbles[1][0]", {"scribbles": [[], [{"object_id": 1}], [], []]}),
        ],
    )
    def test_a_bad_document_is_refused_and_the_place_named(self, field: str, document: dict[str, Any]) -> None:
        with pytest.raises(InputError) as caught:
            read_davis(document, **SIZE)
        assert caught.value.field == field

    def test_a_wrong_frame_count_says_both_counts(self) -> None:
        with pytest.raises(InputError, match="has 2 frames, but the video has 4"):
            read_davis({"scribbles": [[], []]}, **SIZE)

    @pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\x00", b"[" * 100_000, b"PNG"])
    def test_a_file_that_is_not_json_is_refused_in_one_line(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "s.json"
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"s\.json is not JSON") as caught:
            read_davis(path, **SIZE)
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("content", ["[]", "3", "null"])
    def test_json_of_another_kind_is_refused(self, tmp_path: Path, content: str) -> None:
        path = tmp_path / "s.json"
        path.write_text(content)
        with pytest.raises(InputError, match='has a list "scribbles"'):
            read_davis(path, **SIZE)

    def test_a_missing_file_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="No such file"):
            read_davis(tmp_path / "none.json", **SIZE)

    def test_the_file_form_is_plain_json(self, tmp_path: Path) -> None:
        write_davis(tmp_path / "s.json", {1: [stroke(5, (1, 1))]}, **SIZE)
        assert json.loads((tmp_path / "s.json").read_text())["scribbles"][1][0]["object_id"] == 5
