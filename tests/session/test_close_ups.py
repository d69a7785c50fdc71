"""Close-ups: small objects of large frames are drawn again where they are seen larger; others are not."""

import numpy as np
import pytest
import torch

from siaf.masks import Bitmap
from siaf.model.probabilities import CloseUp, Probabilities
from siaf.scribbles import Scribble
from siaf.session.close_ups import shows_more, smallest, window_of
from siaf.session.refinement import refine
from siaf.weights.loading import load_segmenter

NONE = np.zeros((0, 2))
SIZE = (1080, 1920)


def blob(rows: slice, cols: slice, size: tuple[int, int] = (270, 480)) -> Bitmap:
    mask = np.zeros(size, bool)
    mask[rows, cols] = True
    return mask


def test_a_window_holds_the_object_its_points_and_what_is_around_it() -> None:
    window = window_of(blob(slice(100, 110), slice(200, 220)), np.array([[900.0, 380.0]]), None, SIZE)
    assert window is not None
    left, top, right, bottom = window
    assert left < 800 and right > 900 and top < 380 and bottom > 440  # 4 pixels of the frame to one of the mask
    assert (right - left) >= 1.6 * 100 and (bottom - top) <= 300
    assert all(edge % 16 == 0 for edge in window)


def test_a_box_says_by_itself_where_to_look() -> None:
    window = window_of(blob(slice(0, 0), slice(0, 0)), NONE, (1850.0, 1000.0, 1920.0, 1080.0), SIZE)
    assert window is not None
    assert window[0] < 1850 and window[1] < 1000 and window[2:] == (1920, 1080)


@pytest.mark.parametrize(
    ("mask", "size"),
    [
        (blob(slice(0, 0), slice(0, 0)), SIZE),  # nowhere
        (blob(slice(20, 250), slice(50, 400)), SIZE),  # as large as the frame
        (blob(slice(60, 70), slice(60, 70), (120, 214)), (480, 854)),  # in a frame that is seen large as it is
    ],
)
def test_no_close_up_of_what_it_would_show_little_finer(mask: Bitmap, size: tuple[int, int]) -> None:
    assert window_of(mask, NONE, None, size) is None


def test_little_finer_is_enough_if_one_says_so() -> None:
    small = blob(slice(60, 70), slice(60, 70), (120, 214)), NONE, None, (480, 854)
    assert window_of(*small) is None
    window = window_of(*small, little=True)
    assert window is not None
    assert window[0] < 240 and window[2] > 280
    half = blob(slice(10, 110), slice(10, 120), (120, 214)), NONE, None, (480, 854)
    assert window_of(*half, little=True) is None


def test_frames_that_are_seen_large_as_they_are_need_no_look() -> None:
    assert not shows_more(288, 512)  # every part of it would be seen twice as large as it is, as all of it is
    assert shows_more(480, 854) and shows_more(1080, 1920) and shows_more(2160, 3840)


def test_the_smallest_objects_are_looked_at_when_there_are_many() -> None:
    windows = {tag: (0, 0, 100 + tag, 100) for tag in range(1, 12)}
    assert list(smallest(windows)) == list(range(1, 9))
    assert smallest({3: (0, 0, 9, 9)}) == {3: (0, 0, 9, 9)}


