"""Tiny-ViT from an ONNX file of a distilled Segment Anything encoder (the layout of MobileSAM's own export).

Such a file has the batch norms folded, linear layers without names, and the attention's biases spread out; what
belongs where follows from the order of its nodes, and is checked by every tensor's shape.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from siaf.errors import InputError, StateError
from siaf.model.tinyvit import DEPTHS, TinyViTEncoder
from siaf.weights.files import Part, differences

_LINEAR = ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2")
_NORMS = ("attn.norm", "mlp.norm")
_NECK = ("0.weight", "1.weight", "1.bias", "2.weight", "3.weight", "3.bias")
_REDUCED = ("expand", "depthwise", "project")


def read_onnx(path: Path) -> Part:
    """The encoder's tensors under our names; its neck, which belongs to another decoder, is left out.

    Raises InputError if the file is missing or the package `onnx` is, StateError naming the file if it is none of
    this layout.
    """
    graph = graph_of(path)
    weights = {t.name: t for t in graph.initializer}
    convolutions = [n for n in graph.node if n.op_type == "Conv" and not n.input[1].startswith("neck.")]
    linear = [n for n in graph.node if n.op_type == "MatMul" and n.input[1] in weights]
    spread = [t for t in map(_constant, graph.node) if t is not None and t.ndim == 3 and t.shape[1] == t.shape[2]]
    with torch.device("meta"):
        net = TinyViTEncoder(4)
    blocks = [f"stages.{i}.{j}" for i, depth in enumerate(DEPTHS) if i for j in range(depth)]
    places = _convolutions()
    if (len(convolutions), len(linear), len(spread)) != (len(places), 4 * len(blocks), len(blocks)):
        raise StateError(
            f"has {len(convolutions)} convolutions, {len(linear)} linear layers and {len(spread)} attention biases, "
            f"a Tiny-ViT {len(places)}, {4 * len(blocks)} and {len(blocks)}",
            field=str(path),
        )
    tensors = {}
    try:
        for place, node in zip(places, convolutions, strict=True):
            tensors[f"{place}.weight"], tensors[f"{place}.bias"] = (
                tensor_of(weights[name]) for name in node.input[1:3]
            )
        for b, block in enumerate(blocks):
            _, stage_number, number = block.split(".")
            theirs = f"layers.{stage_number}.blocks.{number}"
            for layer, node in zip(_LINEAR, linear[4 * b : 4 * b + 4], strict=True):
                tensors[f"{block}.{layer}.weight"] = tensor_of(weights[node.input[1]]).T
                tensors[f"{block}.{layer}.bias"] = tensor_of(weights[f"{theirs}.{layer}.bias"])
            for norm in _NORMS:
                for kind in ("weight", "bias"):
                    tensors[f"{block}.{norm}.{kind}"] = tensor_of(weights[f"{theirs}.{norm}.{kind}"])
            # The first cell of a window meets every distance once, in the order of the cells.
            tensors[f"{block}.attn.attention_biases"] = spread[b][:, 0]
    except (KeyError, ValueError) as error:
        raise StateError(f"has no tensor {error}", field=str(path)) from None
    differ = differences({k: tuple(v.shape) for k, v in net.state_dict().items()}, tensors)
    if differ:
        raise StateError(f"{len(differ)} tensors differ from tinyvit: {'; '.join(differ[:3])}", field=str(path))
    return Part("tinyvit", {k: v.contiguous() for k, v in tensors.items()})


def read_neck(path: Path) -> dict[str, Tensor]:
    """The neck's tensors (`siaf.model.sam.ImageEncoder`) of a file that `read_onnx` takes. StateError without one."""
    graph = graph_of(path)
    weights = {t.name: t for t in graph.initializer}
    begin = next((i for i, n in enumerate(graph.node) if "neck.0.weight" in n.input), len(graph.node))
    stored = [name for node in graph.node[begin:] for name in node.input if name in weights]
    if len(stored) != len(_NECK):
        raise StateError(f"has {len(stored)} tensors in its neck, not {len(_NECK)}", field=str(path))
    found = {place: tensor_of(weights[name]) for place, name in zip(_NECK, stored, strict=True)}
    return {k: v.flatten() if v.ndim == 3 else v for k, v in found.items()}


def _convolutions() -> list[str]:
    """Names of the convolutions in the order in which an image passes them."""
    places = ["patch_embed.0", "patch_embed.2"]
    for i, depth in enumerate(DEPTHS):
        places += [f"reductions.{i - 1}.{part}" for part in _REDUCED] if i else []
        for j in range(depth):
            places += [f"stages.{i}.{j}.local_conv"] if i else [f"stages.{i}.{j}.{part}" for part in _REDUCED]
    return places


def graph_of(path: Path) -> Any:
    """The graph of an ONNX file. Raises InputError or StateError as `read_onnx`."""
    try:
        import onnx
    except ImportError:
        raise InputError("needs onnx: pip install 'siaf-cvat[training]'", field=str(path)) from None
    from google.protobuf.message import DecodeError

    if not path.is_file():
        raise InputError(f"no such file: {path}", field="file")
    try:
        return onnx.load(path, load_external_data=False).graph
    except (DecodeError, OSError) as error:
        raise StateError(f"not an ONNX file: {error}", field=str(path)) from None


def tensor_of(stored: Any) -> Tensor:
    """A stored tensor of an ONNX graph, in float32."""
    from onnx import numpy_helper

    return torch.from_numpy(numpy_helper.to_array(stored).copy()).float()


def _constant(node: Any) -> Tensor | None:
    if node.op_type != "Constant" or not node.attribute[0].HasField("t"):
        return None
    return tensor_of(node.attribute[0].t)
