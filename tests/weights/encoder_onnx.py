"""A distilled Segment Anything encoder in an ONNX file, as the published one holds it."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from siaf.model.tinyvit import DEPTHS, TinyViTEncoder

_REDUCED = ("expand", "depthwise", "project")


def write_onnx(
    net: TinyViTEncoder, path: Path, *, leave_out: str = "", neck: Mapping[str, torch.Tensor] | None = None
) -> None:
    """What the published file holds of such a network: nodes in the order of computation, linear layers without names.

    The graph cannot be run, which nobody does with it here.
    """
    state = {k: v.numpy() for k, v in net.state_dict().items()}
    nodes, tensors = [], []

    def convolution(place: str, name: str = "") -> None:
        names = [name or f"onnx::Conv_{2 * len(nodes)}", f"onnx::Conv_{2 * len(nodes) + 1}"]
        for stored, kind in zip(names, ("weight", "bias"), strict=True):
            tensors.append(numpy_helper.from_array(state[f"{place}.{kind}"], stored))
        nodes.append(helper.make_node("Conv", ["x", *names], ["x"]))

    def window_block(stage: int, number: int) -> None:
        ours, theirs = f"stages.{stage}.{number}", f"layers.{stage}.blocks.{number}"
        table = state[f"{ours}.attn.attention_biases"]
        spread = numpy_helper.from_array(table[:, net.stages[stage][number].attn.distance.numpy()])  # type: ignore[index, union-attr]
        nodes.append(helper.make_node("Constant", [], ["bias"], value=spread))
        for layer in ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2"):
            name = f"onnx::MatMul_{len(nodes)}"
            tensors.append(numpy_helper.from_array(np.ascontiguousarray(state[f"{ours}.{layer}.weight"].T), name))
            tensors.append(numpy_helper.from_array(state[f"{ours}.{layer}.bias"], f"{theirs}.{layer}.bias"))
            nodes.append(helper.make_node("MatMul", ["x", name], ["x"]))
        for norm in ("attn.norm", "mlp.norm"):
            for kind in ("weight", "bias"):
                tensors.append(numpy_helper.from_array(state[f"{ours}.{norm}.{kind}"], f"{theirs}.{norm}.{kind}"))
        convolution(f"{ours}.local_conv")

    convolution("patch_embed.0")
    convolution("patch_embed.2")
    for stage, depth in enumerate(DEPTHS):
        for part in _REDUCED if stage else ():
            convolution(f"reductions.{stage - 1}.{part}")
        for number in range(depth):
            if stage:
                window_block(stage, number)
            else:
                for part in _REDUCED:
                    convolution(f"stages.0.{number}.{part}")
    for name, value in (neck or {"0.weight": net.stem.weight.detach()}).items():
        stored = f"neck.{name}" if value.ndim == 4 else f"onnx::{name}"
        shown = value if value.ndim == 4 else value[:, None, None]
        tensors.append(numpy_helper.from_array(shown.numpy(), stored))
        nodes.append(helper.make_node("Conv" if value.ndim == 4 else "Mul", ["x", stored], ["x"]))
    io = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("image", "x")]
    kept = [t for t in tensors if not leave_out or t.name != leave_out]
    onnx.save(helper.make_model(helper.make_graph(nodes, "encoder", io[:1], io[1:], kept)), path)
