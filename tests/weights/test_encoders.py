"""ImageNet checkpoints become our encoders: the same features, at every depth and with more input channels."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import mobilenet_v2, resnet50, swin_b

from siaf.errors import StateError
from siaf.model.encoders import EncoderName, build_encoder
from siaf.weights.checkpoints import read_checkpoint
from siaf.weights.encoders import encoder_tensors, load_encoder
from siaf.weights.importing import import_checkpoint


def _resnet_levels(net: nn.Module, image: Tensor) -> list[Tensor]:
    x = net.maxpool(net.relu(net.bn1(net.conv1(image))))  # type: ignore[operator]
    levels = []
    for stage in (net.layer1, net.layer2, net.layer3):
        x = stage(x)  # type: ignore[operator]
        levels.append(x)
    return levels


def _mobilenet_levels(net: nn.Module, image: Tensor) -> list[Tensor]:
    x, levels = image, []
    for i, block in enumerate(net.features[:14]):  # type: ignore[index]
        x = block(x)
        if i in (3, 6, 13):
            levels.append(x)
    return levels


def _swin_levels(net: nn.Module, image: Tensor) -> list[Tensor]:
    x, levels = image, []
    for i, block in enumerate(net.features):  # type: ignore[arg-type]
        x = block(x)
        if i % 2 == 1:  # AOT puts a norm behind every stage; an untrained one here
            levels.append(F.layer_norm(x, x.shape[-1:]).permute(0, 3, 1, 2))
    return levels


@pytest.mark.parametrize(
    ("build", "name", "levels"),
    [
        (mobilenet_v2, "mobilenetv2", _mobilenet_levels),
        (resnet50, "resnet50", _resnet_levels),
        (swin_b, "swinb", _swin_levels),
    ],
)
def test_torchvisions_weights_give_torchvisions_features(
    build: Callable[[], nn.Module],
    name: EncoderName,
    levels: Callable[[nn.Module, Tensor], list[Tensor]],
    tmp_path: Path,
) -> None:
    torch.manual_seed(0)
    theirs = build().eval()
    torch.save(theirs.state_dict(), tmp_path / "x.pth")
    ours = build_encoder(name, "full", in_channels=5).eval()
    load_encoder(ours, tmp_path / "x.pth")
    image = torch.randn(1, 3, 65, 97) if name != "swinb" else torch.randn(1, 3, 256, 288)
    with torch.inference_mode():
        expected = levels(theirs, image)
        found = ours(torch.cat((image, torch.randn(1, 2, *image.shape[2:])), dim=1))
    for a, b in zip(expected, found, strict=False):
        assert torch.allclose(a, b, atol=1e-4 * float(a.abs().max()))


def test_microsofts_swin_is_recognised_by_its_names() -> None:
    with torch.device("meta"):
        own = build_encoder("swinb", "full").state_dict()
    state = {k: v for k, v in own.items() if not k.startswith("norm")}
    state |= {"norm.weight": torch.empty(1024), "norm.bias": torch.empty(1024), "head.weight": torch.empty(2, 1024)}
    state |= {"layers.0.blocks.1.attn_mask": torch.empty(64, 49, 49)}
    part = encoder_tensors(state, "x")
    assert part is not None and part.architecture == "swinb"
    assert part.tensors.keys() == {k for k in own if not k.startswith("norm")}


def test_an_encoder_imports_once_and_loads_at_every_depth(tmp_path: Path) -> None:
    torch.save({"state_dict": mobilenet_v2().state_dict()}, tmp_path / "x.pth")
    file = import_checkpoint(tmp_path / "x.pth", tmp_path / "encoder.safetensors")
    for depth in ("stride16", "aot", "full"):
        net = build_encoder("mobilenetv2", depth)  # type: ignore[arg-type]
        load_encoder(net, file)
        assert torch.equal(net.stem.weight, read_checkpoint(tmp_path / "x.pth").network.tensors["features.0.0.weight"])


def test_another_encoder_and_an_incomplete_one_are_refused(tmp_path: Path) -> None:
    state = mobilenet_v2().state_dict()
    torch.save(state, tmp_path / "x.pth")
    with pytest.raises(StateError, match="x.pth: holds a mobilenetv2, but the model has a resnet50"):
        load_encoder(build_encoder("resnet50", "full"), tmp_path / "x.pth")
    del state["features.18.0.weight"]
    torch.save(state, tmp_path / "x.pth")
    with pytest.raises(StateError, match=r"1 tensors differ from mobilenetv2: features\.18\.0\.weight: None"):
        read_checkpoint(tmp_path / "x.pth")
