"""ImageNet encoders: from the names of torchvision's and Microsoft's checkpoints to ours, and into a network."""

from collections.abc import Mapping
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from siaf.errors import StateError
from siaf.model.encoders import Encoder, EncoderName, MobileNetV2Encoder, ResNet50Encoder, build_encoder, widen_stem
from siaf.model.tinyvit import TinyViTEncoder
from siaf.weights.files import Part, differences, read_parts

_UNUSED = ("fc.", "classifier.", "head.", "norm.")  # classifiers, and the norm in front of Swin's
_COMPUTED = ("num_batches_tracked", "attn_mask")


def encoder_tensors(state: Mapping[str, Tensor], where: str) -> Part | None:
    """The tensors of an ImageNet checkpoint under our encoder's names; None if it looks like no encoder of ours.

    Raises StateError, with `where` as its field, if it looks like one but is not complete or has other shapes. Swin's
    `norm0…3`, which AOT adds to each stage, are in no ImageNet checkpoint and are left out.
    """
    name = _recognise(state)
    if name is None:
        return None
    kept = {k: v for k, v in state.items() if not k.startswith(_UNUSED) and not k.endswith(_COMPUTED)}
    expected = encoder_shapes(name)
    if name == "swinb" and any(k.startswith("features.") for k in kept):
        kept = {_swin_name(k): v for k, v in kept.items()}
    if name == "mobilenetv2" and kept.keys() != expected.keys() and len(kept) == len(expected):
        kept = dict(zip(expected, kept.values(), strict=True))  # older files number the same tensors differently
    kept = {k: v.reshape(49, 49) if k.endswith("relative_position_index") else v for k, v in kept.items()}
    differ = differences(expected, kept)
    if differ:
        raise StateError(f"{len(differ)} tensors differ from {name}: {'; '.join(differ[:3])}", field=where)
    return Part(name, {k: v.float() if v.is_floating_point() else v for k, v in kept.items()})


def encoder_shapes(name: str) -> dict[str, tuple[int, ...]]:
    """Names and shapes of an imported encoder's tensors: the deepest that any of our networks uses."""
    with torch.device("meta"):
        state = build_encoder(cast(EncoderName, name), "aot" if name == "mobilenetv2" else "full").state_dict()
    return {k: tuple(v.shape) for k, v in state.items() if not k.startswith("norm")}


def load_encoder(encoder: Encoder, path: Path) -> None:
    """Load an ImageNet checkpoint, or what `siaf weights import` made of one, into an encoder of any depth.

    A stem with extra input channels gets the RGB kernels and zeros for the rest. Raises StateError for another
    network's weights.
    """
    from siaf.weights.checkpoints import read_checkpoint

    if path.suffix == ".safetensors":
        parts = read_parts(path)
        if "encoder" not in parts:
            raise StateError(f"holds {', '.join(parts)}, but no encoder", field=str(path))
        part = parts["encoder"]
    else:
        found = read_checkpoint(path)
        if found.part != "encoder":
            raise StateError(f"is a checkpoint of {found.network.architecture}, not an encoder", field=str(path))
        part = found.network
    own = _name_of(encoder)
    if part.architecture != own:
        raise StateError(f"holds a {part.architecture}, but the model has a {own}", field=str(path))
    target = encoder.state_dict()
    stem = next(k for k, module in encoder.named_modules() if module is encoder.stem) + ".weight"
    loaded = {k: v for k, v in part.tensors.items() if k in target}
    if loaded[stem].shape != target[stem].shape:
        widen_stem(encoder.stem, loaded.pop(stem))
    encoder.load_state_dict(loaded, strict=False)


def _name_of(encoder: Encoder) -> EncoderName:
    if isinstance(encoder, MobileNetV2Encoder):
        return "mobilenetv2"
    if isinstance(encoder, TinyViTEncoder):
        return "tinyvit"
    return "resnet50" if isinstance(encoder, ResNet50Encoder) else "swinb"


def _recognise(state: Mapping[str, Tensor]) -> EncoderName | None:
    if "conv1.weight" in state and any(k.startswith("layer4.") for k in state):
        return "resnet50"
    if "patch_embed.proj.weight" in state or "features.0.0.bias" in state:
        return "swinb"
    if any(k.startswith("features.") for k in state):
        return "mobilenetv2"
    return None


def _swin_name(name: str) -> str:
    """torchvision's name of a Swin tensor → Microsoft's."""
    _, stage, *rest = name.split(".")
    if stage == "0":
        return ".".join(["patch_embed", "proj" if rest[0] == "0" else "norm", *rest[1:]])
    if int(stage) % 2 == 0:  # torchvision counts a downsampling as an entry of its own
        return ".".join(["layers", str(int(stage) // 2 - 1), "downsample", *rest])
    block, *tail = rest
    if tail[0] == "mlp":
        tail[1] = {"0": "fc1", "3": "fc2"}.get(tail[1], tail[1])
    return ".".join(["layers", str(int(stage) // 2), "blocks", block, *tail])