@pytest.mark.parametrize("align_corners", [True, False])
def test_within_a_close_up_its_probabilities_count_and_the_rest_stays(align_corners: bool) -> None:
    torch.manual_seed(0)
    channels = torch.randn(3, 9, 12).mul(3).softmax(0)
    tags = np.array((0, 4, 9), np.uint8)
    plain = Probabilities(channels, tags, (90, 120), align_corners)
    seen = torch.zeros(8, 8)
    seen[:4] = 1.0
    closer = Probabilities(channels, tags, (90, 120), align_corners, {9: CloseUp((40, 20, 80, 60), seen)})
    inside = np.zeros((90, 120), bool)
    inside[20:60, 40:80] = True
    own = closer.of(9)
    assert np.array_equal(own[~inside], plain.of(9)[~inside])
    assert own[22:36, 42:78].min() > 0.999 and own[44:58, 42:78].max() < 0.001
    # The likeliest tag: the close-up's object, else the stronger of the other one and what both leave.
    other = plain.of(4)
    expected = np.where(own > np.maximum(other, 0.5), 9, np.where(other > np.maximum(own, 1 - other), 4, 0))
    found = closer.likeliest()
    clear = inside & (np.abs(own - 0.5) > 0.4) & (np.abs(2 * other - 1) > 0.1)
    assert clear.sum() > 400 and np.array_equal(found[clear], expected[clear])
    assert np.array_equal(found[~inside], plain.likeliest()[~inside])


def test_a_small_object_of_a_large_frame_gets_its_own_outline() -> None:
    """A disc of 24 pixels at 4K: less than seven pixels of what the segmenter sees of the whole frame."""
    segmenter = load_segmenter(torch.device("cpu"))
    assert segmenter is not None
    height, width = 2160, 3840
    noise = np.random.default_rng(0).normal(0, 6, (height, width, 1))
    frame = np.clip(110 + noise, 0, 255).astype(np.uint8).repeat(3, 2)
    y, x = np.ogrid[:height, :width]
    disc = (x - 2600) ** 2 + (y - 900) ** 2 < 12**2
    frame[disc] = (200, 60, 40)
    guess = torch.zeros(2, height // 16, width // 16)
    guess[1, 900 // 16 - 1 : 900 // 16 + 2, 2600 // 16 - 1 : 2600 // 16 + 2] = 0.9
    guess[0] = 1 - guess[1]
    rough = Probabilities(guess, np.array((0, 7), np.uint8), (height, width), align_corners=False)
    stroke = Scribble(7, np.array([[2594.0, 900.0], [2606.0, 900.0]]))
    found = refine(segmenter, frame, rough, [stroke], {}, None)
    assert found.close_ups.keys() == {7}
    mask = found.likeliest() == 7
    assert (mask & disc).sum() / (mask | disc).sum() > 0.8
    # A correction at its edge: what the interaction network makes of it then, nothing, does not count. The first stroke
    # still stands, as in a session.
    nothing = torch.zeros_like(guess)
    nothing[0] = 1
    beside = Scribble(0, np.array([[2580.0, 900.0]]))
    forgotten = Probabilities(nothing, rough.tags, rough.size, align_corners=False)
    before = np.where(mask, 7, 0).astype(np.uint8)
    again = refine(segmenter, frame, forgotten, [beside], {}, before, standing=[stroke]).likeliest() == 7
    assert (again & disc).sum() / (again | disc).sum() > 0.8


def test_a_correction_is_looked_at_closer_only_if_one_asks_for_it() -> None:
    """An object of a sixth of a frame's width at 480 pixels: a close-up shows it 1.7 times as fine."""
    segmenter = load_segmenter(torch.device("cpu"))
    assert segmenter is not None
    frame = np.full((480, 854, 3), 110, np.uint8)
    frame[200:280, 400:540] = (200, 60, 40)
    guess = torch.zeros(2, 120, 214)
    guess[1, 50:70, 100:135] = 0.9
    guess[0] = 1 - guess[1]
    rough = Probabilities(guess, np.array((0, 7), np.uint8), (480, 854), align_corners=False)
    stroke = Scribble(7, np.array([[420.0, 240.0], [520.0, 240.0]]))
    had = np.zeros((480, 854), np.uint8)
    assert refine(segmenter, frame, rough, [stroke], {}, had).close_ups.keys() == {7}
    assert not refine(segmenter, frame, rough, [stroke], {}, had, close_ups=False).close_ups
    had[200:280, 400:540] = 7
    assert not refine(segmenter, frame, rough, [stroke], {}, had).close_ups
    assert refine(segmenter, frame, rough, [stroke], {}, had, closer={7}).close_ups.keys() == {7}
