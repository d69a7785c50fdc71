"""Boundary refinement: boundaries move to where the picture has them, and nothing else changes."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from siaf.model.boundary import BoundaryRefiner, found_of, near, picture_size, refine_boundaries
from siaf.model.loaded import Model
from siaf.weights import load_model

CELLS = (21, 33)


def squares(*boxes: tuple[int, int, int, int]) -> Tensor:
    """Logits on the grid of `CELLS`: background, then an object in each box (left, top, right, bottom) of cells."""
    logits = torch.full((1 + len(boxes), *CELLS), -3.0)
    for k, (left, top, right, bottom) in enumerate(boxes, 1):
        logits[k, top:bottom, left:right] = 3
    logits[0] = 0
    return F.avg_pool2d(logits[None], 3, stride=1, padding=1, count_include_pad=False)[0]


def painted(*boxes: tuple[float, float, float, float], colour: tuple[int, int, int] = (210, 40, 40)) -> Tensor:
    """A grey picture with a rectangle for each box in cells, uint8 1×3×H×W."""
    picture = torch.full((1, 3, *picture_size(*CELLS)), 110, dtype=torch.uint8)
    for left, top, right, bottom in boxes:
        rows, columns = (slice(round(6 * a), round(6 * b)) for a, b in ((top, bottom), (left, right)))
        picture[0, :, rows, columns] = torch.tensor(colour, dtype=torch.uint8)[:, None, None]
    return picture


@pytest.mark.parametrize(
    ("cells", "pixels"),
    [((81, 145), (481, 865)), ((109, 193), (481, 854)), ((53, 93), (313, 553)), ((1, 1), (1, 1))],
    ids=["input 321", "input 433: no more pixels", "input 209: fewer", "one cell"],
)
def test_sizes_of_pictures(cells: tuple[int, int], pixels: tuple[int, int]) -> None:
    assert picture_size(*cells) == pixels


@pytest.fixture(scope="module")
def trained() -> BoundaryRefiner:
    net = load_model("siaf-t", device="cpu").propagation.boundary  # type: ignore[attr-defined]
    assert isinstance(net, BoundaryRefiner)
    return net


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


def iou(a: Tensor, b: Tensor) -> float:
    return float((a & b).sum() / (a | b).sum())


def test_a_margin_is_what_an_object_has_before_all_others() -> None:
    logits = torch.tensor([0.0, 2.0, 5.0]).view(3, 1, 1)
    found = found_of(logits, (1, 1))
    assert found.margin.flatten().tolist() == pytest.approx([-3, 3])
    assert found.rival.flatten().tolist() == pytest.approx([5, 2])
    alone = found_of(logits[:2], (1, 1))
    assert (alone.margin.item(), alone.rival.item()) == (2, -8)  # cut off where there is no other object


def test_near_is_four_cells_on_both_sides_of_a_boundary() -> None:
    margin = torch.full((1, 1, 20), -1.0)
    margin[..., :10] = 1
    assert near(margin).flatten().tolist() == [0] * 6 + [1] * 8 + [0] * 6
    assert not near(torch.ones(1, 9, 9)).any()


def test_a_speck_is_left_as_it_is() -> None:
    margin = torch.full((1, 40, 40), -1.0)
    margin[:, 2:12, 2:22] = 1
    alone = near(margin)
    margin[:, 30, 30] = 1  # less than a hundredth of the rectangle
    assert torch.equal(near(margin), alone)
    margin[:, 30:32, 30] = 1
    assert near(margin)[0, 28, 28] == 1


def test_a_new_network_changes_nothing() -> None:
    logits = squares((5, 5, 15, 15), (15, 5, 25, 12))
    torch.manual_seed(0)
    drawn = refine_boundaries(BoundaryRefiner(), painted(), logits)
    plain = found_of(logits, (drawn.shape[1], drawn.shape[2])).margin
    assert torch.equal(drawn[1:], plain)
    assert not drawn[0].any()


@pytest.mark.parametrize("colour", [(40, 40, 40), (180, 180, 170)])
def test_the_boundary_goes_where_the_picture_has_it(trained: BoundaryRefiner, colour: tuple[int, int, int]) -> None:
    picture = painted((8.5, 6.5, 22.5, 16.5), colour=colour)
    truth = picture[0, 0] == colour[0]
    logits = squares((8, 6, 22, 16))
    before, after = (refine_boundaries(net, picture, logits)[1] > 0 for net in (BoundaryRefiner(), trained))
    assert iou(after, truth) > iou(before, truth) + 0.03


def test_what_was_not_found_does_not_appear(trained: BoundaryRefiner) -> None:
    logits = squares((8, 6, 22, 16), (0, 0, 0, 0))
    drawn = refine_boundaries(trained, painted((8, 6, 22, 16)), logits)
    assert (drawn[1] > 0).any()
    assert not (drawn[2] > 0).any()
    assert refine_boundaries(trained, painted(), logits[:1]).shape == (1, *picture_size(*CELLS))


def test_a_boundary_between_two_objects_stays(trained: BoundaryRefiner) -> None:
    logits = squares((5, 6, 15, 16), (15, 6, 25, 16))
    picture = painted((5, 6, 17, 16))  # the colour of the first goes on into the second
    before, after = (refine_boundaries(net, picture, logits).argmax(0) for net in (BoundaryRefiner(), trained))
    inner = np.s_[50:80, 84:104]  # around the line between them
    assert (before[inner] == after[inner]).float().mean() > 0.9


def test_a_step_draws_finer_what_it_would_find_anyway() -> None:
    model = load_model("siaf-t", device="cpu")
    assert isinstance(model, Model)
    frame = np.full((96, 128, 3), 110, np.uint8)
    frame[30:70, 40:90] = (210, 40, 40)
    mask = np.zeros((1, 96, 128), np.uint8)
    mask[:, 30:70, 40:90] = 1
    (features,) = model.encode_batch([frame])
    (memory,) = model.reference_batch([features], [mask])
    (finer,) = model.propagate([features], [memory], [memory], [[1]], (96, 128))
    plain_model = load_model("siaf-t", device="cpu")
    assert isinstance(plain_model, Model)
    plain_model.propagation.boundary = None
    (plain,) = plain_model.propagate([features], [memory], [memory], [[1]], (96, 128))
    assert torch.equal(finer.scores, plain.scores)
    for ours, theirs in zip(finer.memory, plain.memory, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    truth = torch.from_numpy(mask[0] > 0)
    assert iou(finer.labels > 0, truth) > 0.98
