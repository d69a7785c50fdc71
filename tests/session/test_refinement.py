"""The segmenter draws prompted objects again; others, and frames without it, stay as the network has them."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from siaf.model.probabilities import Probabilities
from siaf.model.sam import SegmentAnything
from siaf.model.segmenter import Prompt, Segmenter
from siaf.scribbles import Scribble
from siaf.session.refinement import guess_from, points_of, refine
from siaf.weights.loading import load_segmenter

HEIGHT, WIDTH = 96, 128
DISC, SQUARE = (40, 50), (slice(20, 60), slice(90, 120))  # the disc's centre (x, y)


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    found = load_segmenter(torch.device("cpu"))
    assert found is not None
    return found


@pytest.fixture(scope="module")
def picture() -> NDArray[np.uint8]:
    """A red disc and a blue square on grey."""
    frame = np.full((HEIGHT, WIDTH, 3), 110, np.uint8)
    frame[disc()], frame[SQUARE] = (210, 40, 40), (30, 50, 220)
    return frame


def disc() -> NDArray[np.bool_]:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return (x - DISC[0]) ** 2 + (y - DISC[1]) ** 2 < 25**2


def rough() -> Probabilities:
    """The disc as the box around it, the square a little too small."""
    shares = np.full((3, HEIGHT, WIDTH), 0.05, np.float32)
    shares[1, 25:75, 15:65] = 0.9
    shares[2, 24:56, 94:116] = 0.9
    shares[0] = 1 - shares[1:].max(0)
    return Probabilities(torch.from_numpy(shares), np.array((0, 1, 2), np.uint8), (HEIGHT, WIDTH), False)


def iou(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return float((a & b).sum() / (a | b).sum())


STROKES = [Scribble(1, np.array([[30.0, 45.0], [50.0, 55.0]])), Scribble(0, np.array([[20.0, 72.0], [60.0, 72.0]]))]


def test_edges_follow_the_picture(segmenter: Segmenter, picture: NDArray[np.uint8]) -> None:
    before, after = rough(), refine(segmenter, picture, rough(), STROKES, {}, None)
    assert iou(before.likeliest() == 1, disc()) < 0.8
    assert iou(after.likeliest() == 1, disc()) > 0.93


def test_what_was_not_prompted_stays_as_it_was(segmenter: Segmenter, picture: NDArray[np.uint8]) -> None:
    after = refine(segmenter, picture, rough(), STROKES, {}, None)
    assert np.abs(after.of(2) - rough().of(2)).mean() < 0.01


def test_a_box_alone_is_enough(segmenter: Segmenter, picture: NDArray[np.uint8]) -> None:
    after = refine(segmenter, picture, rough(), [], {2: (90.0, 20.0, 120.0, 60.0)}, None)
    truth = np.zeros((HEIGHT, WIDTH), bool)
    truth[SQUARE] = True
    assert iou(rough().likeliest() == 2, truth) < 0.6
    assert iou(after.likeliest() == 2, truth) > 0.7


def test_a_mask_known_as_pixels_comes_back_as_it_was(segmenter: Segmenter) -> None:
    mask = disc().astype(np.uint8) * 3
    guess = guess_from(mask, [3], segmenter)
    assert guess.tags.tolist() == [0, 3]
    assert iou(guess.likeliest() == 3, disc()) > 0.98


def test_points_stand_for_what_was_before_but_not_near_what_was_denied(picture: NDArray[np.uint8]) -> None:
    asked: list[Prompt] = []

    class Spy(Segmenter):
        def segment(self, frame: NDArray[np.uint8], prompt: Prompt) -> torch.Tensor:
            asked.append(prompt)
            assert prompt.mask is not None
            return prompt.mask

    before = np.zeros((HEIGHT, WIDTH), np.uint8)
    before[30:70, 10:70] = 1
    spy = Spy(SegmentAnything(), torch.device("cpu"))
    denied = Scribble(0, np.array([[20.0, 50.0]]))
    refine(spy, picture, guess_from(before, [1], spy), [denied, Scribble(1, np.array([[40.0, 32.0]]))], {}, before)
    clicked, *inside = asked[0].positive.tolist()
    assert clicked == [40, 32]
    assert len(inside) == 6
    assert all(before[int(y), int(x)] == 1 and np.hypot(x - 20, y - 50) > 9 for x, y in inside)


def test_points_lie_along_strokes_and_say_what_they_mean() -> None:
    strokes = [
        Scribble(1, np.array([[0.0, 0.0], [60.0, 0.0]])),
        Scribble(1, np.array([[5.0, 9.0]])),
        Scribble(2, np.array([[7.0, 7.0]])),
        Scribble(1, np.array([[8.0, 8.0]]), polarity="negative"),
        Scribble(2, np.array([[9.0, 9.0]]), polarity="negative"),
        Scribble(0, np.array([[1.0, 2.0]])),
    ]
    on, beside = points_of(strokes, 1)
    assert on.tolist() == [[5, 0], [15, 0], [25, 0], [35, 0], [45, 0], [55, 0], [5, 9]]
    assert beside.tolist() == [[7, 7], [8, 8], [1, 2]]
    assert points_of([], 1)[0].shape == (0, 2)


def test_a_frame_is_encoded_once_and_so_are_few_kept(picture: NDArray[np.uint8]) -> None:
    torch.manual_seed(0)
    net, encoded = SegmentAnything().eval(), []
    net.image_encoder.neck.register_forward_hook(lambda *_: encoded.append(1))
    segmenter = Segmenter(net, torch.device("cpu"))
    prompt = Prompt(np.array([[40.0, 50.0]]), np.zeros((0, 2)), None, None)
    first = segmenter.segment(picture, prompt)
    assert torch.equal(segmenter.segment(picture.copy(), prompt), first)
    assert len(encoded) == 1
    for shade in range(16):
        segmenter.embed(np.full((16, 16, 3), shade, np.uint8))
    segmenter.segment(picture, prompt)
    assert len(encoded) == 18


def test_an_embedding_may_be_made_in_parts_and_finished_by_whoever_needs_it(picture: NDArray[np.uint8]) -> None:
    torch.manual_seed(0)
    net, encoded = SegmentAnything().eval(), []
    expected = Segmenter(net, torch.device("cpu")).embed(picture)
    net.image_encoder.backbone.stages[0][0].register_forward_hook(lambda *_: encoded.append(1))
    segmenter = Segmenter(net, torch.device("cpu"))
    assert segmenter.embed_part(picture) and segmenter.embed_part(picture.copy())
    found = segmenter.embed(picture)
    assert len(encoded) == 1
    assert not segmenter.embed_part(picture)
    assert torch.equal(found.cells, expected.cells) and torch.equal(found.edges, expected.edges)
    other = np.ascontiguousarray(picture[::-1])
    parts = 1
    while segmenter.embed_part(other):
        parts += 1
    assert parts == 13  # twelve blocks and the neck
    assert len(encoded) == 2
    segmenter.embed(other)
    assert len(encoded) == 2


@pytest.mark.parametrize(
    ("frame", "mask"),
    [((480, 854), (144, 256)), ((1080, 1920), (144, 256)), ((854, 480), (256, 144)), ((72, 96), (36, 48))],
)
def test_masks_have_four_pixels_a_cell_and_small_frames_grow_twofold(
    segmenter: Segmenter, frame: tuple[int, int], mask: tuple[int, int]
) -> None:
    assert segmenter.mask_size(*frame) == mask
