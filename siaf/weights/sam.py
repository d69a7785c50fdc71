"""Segment Anything's prompt encoder and mask decoder from the ONNX file of its own export, beside the image encoder's.

The export names most tensors; linear layers follow from the bias that is added to them, the rest from the kind and
order of the nodes that use it. What belongs where is checked by every tensor's shape.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from siaf.errors import StateError
from siaf.model.sam import SegmentAnything
from siaf.weights.files import Part, differences
from siaf.weights.tinyvit import graph_of, read_neck, read_onnx, tensor_of

ARCHITECTURE = "mobilesam"
_NEW = ("image_encoder.edges.", "mask_decoder.sharpening.")
"""What is ours: the published files have none of it, and as it begins it changes nothing."""
_NORMS = ("prompt_encoder.mask_downscaling.1", "prompt_encoder.mask_downscaling.4", "mask_decoder.output_upscaling.1")


def is_decoder(path: Path) -> bool:
    """Whether an ONNX file has the inputs of Segment Anything's decoder."""
    return {"image_embeddings", "point_coords", "mask_input"} <= {value.name for value in graph_of(path).input}


def read_sam(decoder: Path, encoder: Path) -> Part:
    """The whole model's tensors under our names. Raises InputError or StateError as `read_onnx`."""
    tensors = {f"image_encoder.backbone.{k}": v for k, v in read_onnx(encoder).tensors.items()}
    tensors |= {f"image_encoder.neck.{k}": v for k, v in read_neck(encoder).items()}
    tensors |= _decoder_tensors(graph_of(decoder))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        expected = SegmentAnything().state_dict()
    tensors |= {k: v for k, v in expected.items() if k.startswith(_NEW)}
    differ = differences({k: tuple(v.shape) for k, v in expected.items()}, tensors)
    if differ:
        what = f"{len(differ)} tensors differ from {ARCHITECTURE}: {'; '.join(differ[:3])}"
        raise StateError(what, field=str(decoder))
    return Part(ARCHITECTURE, {k: v.contiguous() for k, v in tensors.items()})


def _decoder_tensors(graph: Any) -> dict[str, Tensor]:
    weights = {t.name: t for t in graph.initializer}
    tensors = {_our_name(name): tensor_of(t) for name, t in weights.items() if not name.startswith("onnx::")}
    products = {n.output[0]: n.input[1] for n in graph.node if n.op_type == "MatMul" and n.input[1] in weights}
    norms = []
    for node in graph.node:
        stored = [name for name in node.input if name in weights]
        if node.op_type == "Add" and (product := next((x for x in node.input if x in products), None)) and stored:
            layer = _our_name(stored[0]).removesuffix(".bias")
            tensors[f"{layer}.weight"] = tensor_of(weights[products[product]]).T
        elif node.op_type == "Expand" and stored:
            tensors["mask_decoder.tokens"] = tensor_of(weights[stored[0]])
        elif node.op_type in ("Mul", "Add") and stored and stored[0].startswith("onnx::"):
            value = tensor_of(weights[stored[0]])
            if value.ndim == 4:
                tensors["prompt_encoder.no_mask"] = value.flatten(1)
            else:
                norms.append(value.flatten())
    places = [f"{norm}.{kind}" for norm in _NORMS for kind in ("weight", "bias")]
    return tensors | dict(zip(places, norms, strict=False))


def _our_name(name: str) -> str:
    name = name.removeprefix("model.")
    if name.startswith("prompt_encoder.point_embeddings."):
        return name.removesuffix(".weight")
    return {
        "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix": "prompt_encoder.frequencies",
        "prompt_encoder.not_a_point_embed.weight": "prompt_encoder.no_point",
    }.get(name, name)
