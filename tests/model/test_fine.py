"""The fine decoder: labels move with what they lie on, begins as the decoder's own answer, is fair to all tags."""

import pytest
import torch
from torch import Tensor

from siaf.model.fine import FineDecoder, LabelTransport, stride_four


@pytest.fixture
def fine() -> FineDecoder:
    torch.manual_seed(0)
    return FineDecoder((24, 32, 96), 64).eval()


def unit(*shape: int, seed: int = 0) -> Tensor:
    found = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(found, dim=1)


def square(top: int, left: int, size: tuple[int, int] = (40, 50)) -> Tensor:
    """Background and one object of 8×8 cells, 1×2×h×w."""
    object_ = torch.zeros(1, 1, *size)
    object_[..., top : top + 8, left : left + 8] = 1
    return torch.cat((1 - object_, object_), dim=1)


@torch.inference_mode()
def test_labels_follow_the_pixels_that_they_lay_on() -> None:
    transport = LabelTransport(32)
    transport.sharpness.fill_(5.0)
    before = unit(1, 32, 40, 50)
    now = before.roll((3, -5), (2, 3))
    moved = transport(now, before, square(15, 20))
    expected = square(18, 15)
    assert (moved - expected).abs()[..., 8:32, 8:42].max() < 0.05


@torch.inference_mode()
def test_looking_only_where_objects_were_near_changes_nothing() -> None:
    transport = LabelTransport(32)
    query, key = unit(1, 32, 40, 50, seed=1), unit(1, 32, 40, 50, seed=2)
    corner = square(0, 44)
    everywhere = corner.clone()
    everywhere[:, 0, 39, 0] -= 1e-6  # a trace of something else far away: the whole map is looked at
    assert (transport(query, key, corner) - transport(query, key, everywhere)).abs().max() < 1e-4


@torch.inference_mode()
def test_without_objects_all_is_background() -> None:
    nothing = torch.cat((torch.ones(1, 1, 20, 30), torch.zeros(1, 3, 20, 30)), dim=1)
    assert torch.equal(LabelTransport(32)(unit(1, 32, 20, 30), unit(1, 32, 20, 30), nothing), nothing)


@torch.inference_mode()
def test_untrained_it_hands_on_the_decoders_answer(fine: FineDecoder) -> None:
    scores = torch.rand(1, 3, 40, 50).softmax(1)
    key, trunk = unit(1, 32, 40, 50), torch.randn(1, 1, 24, 40, 50)
    refined = fine(scores, trunk, key, (key, scores), torch.ones(1, 3, dtype=torch.bool))
    assert torch.allclose(refined.softmax(1), scores, atol=1e-5)


@torch.inference_mode()
def test_tags_are_treated_alike(fine: FineDecoder) -> None:
    """Whatever the head has learnt, two objects that change their tags change their answers."""
    for parameter in fine.mix.parameters():
        parameter.normal_(generator=torch.Generator().manual_seed(1))
    scores, labels = torch.rand(1, 4, 40, 50).softmax(1), torch.rand(1, 4, 40, 50).softmax(1)
    key, trunk = unit(1, 32, 40, 50), torch.randn(1, 4, 24, 40, 50)
    valid = torch.ones(1, 4, dtype=torch.bool)
    order = [0, 3, 2, 1]
    refined = fine(scores, trunk, key, (key, labels), valid)
    swapped = fine(scores[:, order], trunk[:, order], key, (key, labels[:, order]), valid)
    assert torch.allclose(refined[:, order], swapped, atol=1e-4)


@torch.inference_mode()
def test_channels_that_stand_for_nothing_are_no_rivals(fine: FineDecoder) -> None:
    for parameter in fine.mix.parameters():
        parameter.normal_(generator=torch.Generator().manual_seed(1))
    scores, key = torch.rand(1, 3, 40, 50).softmax(1), unit(1, 32, 40, 50)
    trunk, labels = torch.randn(1, 1, 24, 40, 50), square(15, 20)
    valid = torch.tensor([[True, True, False]])
    more = torch.cat((labels, torch.rand(1, 1, 40, 50)), dim=1)
    padded = fine(scores, trunk, key, (key, more), valid)[:, :2]
    alone = fine(scores[:, :2], trunk, key, (key, labels), valid[:, :2])
    assert torch.allclose(padded, alone, atol=1e-4)


def test_a_cell_holds_the_share_of_every_label_around_its_pixel() -> None:
    labels = torch.zeros(1, 9, 9, dtype=torch.uint8)
    labels[:, :, 5:] = 2
    shares = stride_four(labels, 3)
    assert shares.shape == (1, 3, 3, 3)
    assert shares[0, 2, 1].tolist() == pytest.approx([0, 0.4, 1])  # columns 2–6 around column 4: two of five
    assert torch.allclose(shares.sum(1), torch.ones(1, 3, 3))
