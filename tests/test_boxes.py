"""Boxes as prompts: the encoding that the interaction network was trained on."""

import numpy as np
import pytest
from numpy.typing import NDArray

from siaf import Session
from siaf.boxes import Box, as_box, box_pixels, fill_boxes, mask_box, surround
from siaf.errors import InputError
from siaf.model.loaded import Model
from siaf.scribbles import rasterize


def test_a_box_is_cut_at_the_frame() -> None:
    assert as_box([-3, 5, 20, 90], height=80, width=100, field="b") == (0, 5, 20, 80)


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ([1, 2, 3], "4 numbers"),
        ([10, 10, 10, 20], "inverted or empty"),
        ([20, 10, 10, 20], "inverted or empty"),
        ([float("nan"), 10, 10, 20], "not finite"),
        ([0, 0, 1e9, 20], "far outside"),
        ([101, 5, 110, 20], "outside"),
    ],
)
def test_what_is_no_box_is_refused_by_name(points: list[float], message: str) -> None:
    with pytest.raises(InputError, match=f"obj_bbox: .*{message}"):
        as_box(points, height=80, width=100, field="obj_bbox")


@pytest.mark.parametrize("box", [(3, 2, 7, 5), (9, 7, 10, 8), (0, 0, 60, 40), (59, 0, 60, 40)])
def test_a_mask_s_box_has_its_size_and_gives_its_pixels_back(box: tuple[int, int, int, int]) -> None:
    left, top, right, bottom = box
    mask = np.zeros((40, 60), bool)
    mask[top:bottom, left:right] = True
    assert mask_box(mask) == box
    again = np.zeros_like(mask)
    again[box_pixels(mask_box(mask), *mask.shape)] = True
    assert (again == mask).all()


def test_an_empty_mask_has_no_box() -> None:
    with pytest.raises(InputError, match="mask: the mask is empty"):
        mask_box(np.zeros((40, 60), bool))


@pytest.mark.parametrize(
    ("box", "rows", "columns"),
    [
        ((2.5, 3.5, 4.5, 5.5), (4, 6), (3, 5)),  # an edge on a pixel's centre: as all coordinates are rounded
        ((2.4, 3.6, 4.4, 5.6), (4, 6), (2, 4)),
        ((2.1, 3.1, 2.3, 3.3), (3, 4), (2, 3)),  # never nothing
        ((59.9, 39.9, 60.0, 40.0), (39, 40), (59, 60)),
    ],
)
def test_a_box_has_the_pixels_whose_centre_it_holds(box: Box, rows: tuple[int, int], columns: tuple[int, int]) -> None:
    assert box_pixels(box, 40, 60) == (slice(*rows), slice(*columns))


def test_smaller_boxes_lie_on_top_and_other_objects_stay() -> None:
    mask = np.zeros((40, 60), np.uint8)
    mask[:5, :5] = 7
    mask[30:, 50:] = 1
    filled = fill_boxes(mask, {1: (10, 10, 20, 20), 2: (5, 5, 30, 30)})
    assert (filled[:5, :5] == 7).all()
    assert (filled[10:20, 10:20] == 1).all()
    assert filled[25, 25] == 2
    assert not (filled[30:] == 1).any()


def test_the_stroke_around_a_box_spares_every_object_and_stays_in_the_frame() -> None:
    boxes = {1: (10.0, 10.0, 30.0, 30.0), 2: (28.0, 5.0, 60.0, 40.0)}
    filled = fill_boxes(np.zeros((40, 60), np.uint8), boxes)
    drawn = rasterize(surround(boxes, filled, 1.0), 40, 60)
    assert (drawn[filled > 0] == -1).mean() > 0.98  # a stroke's width may touch a rival's border
    assert drawn[20, 6] == 0
    assert set(np.unique(drawn)) == {-1, 0}


def test_a_box_is_a_round_of_its_own(tiny_model: Model, clip: NDArray[np.uint8]) -> None:
    session = Session(tiny_model, clip)
    masks = session.interact(boxes={2: {3: (10, 10, 30, 30)}})
    assert session.interacted == [2]
    assert session.objects.tags == [3]
    assert (masks[2] == 3).any()
