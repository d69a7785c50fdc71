"""AFI: many frames and objects in one pass; tags are interchangeable; frames talk to each other."""

from typing import get_args

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from siaf.model.config import INTERACTION, InteractionConfig
from siaf.model.encoders import EncoderName, build_encoder
from siaf.model.identity import merge_groups, split_groups
from siaf.model.interaction import UNMARKED, IdentityEmbedding, InteractionNet
from siaf.model.priors import geodesic_distance, stroke_priors


@pytest.fixture(scope="module")
def net() -> InteractionNet:
    torch.manual_seed(0)
    return InteractionNet(
        InteractionConfig(encoder="mobilenetv2", dim=32, heads=2, head_dim=16, aspp_rates=(2, 3))
    ).eval()


def prompts(frames: int = 2) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    images = torch.randn(1, frames, 3, 65, 81, generator=torch.Generator().manual_seed(1))
    strokes = torch.full((1, frames, 65, 81), UNMARKED)
    strokes[0, 0, 10:14, 10:30] = 3
    strokes[0, -1, 40:44, 50:70] = 7
    return images, strokes, torch.full_like(strokes, UNMARKED)


def run(net: InteractionNet, *inputs: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        out: torch.Tensor = net(*inputs)
    return out


def test_every_frame_gets_a_logit_for_every_asked_tag(net: InteractionNet) -> None:
    logits = run(net, *prompts(3), torch.tensor([[0, 3, 7]]))
    assert logits.shape == (1, 3, 3, 33, 41)


def test_a_stroke_on_one_frame_reaches_the_other(net: InteractionNet) -> None:
    images, strokes, previous = prompts()
    tags = torch.tensor([[0, 3, 7]])
    with_stroke = run(net, images, strokes, previous, tags)[:, 1]
    strokes = strokes.clone()
    strokes[:, 0] = UNMARKED
    assert not torch.allclose(with_stroke, run(net, images, strokes, previous, tags)[:, 1], atol=1e-5)


def test_the_order_of_frames_does_not_matter(net: InteractionNet) -> None:
    images, strokes, previous = prompts()
    tags = torch.tensor([[0, 3, 7]])
    forward = run(net, images, strokes, previous, tags)
    backward = run(net, images.flip(1), strokes.flip(1), previous.flip(1), tags)
    assert torch.allclose(forward, backward.flip(1), atol=1e-4)


def test_the_order_of_asked_tags_and_padding_do_not_matter(net: InteractionNet) -> None:
    plain = run(net, *prompts(), torch.tensor([[0, 3, 7]]))
    mixed = run(net, *prompts(), torch.tensor([[0, 7, 3, 3]]))
    assert torch.allclose(plain, mixed[:, :, [0, 2, 1]], atol=1e-4)


def test_labels_enter_the_stem_as_a_map_of_their_vectors_would() -> None:
    """Unmarked pixels have no identity: they are zero in every channel."""
    torch.manual_seed(0)
    embedding = IdentityEmbedding(4)
    labels = torch.randint(UNMARKED, 11, (2, 17, 23))
    vectors = torch.cat((embedding.vectors, torch.zeros(1, 4)))[labels].permute(0, 3, 1, 2)
    for stem in (nn.Conv2d(9, 6, 3, stride=2, padding=1), nn.Conv2d(9, 6, 7, stride=2, padding=3)):
        expected = F.conv2d(vectors, stem.weight[:, 3:7], None, stem.stride, stem.padding)
        assert torch.allclose(embedding(labels, stem, 3), expected, atol=1e-5)


@pytest.mark.parametrize("name", get_args(EncoderName))
def test_fusing_at_the_stem_is_convolving_all_channels(name: EncoderName) -> None:
    torch.manual_seed(0)
    encoder = build_encoder(name, "full", in_channels=5).eval()
    image = torch.randn(1, 5, 64, 96)
    stem = encoder.stem
    fused = F.conv2d(image[:, 3:], stem.weight[:, 3:], None, stem.stride, stem.padding)
    with torch.inference_mode():
        for apart, together in zip(encoder(image[:, :3], fused), encoder(image), strict=True):
            assert torch.allclose(apart, together, atol=1e-4 * float(together.abs().max()))


@pytest.mark.parametrize("name", ["siaf-r50", "siaf-swinb"])
def test_large_variants_differ_in_configuration_only(name: str) -> None:
    net = InteractionNet(INTERACTION[name]).eval()
    images, strokes, previous = (x[..., :64, :80] for x in prompts(1))
    assert run(net, images, strokes, previous, torch.tensor([[0, 3]])).shape[:3] == (1, 1, 2)


def test_geodesic_distance_follows_colour_not_air() -> None:
    """A wall of another colour between two points makes the way longer than around the same distance without it."""
    image = torch.zeros(1, 3, 9, 9)
    image[:, :, :, 4] = 1.0
    seeds = torch.zeros(1, 1, 9, 9, dtype=torch.bool)
    seeds[0, 0, 4, 0] = True
    distance = geodesic_distance(image, seeds)[0, 0]
    assert distance[4, 0] == 0
    assert distance[4, 3] == pytest.approx(3 * 0.02, abs=1e-5)
    assert distance[4, 8] > 2.0


def test_a_tag_without_strokes_has_no_prior() -> None:
    prior = stroke_priors(torch.rand(1, 3, 8, 8), torch.zeros(1, 2, 8, 8, dtype=torch.bool))
    assert prior.shape == (1, 2, 3, 8, 8)
    assert not prior.any()


def test_groups_of_objects_merge_without_overlap_and_split_back() -> None:
    torch.manual_seed(0)
    logits = [torch.randn(3, 6, 7) * 4, torch.randn(2, 6, 7) * 4]
    merged = merge_groups(logits)
    assert torch.allclose(merged.sum(0), torch.ones(6, 7), atol=1e-5)
    winner = merged.argmax(0)
    labels = split_groups(winner, [[1, 4], [2]])
    assert labels.shape == (2, 6, 7)
    assert torch.equal(labels[0], torch.tensor([0, 1, 4, 0])[winner])
    assert torch.equal(labels[1], torch.tensor([0, 0, 0, 2])[winner])


def test_one_group_merges_to_a_softmax() -> None:
    logits = torch.randn(4, 5, 5)
    assert torch.equal(merge_groups([logits]), logits.softmax(0))
