"""A network made fast for inference says what it said before."""

import pytest
import torch
from torch import nn
from torchvision.ops.misc import FrozenBatchNorm2d

from siaf.model.config import INTERACTION, PROPAGATION
from siaf.model.encoders import EncoderName, build_encoder
from siaf.model.folding import for_inference
from siaf.model.gated import build_propagation
from siaf.model.interaction import InteractionNet


def with_lively_norms(net: nn.Module) -> nn.Module:
    """Norms that do something, as after training; fresh ones are close to the identity."""
    generator = torch.Generator().manual_seed(0)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d | FrozenBatchNorm2d):
            for tensor, low, high in (
                (module.weight, 0.5, 1.0),
                (module.bias, -0.2, 0.2),
                (module.running_mean, -0.2, 0.2),
                (module.running_var, 0.8, 1.2),
            ):
                tensor.data.uniform_(low, high, generator=generator)
    return net.eval().requires_grad_(False)


def norms(net: nn.Module) -> int:
    return sum(isinstance(m, nn.BatchNorm2d | FrozenBatchNorm2d) for m in net.modules())


@pytest.mark.parametrize("name", ["mobilenetv2", "resnet50", "swinb"])
def test_a_folded_encoder_gives_the_same_maps(name: EncoderName) -> None:
    torch.manual_seed(0)
    net = with_lively_norms(build_encoder(name, "aot"))
    image = torch.randn(1, 3, 64, 96)
    with torch.inference_mode():
        before = net(image)
        for_inference(net)
        after = net(image)
    assert norms(net) == 0
    for one, other in zip(before, after, strict=True):
        assert (one - other).abs().max() <= 1e-4 * one.abs().max()


def test_a_folded_interaction_network_gives_the_same_logits() -> None:
    torch.manual_seed(0)
    net = with_lively_norms(InteractionNet(INTERACTION["siaf-t"]))
    strokes = torch.full((1, 2, 65, 97), -1)
    strokes[0, 0, 20:30, 20:30] = 1
    given = torch.randn(1, 2, 3, 65, 97), strokes, torch.full_like(strokes, -1), torch.tensor([[0, 1]])
    with torch.inference_mode():
        before = net(*given)
        for_inference(net)
        after = net(*given)
    assert norms(net) == 0
    assert (before - after).abs().max() <= 1e-4 * before.abs().max()


@pytest.mark.parametrize("name", ["siaf-t", "aott", "deaott"])
def test_a_folded_propagation_network_gives_the_same_logits(name: str) -> None:
    torch.manual_seed(0)
    net = with_lively_norms(build_propagation(PROPAGATION[name]))
    image, one_hot = torch.randn(1, 3, 65, 97), torch.zeros(1, 11, 65, 97)
    one_hot[:, 0], one_hot[:, 0, 20:40, 20:40], one_hot[:, 1, 20:40, 20:40] = 1, 0, 1

    def answer() -> torch.Tensor:
        features = net.encode(image)
        memory = net.reference(features, one_hot)
        return net.propagate(features, memory, memory)[0]

    with torch.inference_mode():
        before = answer()
        for_inference(net)
        after = answer()
    assert (before - after).abs().max() <= 1e-4 * before.abs().max()
