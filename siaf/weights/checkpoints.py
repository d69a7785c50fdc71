"""Checkpoints of other projects: a file of theirs in, tensors under our names out, every key accounted for."""

import hashlib
import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor

from siaf.errors import InputError, StateError
from siaf.model.config import PROPAGATION
from siaf.model.gated import build_propagation
from siaf.weights.encoders import encoder_tensors
from siaf.weights.files import Part, differences
from siaf.weights.sam import is_decoder, read_sam
from siaf.weights.tinyvit import read_onnx

_WRAPPERS = ("ema_state_dict", "state_dict_ema", "model_ema", "ema", "state_dict", "model")
"""Where training scripts put the tensors; averaged weights, where there are both, are those that are evaluated."""


@dataclass(frozen=True)
class Checkpoint:
    """What a file held: `part` is "propagation", "encoder" or "segmenter"; `wrapper` the entry it was found under."""

    part: str
    network: Part
    wrapper: str | None


def read_checkpoint(path: Path, architecture: str | None = None, *, encoder: Path | None = None) -> Checkpoint:
    """Recognise and check a checkpoint of AOT, DeAOT, an ImageNet encoder, or a Tiny-ViT or Segment Anything's decoder
    in an ONNX file; the decoder needs the file of its image `encoder` beside it.

    `architecture` settles what tensors alone cannot: AOTB and AOTL have the same, and so have DeAOTB and DeAOTL. By
    default the file's name does. Raises StateError, naming the first three differences, unless names, shapes and index
    buffers are those of one architecture; nothing in the file is executed.
    """
    decoder = path.suffix == ".onnx" and is_decoder(path)
    if encoder is not None and not decoder:
        raise InputError(f"goes with the decoder of a Segment Anything model, which {path} is not", field="encoder")
    if decoder:
        if encoder is None:
            raise InputError(f"{path} is a decoder; name the ONNX file of its image encoder", field="encoder")
        return Checkpoint("segmenter", read_sam(path, encoder), None)
    if path.suffix == ".onnx":
        return Checkpoint("encoder", read_onnx(path), None)
    state, wrapper = _unwrap(_load(path), path)
    state = {k.removeprefix("module."): v for k, v in state.items()}
    broken = [k for k, v in state.items() if v.is_floating_point() and not torch.isfinite(v).all()]
    if broken:
        raise StateError(f"{len(broken)} tensors hold NaN or infinity: {', '.join(broken[:3])}", field=str(path))
    if (found := encoder_tensors(state, str(path))) is not None:
        if architecture not in (None, found.architecture):
            raise StateError(f"is a {found.architecture} encoder, not {architecture}", field=str(path))
        return Checkpoint("encoder", found, wrapper)
    name = _which(path, state, architecture)
    return Checkpoint(
        "propagation", Part(name, {k: v.float() if v.is_floating_point() else v for k, v in state.items()}), wrapper
    )


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex: what publishers of weights state."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _load(path: Path) -> object:
    if not path.is_file():
        raise InputError(f"no such file: {path}", field="file")
    with path.open("rb") as file:
        head = file.read(512).lstrip()
    if head[:1] == b"<":
        raise StateError("is a web page, not a checkpoint: the download went wrong", field=str(path))
    try:
        # weights_only: unpickles tensors and plain containers, and refuses anything that could run.
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # torch's own text goes on to recommend loading without the check, which is no advice for a stranger's file.
        what = re.search(r"Unsupported (global|class|operand|type)[^.\n]*[\w.]*", str(error))
        reason = f" ({what[0].strip()})" if what else ""
        raise StateError(
            f"not a checkpoint of plain tensors; what it holds was not executed{reason}", field=str(path)
        ) from None
    except (RuntimeError, EOFError, KeyError, ValueError, OSError, SafetensorError) as error:
        raise StateError(f"damaged, or not a checkpoint: {_first_line(error)}", field=str(path)) from None


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def _unwrap(loaded: object, path: Path) -> tuple[dict[str, Tensor], str | None]:
    wrapper = None
    if isinstance(loaded, Mapping):
        wrapper = next((key for key in _WRAPPERS if isinstance(loaded.get(key), Mapping)), None)
        loaded = loaded[wrapper] if wrapper else loaded
    tensors = {k: v for k, v in loaded.items() if isinstance(v, Tensor)} if isinstance(loaded, Mapping) else {}
    if not tensors or not isinstance(loaded, Mapping) or len(tensors) != len(loaded):
        raise StateError("holds no state dict (names to tensors)", field=str(path))
    return tensors, wrapper


def _which(path: Path, state: Mapping[str, Tensor], architecture: str | None) -> str:
    published = [name for name in PROPAGATION if name != "siaf-t"]
    if architecture is not None and architecture not in published:
        raise InputError(f"unknown architecture {architecture!r}; known: {', '.join(published)}", field="as")
    differ = {name: differences(_shapes(name), state) for name in published}
    fitting = [name for name in published if not differ[name]]
    if architecture is None:
        if len(fitting) == 1:
            return fitting[0]
        named = [name for name in published if path.stem.lower().replace("-", "_").startswith(name)]
        # Longest first, as "aotb" is no more specific than a name that begins with it.
        architecture = max(named, key=len, default=None)
    if architecture is None and fitting:
        raise InputError(f"{' and '.join(fitting)} have the same tensors; say which one this is", field="as")
    name = architecture or min(published, key=lambda n: len(differ[n]))
    if differ[name]:
        raise StateError(
            f"{len(differ[name])} tensors differ from {name}: {'; '.join(differ[name][:3])}", field=str(path)
        )
    return name


@cache
def _shapes(name: str) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        state = build_propagation(PROPAGATION[name]).state_dict()
    return {k: tuple(v.shape) for k, v in state.items()}
