"""Where the network is unsure, colours decide; where it is sure, and where the user drew, they do not."""

import numpy as np
import torch
from numpy.typing import NDArray

from siaf import Scribble
from siaf.probabilities import Probabilities
from siaf.refinement import refine_mask

TAGS = np.array([0, 4, 9], np.uint8)


def picture() -> NDArray[np.uint8]:
    """A red and a blue square on noisy green."""
    rng = np.random.default_rng(0)
    frame = rng.integers(0, 40, (96, 128, 3), np.uint8)
    frame[..., 1] += 120
    grain = rng.integers(0, 20, (50, 40, 3))
    frame[20:70, 10:50] = np.array((200, 30, 30)) + grain
    frame[20:70, 70:110] = np.array((30, 30, 200)) + grain
    return frame


def probabilities(red: NDArray[np.float32], blue: NDArray[np.float32]) -> Probabilities:
    channels = np.stack((1 - np.maximum(red, blue), red, blue)).astype(np.float32)
    return Probabilities(torch.from_numpy(channels), TAGS, (96, 128), align_corners=True)


def blob(rows: slice, columns: slice, value: float, around: float) -> NDArray[np.float32]:
    field = np.full((96, 128), 0.02, np.float32)
    field[max(0, rows.start - 12) : rows.stop + 12, max(0, columns.start - 12) : columns.stop + 12] = around
    field[rows, columns] = value
    return field


def test_an_unsure_border_moves_to_the_edge_of_the_colour() -> None:
    red = blob(slice(28, 62), slice(18, 42), 0.97, 0.4)
    blue = blob(slice(28, 62), slice(78, 102), 0.97, 0.6)
    mask = refine_mask(picture(), probabilities(red, blue), [])
    truth = np.zeros((96, 128), np.uint8)
    truth[20:70, 10:50], truth[20:70, 70:110] = 4, 9
    for tag in (4, 9):
        both, either = (mask == tag) & (truth == tag), (mask == tag) | (truth == tag)
        assert both.sum() / either.sum() > 0.9


def test_what_the_network_is_sure_of_stands() -> None:
    red = blob(slice(10, 80), slice(5, 60), 0.99, 0.02)
    mask = refine_mask(picture(), probabilities(red, np.zeros((96, 128), np.float32)), [])
    sure = red > 0.9
    assert ((mask == 4) & sure).sum() / ((mask == 4) | sure).sum() > 0.97  # all but the pixels that scaling blurs


def test_a_background_stroke_is_background() -> None:
    red = blob(slice(28, 62), slice(18, 42), 0.7, 0.4)
    stroke = Scribble(0, np.array([[30.0, 25.0], [30.0, 65.0]]), width=5)
    mask = refine_mask(picture(), probabilities(red, np.zeros((96, 128), np.float32)), [stroke])
    assert (mask[25:66, 30] == 0).all()


def test_equal_input_gives_equal_masks() -> None:
    red = blob(slice(28, 62), slice(18, 42), 0.97, 0.4)
    inputs = picture(), probabilities(red, red[:, ::-1]), []
    assert np.array_equal(refine_mask(*inputs), refine_mask(*inputs))
