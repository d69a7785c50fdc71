"""DAVIS-interactive JSON, in and out."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from strokes import stroke

from siaf.davis import davis_document, read_davis, write_davis
from siaf.errors import InputError
from siaf.scribbles import Scribble

SIZE = {"n_frames": 4, "height": 40, "width": 60}


def one_stroke_document(**changes: Any) -> dict[str, Any]:
    line = {"path": [[0.1, 0.2], [0.5, 0.5]], "object_id": 1, "start_time": 0, "end_time": 9} | changes
    return {"scribbles": [[], [], [], [line]], "sequence": "dog", "annotated_frame": 3}


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
