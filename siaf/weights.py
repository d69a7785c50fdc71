"""Weights of both networks in one safetensors file, and the way from a name to a loaded model."""

import hashlib
import json
from importlib import resources
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from siaf.errors import InputError, StateError
from siaf.model.config import INTERACTION, PROPAGATION
from siaf.model.interaction import InteractionNet
from siaf.model.propagation import PropagationNet
from siaf.network import Model

FORMAT = "siaf-weights-1"
MODELS = {"siaf-t": "siaf-t", "siaf-r50": "r50_aotl", "siaf-swinb": "swinb_aotl"}
"""Model name → name of its propagation configuration."""


def load_model(
    name: str = "siaf-t", *, device: str | torch.device = "auto", weights: str | Path | None = None
) -> Model:
    """Load a model ready for `siaf.Session`.

    `weights` is a file written by `save_weights`; by default the one that ships in the package. `device` "auto" takes
    the GPU if there is one. Raises InputError for an unknown name or missing weights, StateError for weights that do
    not fit.
    """
    model = build_model(name, device=device)
    path = Path(weights) if weights is not None else packaged_weights(name)
    if path is None:
        raise InputError(f"no weights of {name} ship with siaf; pass a file", field="weights")
    if not path.is_file():
        raise InputError(f"no such file: {path}", field="weights")
    tensors = read_weights(path, name)
    for part, net in (("interaction", model.interaction), ("propagation", model.propagation)):
        _load(net, _part(tensors, part), f"{path}:{part}")
    model.digest = file_digest(path)
    return model


def load_part(net: nn.Module, path: Path, name: str, part: str) -> None:
    """Give `net` the weights of one network, "interaction" or "propagation", of a weights file of the model `name`.

    Raises StateError for a file that does not fit.
    """
    _load(net, _part(read_weights(path, name), part), f"{path}:{part}")


def build_model(name: str, *, device: str | torch.device = "auto", seed: int = 0) -> Model:
    """A model with random weights, always the same for a seed; its digest says so."""
    if name not in MODELS:
        raise InputError(f"unknown model {name!r}; known: {', '.join(MODELS)}", field="model")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        nets = InteractionNet(INTERACTION[name]), PropagationNet(PROPAGATION[MODELS[name]])
    for net in nets:
        net.to(device).eval().requires_grad_(False)
    return Model(name, f"random-{seed}", *nets, device=torch.device(device))


def packaged_weights(name: str) -> Path | None:
    """The weights file that ships in the package, if there is one for this model."""
    path = Path(str(resources.files("siaf"))) / "weights_data" / f"{name}.safetensors"
    return path if path.is_file() else None


def save_weights(
    path: Path,
    name: str,
    interaction: dict[str, Tensor],
    propagation: dict[str, Tensor],
    provenance: dict[str, str],
) -> None:
    """Write both networks' tensors in half precision, by rename. `provenance` says where they come from."""
    tensors = {f"interaction.{k}": v for k, v in interaction.items()}
    tensors |= {f"propagation.{k}": v for k, v in propagation.items()}
    half = {k: (v.half() if v.is_floating_point() else v).contiguous() for k, v in tensors.items()}
    temporary = path.with_suffix(".tmp")
    save_file(half, temporary, {"format": FORMAT, "model": name, "provenance": json.dumps(provenance)})
    temporary.replace(path)


def read_weights(path: Path, name: str) -> dict[str, Tensor]:
    """Tensors of a weights file in float32; StateError unless it is one, of this model."""
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError) as error:
        raise StateError(f"not a readable weights file: {error}", field=str(path)) from None
    if metadata.get("format") != FORMAT:
        raise StateError(f"format is {metadata.get('format')!r}, expected {FORMAT!r}", field=str(path))
    if metadata.get("model") != name:
        raise StateError(f"weights of {metadata.get('model')!r}, not of {name!r}", field=str(path))
    return {k: v.float() if v.is_floating_point() else v for k, v in tensors.items()}


def weights_info(path: Path) -> dict[str, str]:
    """Metadata of a weights file, its digest and its size in bytes."""
    with safe_open(path, "pt") as file:
        metadata = dict(file.metadata() or {})
    return {**metadata, "digest": file_digest(path), "bytes": str(path.stat().st_size)}


def file_digest(path: Path) -> str:
    """blake2b-128 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _part(tensors: dict[str, Tensor], part: str) -> dict[str, Tensor]:
    prefix = part + "."
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _load(net: nn.Module, state: dict[str, Tensor], where: str) -> None:
    expected = {k: tuple(v.shape) for k, v in net.state_dict().items()}
    found = {k: tuple(v.shape) for k, v in state.items()}
    if expected != found:
        names = sorted(k for k in expected.keys() | found.keys() if expected.get(k) != found.get(k))
        shown = "; ".join(f"{k}: {found.get(k)} instead of {expected.get(k)}" for k in names[:3])
        raise StateError(f"{len(names)} tensors differ from the architecture: {shown}", field=where)
    net.load_state_dict(state)
