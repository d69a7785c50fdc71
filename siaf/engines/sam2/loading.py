"""From a folder of published files, or from nothing, to an engine."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from siaf.engines.sam2.architectures import build
from siaf.engines.sam2.engine import Sam2Engine
from siaf.engines.sam2.network import Sam2Network
from siaf.errors import SiafError, StateError
from siaf.model.threads import limit_threads

CONFIG, WEIGHTS = "config.json", "model.safetensors"
FILES = (CONFIG, WEIGHTS)


def kind_of(name: str) -> str:
    """What transformers calls the architecture of the model `name`."""
    return "edgetam_video" if name == "edgetam" else "sam2_video"


def check_files(name: str, folder: Path) -> None:
    """StateError, naming the file, unless a folder holds the published files of such a model, as far as they tell."""
    try:
        kind = json.loads((folder / CONFIG).read_text(encoding="utf-8"))["model_type"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        said = error.strerror if isinstance(error, OSError) else "is no model's configuration"
        raise StateError(str(said), field=str(folder / CONFIG)) from None
    if kind != kind_of(name):
        raise StateError(f"is of a {str(kind)[:40]}, {name} is a {kind_of(name)}", field=str(folder / CONFIG))
    try:
        with safe_open(folder / WEIGHTS, "pt") as file:
            file.keys()
    except (SafetensorError, OSError) as error:
        raise StateError(f"not a readable weights file: {error}", field=str(folder / WEIGHTS)) from None


def open_engine(name: str, folder: Path, digest: Callable[[Path], str], device: str | torch.device) -> Sam2Engine:
    """The model `name` from its published files; `digest` gives that of a file. On a GPU it computes in bfloat16.

    Raises StateError for files that are not the model's, SiafError without transformers.
    """
    check_files(name, folder)
    with _transformers(name) as library:
        kind = library.EdgeTamVideoModel if name == "edgetam" else library.Sam2VideoModel
        try:
            model, loaded = kind.from_pretrained(
                folder, local_files_only=True, output_loading_info=True, dtype=torch.float32
            )
        except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
            first = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
            raise StateError(f"not the weights of {name}: {first[:200]}", field=str(folder)) from None
    missing = sorted(loaded["missing_keys"])
    if missing:
        raise StateError(f"{len(missing)} tensors of {name} are missing: {', '.join(missing[:3])}", field=str(folder))
    return _engine(name, digest(folder / WEIGHTS), model, device)


def build_engine(name: str, *, device: str | torch.device = "auto", seed: int = 0) -> Sam2Engine:
    """The model `name` with random weights, always the same for a seed; its digest says so."""
    with _transformers(name), torch.random.fork_rng():
        torch.manual_seed(seed)
        model = build(name)
    return _engine(name, f"random-{seed}", model, device)


def _engine(name: str, digest: str, model: Any, device: str | torch.device) -> Sam2Engine:
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    place = torch.device(device)
    model.to(place).eval().requires_grad_(False)
    if place.type == "cpu":
        limit_threads()
    return Sam2Engine(name, digest, Sam2Network(model), place, autocast=place.type == "cuda")


@contextmanager
def _transformers(name: str) -> Iterator[Any]:
    """The library, which says nothing while it is used. SiafError if what the model needs is missing."""
    try:
        import transformers
        from transformers.utils import logging as found

        if name == "edgetam":
            import timm  # noqa: F401
    except ImportError as error:
        raise SiafError(f"{name}: needs transformers and timm ({error}); pip install 'siaf-cvat[sam2]'") from None
    logging: Any = found  # untyped
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield transformers
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
