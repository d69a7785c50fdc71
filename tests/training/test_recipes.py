"""One step of each recipe on a tiny batch: every part of the network learns, and equal steps give equal losses."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from siaf.model.config import InteractionConfig, PropagationConfig
from siaf.model.interaction import InteractionNet
from siaf.model.propagation import FrameFeatures, FrameMemory, PropagationNet
from siaf.training.interaction import InteractionLoss, InteractionRecipe
from siaf.training.propagation import PropagationLoss, PropagationRecipe, start_as_matching


@pytest.fixture(scope="module")
def clips() -> dict[str, Tensor]:
    """Two clips of three frames, 65×65, with two moving squares."""
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 60, (2, 3, 65, 65, 3), dtype=np.uint8)
    labels = np.zeros((2, 3, 65, 65), np.int16)
    for t in range(3):
        for tag, (y, colour) in enumerate(((8, (220, 60, 40)), (38, (40, 80, 220))), 1):
            frames[:, t, y : y + 18, 5 + 6 * t : 25 + 6 * t] = colour
            labels[:, t, y : y + 18, 5 + 6 * t : 25 + 6 * t] = tag
    return {"frames": torch.from_numpy(frames), "labels": torch.from_numpy(labels)}


def without_gradient(net: nn.Module) -> set[str]:
    return {n for n, p in net.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())}


@pytest.fixture
def propagation() -> PropagationNet:
    torch.manual_seed(0)
    config = PropagationConfig(encoder="mobilenetv2", layers=1, dim=32, heads=2, matching="8+16")
    return PropagationNet(config)


def test_propagation_learns_from_a_clip(propagation: PropagationNet, clips: dict[str, Tensor]) -> None:
    torch.nn.init.normal_(propagation.LSTT.layers[0].short_term_attn.relative_emb_v)
    loss_of = PropagationLoss(propagation, PropagationRecipe(second_reference=0.0), steps=10, seed=0)
    loss = loss_of(clips, 0)
    loss.backward()
    # The mask token is in AOT's checkpoints, but nothing reads it; attention ignores a bias of all keys alike.
    assert without_gradient(propagation) <= {"LSTT.mask_token", "LSTT.layers.0.self_attn.linear_K.bias"}
    assert loss_of(clips, 0).item() == pytest.approx(loss.item())


@pytest.mark.parametrize(("transient", "frames"), [(0.0, [1, 1]), (1.0, [1, 2])])
def test_propagated_frames_may_enter_the_long_term_memory(
    propagation: PropagationNet,
    clips: dict[str, Tensor],
    monkeypatch: pytest.MonkeyPatch,
    transient: float,
    frames: list[int],
) -> None:
    read: list[int] = []
    propagate = propagation.propagate

    def record(features: FrameFeatures, long: FrameMemory, short: FrameMemory) -> tuple[Tensor, FrameMemory]:
        read.append(long[0][0].shape[1] // short[0][0].shape[1])
        return propagate(features, long, short)

    monkeypatch.setattr(propagation, "propagate", record)
    recipe = PropagationRecipe(second_reference=0.0, transient=transient)
    PropagationLoss(propagation, recipe, steps=10, seed=0)(clips, 0)
    assert read == frames


def test_an_untrained_network_already_matches(propagation: PropagationNet, clips: dict[str, Tensor]) -> None:
    """After `start_as_matching` a token's strongest memory token is itself."""
    propagation.eval()
    images = [clips["frames"][i, t].numpy() for i in range(2) for t in range(3)]
    start_as_matching(propagation, images)
    features = propagation.encode(torch.randn(1, 3, 65, 65))
    layer = propagation.LSTT.layers[0]
    with torch.no_grad():
        tokens = features.embedding.flatten(2).transpose(1, 2)
        query = layer.project(layer.attend(tokens, torch.zeros(1, 25, 32)))[1][0]
    assert torch.equal((query @ query.T).argmax(1), torch.arange(25))


def test_objects_that_enter_later_are_background(propagation: PropagationNet, clips: dict[str, Tensor]) -> None:
    labels = clips["labels"].clone()
    labels[:, 0][labels[:, 0] == 2] = 0
    loss_of = PropagationLoss(propagation, PropagationRecipe(), steps=10, seed=0)
    with torch.no_grad():
        assert torch.isfinite(loss_of({**clips, "labels": labels}, 3))


def test_interaction_learns_from_strokes(clips: dict[str, Tensor]) -> None:
    torch.manual_seed(0)
    config = InteractionConfig(encoder="mobilenetv2", dim=32, heads=2, head_dim=16, aspp_rates=(1, 2))
    net = InteractionNet(config)
    strokes = torch.full_like(clips["labels"], -1)
    strokes[:, 0, 15:18, 8:20] = 1
    strokes[:, 1, 45:48, 14:26] = 2
    strokes[:, 2, 60:63, 40:60] = 0
    previous = clips["labels"].roll(4, dims=-1)
    batch = {**clips, "strokes": strokes, "previous": previous}
    loss_of = InteractionLoss(net, InteractionRecipe(feedback=1.0), steps=10, seed=0)
    loss = loss_of(batch, 0)
    loss.backward()
    # Level and position only steer the sampling points, whose weights start at zero.
    assert without_gradient(net) <= {"across.across.linear_K.bias", "across.level_embedding"}
    assert loss.item() < 2


def test_a_second_pass_may_start_from_the_result_with_nothing_new_drawn(
    clips: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    net = InteractionNet(InteractionConfig(encoder="mobilenetv2", dim=32, heads=2, head_dim=16, aspp_rates=(1, 2)))
    strokes = torch.full_like(clips["labels"], -1)
    strokes[:, 0, 15:18, 8:20] = 1
    seen: list[tuple[Tensor, Tensor]] = []
    forward = net.forward

    def record(images: Tensor, strokes: Tensor, previous: Tensor, tags: Tensor) -> Tensor:
        seen.append((strokes, previous))
        return forward(images, strokes, previous, tags)

    monkeypatch.setattr(net, "forward", record)
    batch = {**clips, "strokes": strokes, "previous": torch.full_like(clips["labels"], -1)}
    for again in (1.0, 0.0):
        InteractionLoss(net, InteractionRecipe(feedback=1.0, again=again), steps=10, seed=0)(batch, 0)
    (first, nothing), (same, result), _, (corrections, _) = seen
    assert torch.equal(first, same) and not torch.equal(first, corrections)
    assert (nothing == -1).all() and (result >= 0).all()
