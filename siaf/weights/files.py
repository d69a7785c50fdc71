"""The weights file: safetensors with tensors of one or both networks, an ImageNet encoder, or Segment Anything.

Tensor names begin with the part they belong to ("interaction.", "propagation.", "encoder.", "segmenter."). Metadata:
`format`; `model` if the file is a whole model; for every part the name of its architecture; `tensors`, a digest of
all names and values; `provenance`, JSON: where they come from.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from siaf.errors import StateError
from siaf.files import atomic_write
from siaf.model.config import INTERACTION, PROPAGATION
from siaf.model.names import DEFAULT_PROPAGATION

FORMAT = "siaf-weights-1"
_KNOWN: dict[str, tuple[str, ...]] = {
    "interaction": tuple(INTERACTION),
    "propagation": tuple(PROPAGATION),
    "encoder": ("mobilenetv2", "resnet50", "swinb", "tinyvit"),
    "segmenter": ("mobilesam",),
}


@dataclass(frozen=True)
class Part:
    """One network of a weights file: name of its architecture, and tensors (floats in float32)."""

    architecture: str
    tensors: dict[str, Tensor]


def save_weights(
    path: Path,
    name: str,
    interaction: Mapping[str, Tensor],
    propagation: Mapping[str, Tensor],
    provenance: Mapping[str, Any],
) -> None:
    """Write a model trained here, both networks in half precision, by rename. `provenance` says where it comes from."""
    half = [
        Part(architecture, {k: v.half() if v.is_floating_point() else v for k, v in state.items()})
        for architecture, state in ((name, interaction), (DEFAULT_PROPAGATION[name], propagation))
    ]
    save_parts(path, {"interaction": half[0], "propagation": half[1]}, provenance, model=name)


def save_parts(
    path: Path, parts: Mapping[str, Part], provenance: Mapping[str, Any], *, model: str | None = None
) -> None:
    """Write a weights file of one or several parts as they are, by rename."""
    tensors = {f"{part}.{k}": v.contiguous() for part, own in parts.items() for k, v in own.tensors.items()}
    metadata = {"format": FORMAT, "provenance": json.dumps(dict(provenance)), "tensors": tensors_digest(tensors)}
    metadata |= {part: own.architecture for part, own in parts.items()}
    if model is not None:
        metadata["model"] = model
    with atomic_write(path) as file:
        file.write(save(tensors, metadata))


def read_parts(path: Path) -> dict[str, Part]:
    """The parts of a weights file. StateError unless it is one, of architectures that siaf knows."""
    metadata, tensors = _read(path)
    model = metadata.get("model", "")
    parts = {}
    for part in _KNOWN:
        own = {k.removeprefix(f"{part}."): v for k, v in tensors.items() if k.startswith(f"{part}.")}
        if own:
            # Files of siaf 0.1.0 name their model only.
            default = DEFAULT_PROPAGATION.get(model, "") if part == "propagation" else model
            architecture = metadata.get(part, default)
            if architecture not in _KNOWN[part]:
                raise StateError(f"{part} is of an unknown architecture {architecture!r}", field=str(path))
            parts[part] = Part(architecture, {k: v.float() if v.is_floating_point() else v for k, v in own.items()})
    if not parts:
        raise StateError("holds no network", field=str(path))
    return parts


def is_training_checkpoint(path: Path) -> bool:
    """Whether a safetensors file is what `siaf train` writes, not a weights file; False for other files."""
    try:
        with safe_open(path, "pt") as file:
            return "step" in (file.metadata() or {})
    except (SafetensorError, OSError):
        return False


def read_weights(path: Path, name: str) -> dict[str, Tensor]:
    """Tensors of a model's weights file in float32; StateError unless it is one, of this model."""
    model = weights_info(path).get("model")
    if model != name:
        raise StateError(f"weights of {model!r}, not of {name!r}", field=str(path))
    return {f"{part}.{k}": v for part, own in read_parts(path).items() for k, v in own.tensors.items()}


def weights_info(path: Path) -> dict[str, str]:
    """Metadata of a weights file, its digest and its size in bytes. StateError unless it is one."""
    try:
        with safe_open(path, "pt") as file:
            metadata = dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise StateError(f"not a readable weights file: {error}", field=str(path)) from None
    if metadata.get("format") != FORMAT:
        raise StateError(f"format is {metadata.get('format')!r}, expected {FORMAT!r}", field=str(path))
    return {**metadata, "digest": file_digest(path), "bytes": str(path.stat().st_size)}


def load_part(net: nn.Module, path: Path, name: str, part: str, *, new: Sequence[str] = ()) -> None:
    """Give `net` the weights of one network of the model `name`, "interaction" or "propagation".

    `path` is a weights file of that model or of that network alone; `new` as of `load_checked`. Raises StateError for
    one that does not fit.
    """
    if (model := weights_info(path).get("model", name)) != name:
        raise StateError(f"weights of {model!r}, not of {name!r}", field=str(path))
    parts = read_parts(path)
    if part not in parts:
        raise StateError(f"holds {', '.join(parts)}, but no {part} network", field=str(path))
    load_checked(net, parts[part].tensors, f"{path}:{part}", new=new)


def load_checked(net: nn.Module, state: Mapping[str, Tensor], where: str, *, new: Sequence[str] = ()) -> None:
    """Load tensors whose names and shapes are exactly the network's; StateError names the first three that are not.

    `new`: prefixes of names. If `state` has none of one of these, the network's own stay as they are.
    """
    for prefix in new:
        if not any(name.startswith(prefix) for name in state):
            state = {**state, **{k: v for k, v in net.state_dict().items() if k.startswith(prefix)}}
    differ = differences({k: tuple(v.shape) for k, v in net.state_dict().items()}, state)
    if differ:
        raise StateError(f"{len(differ)} tensors differ from the architecture: {'; '.join(differ[:3])}", field=where)
    net.load_state_dict(dict(state))


def differences(expected: Mapping[str, tuple[int, ...]], state: Mapping[str, Tensor]) -> list[str]:
    """One sentence for every tensor that is missing, unexpected or of another shape, in order of names."""
    found = {k: tuple(v.shape) for k, v in state.items()}
    names = sorted(k for k in expected.keys() | found.keys() if expected.get(k) != found.get(k))
    return [f"{k}: {found.get(k)} instead of {expected.get(k)}" for k in names]


def file_digest(path: Path) -> str:
    """blake2b-128 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def tensors_digest(tensors: Mapping[str, Tensor]) -> str:
    """blake2b-128 of names, types, shapes and values, in order of names, in hex."""
    total = hashlib.blake2b(digest_size=16)
    for name, value in sorted(tensors.items()):
        total.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        total.update(value.contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return total.hexdigest()


def stored_digest(path: Path) -> tuple[str | None, str]:
    """The digest of the tensors that a weights file says it has, and that of those it has."""
    metadata, tensors = _read(path)
    return metadata.get("tensors"), tensors_digest(tensors)


def _read(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    try:
        with safe_open(path, "pt") as file:
            metadata = dict(file.metadata() or {})
            tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError) as error:
        raise StateError(f"not a readable weights file: {error}", field=str(path)) from None
    if metadata.get("format") != FORMAT:
        raise StateError(f"format is {metadata.get('format')!r}, expected {FORMAT!r}", field=str(path))
    return metadata, tensors
