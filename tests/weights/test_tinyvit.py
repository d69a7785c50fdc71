"""A distilled Segment Anything encoder in an ONNX file becomes our Tiny-ViT, or is refused."""

from pathlib import Path

import onnx
import pytest
import torch
from encoder_onnx import write_onnx
from onnx import helper

from siaf.errors import InputError, StateError
from siaf.model.encoders import build_encoder
from siaf.model.tinyvit import TinyViTEncoder
from siaf.weights.encoders import load_encoder
from siaf.weights.importing import import_checkpoint
from siaf.weights.tinyvit import read_onnx


@pytest.fixture(scope="module")
def net() -> TinyViTEncoder:
    torch.manual_seed(0)
    net = TinyViTEncoder(4)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter)
    return net


def test_every_tensor_finds_its_place(net: TinyViTEncoder, tmp_path: Path) -> None:
    write_onnx(net, tmp_path / "encoder.onnx")
    part = read_onnx(tmp_path / "encoder.onnx")
    assert part.architecture == "tinyvit"
    assert part.tensors.keys() == net.state_dict().keys()
    for name, value in net.state_dict().items():
        assert torch.equal(part.tensors[name], value), name


def test_it_imports_and_loads_into_an_encoder_with_more_inputs(net: TinyViTEncoder, tmp_path: Path) -> None:
    write_onnx(net, tmp_path / "encoder.onnx")
    file = import_checkpoint(tmp_path / "encoder.onnx", tmp_path / "encoder.safetensors")
    ours = build_encoder("tinyvit", "full", in_channels=5)
    load_encoder(ours, file)
    image = torch.randn(1, 3, 33, 33)
    with torch.inference_mode():
        found = ours(torch.cat((image, torch.randn(1, 2, 33, 33)), dim=1))
        for a, b in zip(net(image), found, strict=True):
            assert torch.allclose(a, b, rtol=1e-4)


def test_another_file_is_refused_by_name(net: TinyViTEncoder, tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(b"not ONNX at all")
    with pytest.raises(StateError, match="a.onnx: not an ONNX file"):
        read_onnx(tmp_path / "a.onnx")
    with pytest.raises(InputError, match="no such file"):
        read_onnx(tmp_path / "missing.onnx")
    onnx.save(helper.make_model(helper.make_graph([], "empty", [], [])), tmp_path / "b.onnx")
    with pytest.raises(StateError, match="has 0 convolutions, 0 linear layers"):
        read_onnx(tmp_path / "b.onnx")
    write_onnx(net, tmp_path / "c.onnx", leave_out="layers.2.blocks.5.attn.norm.bias")
    with pytest.raises(StateError, match="has no tensor 'layers.2.blocks.5.attn.norm.bias'"):
        read_onnx(tmp_path / "c.onnx")
