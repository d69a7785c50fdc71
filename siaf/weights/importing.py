"""`siaf weights import`, `fetch`, `pack` and `verify`: from published files to weights files, and their proof."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from siaf.errors import InputError, StateError
from siaf.model.config import INTERACTION, PROPAGATION
from siaf.model.gated import build_propagation
from siaf.model.interaction import InteractionNet
from siaf.model.sam import SegmentAnything
from siaf.weights.catalogue import BEST, CATALOGUE, Published
from siaf.weights.checkpoints import file_sha256, read_checkpoint
from siaf.weights.download import download
from siaf.weights.encoders import encoder_shapes
from siaf.weights.files import Part, differences, read_parts, save_parts, stored_digest, weights_info
from siaf.weights.folder import weights_folder
from siaf.weights.loading import MODELS, check_encoder, find_weights


def import_checkpoint(
    path: Path,
    out: Path | None = None,
    *,
    architecture: str | None = None,
    source: str | None = None,
    licence: str | None = None,
    encoder: Path | None = None,
) -> Path:
    """Check a checkpoint (siaf.weights.checkpoints says of what) and write it as a weights file; returns where.

    `encoder` is the image encoder's file of a Segment Anything decoder. The two are written in half precision, in which
    they ship.

    `out` is a file, by default NAME.safetensors in the weights folder, NAME being the architecture's. `source` and
    `licence` go into the file; for a file whose digest the catalogue knows they are known. Raises InputError or
    StateError, and then writes nothing.
    """
    found = read_checkpoint(path, architecture, encoder=encoder)
    sha256 = file_sha256(path)
    known = next((p for p in CATALOGUE.values() if p.sha256 and sha256.startswith(p.sha256)), None)
    trained_on = {"encoder": "-sam" if path.suffix == ".onnx" else "-imagenet"}.get(found.part, "")
    name = found.network.architecture + trained_on
    target = out or weights_folder() / f"{name}.safetensors"
    target.parent.mkdir(parents=True, exist_ok=True)
    provenance = {
        "file": path.name,
        "sha256": sha256,
        "bytes": path.stat().st_size,
        "entry": found.wrapper,
        "source": source or (known.url if known else "a file of the user"),
        "licence": licence or (known.licence if known else "not stated"),
    }
    network = found.network
    if encoder is not None:
        provenance |= {"encoder": encoder.name, "encoder sha256": file_sha256(encoder)}
        network = Part(network.architecture, {k: v.half() for k, v in network.tensors.items()})
    save_parts(target, {found.part: network}, provenance)
    return target


def fetch(
    name: str, *, offline: Path | None = None, progress: Callable[[int, int | None], None] | None = None
) -> tuple[Path, list[str]]:
    """Get published weights into the weights folder as a weights file; returns where, and what could not be checked.

    `offline` is a folder that holds the published file already. `progress` is called with the bytes so far and the
    total where known. Raises InputError for an unknown name or a missing file, SiafError if the download fails or is
    not what was published. A download that broke off resumes where it stopped.
    """
    published = _published(name)
    if offline is not None:
        raw = offline / published.file
        if not raw.is_file():
            raise InputError(f"{offline} holds no {published.file}", field="from")
        _check_digest(raw, published)
    else:
        raw = weights_folder() / "downloads" / published.file
        raw.parent.mkdir(parents=True, exist_ok=True)
        download(published.url, raw, progress=progress, hint=_offline_hint(name, published))
        try:
            _check_digest(raw, published)
        except StateError:
            raw.unlink()
            raise
    target = import_checkpoint(
        raw,
        weights_folder() / f"{name}.safetensors",
        architecture=name.split("-")[0],
        source=published.url,
        licence=published.licence,
    )
    if offline is None:
        raw.unlink()
    return target, unchecked(published)


def best(
    model: str, *, offline: Path | None = None, progress: Callable[[int, int | None], None] | None = None
) -> tuple[Path, list[str]]:
    """Weights of `model` (a name in BEST) from its best published propagation network and siaf-t's interaction network.

    As `fetch`; what is in the weights folder already is not fetched again. The result is checked, and where
    `load_model(model)` finds it.
    """
    name = BEST[model]
    if not (weights_folder() / f"{name}.safetensors").is_file():
        fetch(name, offline=offline, progress=progress)
    files = {"interaction": find_weights("siaf-t"), "propagation": find_weights(name)}
    sources = {
        part: (read_parts(file)[part], json.loads(weights_info(file).get("provenance", "{}")))
        for part, file in files.items()
    }
    path = pack(model, sources, None, f"siaf weights best: {name} with siaf-t's interaction network")
    return path, [*verify(files["propagation"]), *verify(path)]


def verify(path: Path) -> list[str]:
    """Check a weights file: readable, complete, unchanged since it was written. Returns what could not be checked.

    Raises StateError for what is wrong.
    """
    for part, network in read_parts(path).items():
        _check_complete(part, network, str(path))
    stored, actual = stored_digest(path)
    if stored is not None and stored != actual:
        raise StateError(f"its tensors have digest {actual}, it was written with {stored}", field=str(path))
    open_questions = [] if stored is not None else ["the file names no digest of its tensors (siaf 0.1.0 wrote none)"]
    published = CATALOGUE.get(path.stem)
    return open_questions + (unchecked(published) if published else [])


def pack(model: str, sources: Mapping[str, tuple[Part, Any]], out: Path | None, note: str) -> Path:
    """One weights file of a whole model, tensors as they are; returns where.

    `sources`: "interaction" and "propagation", each with where it comes from (JSON). `out` is by default
    MODEL.safetensors in the weights folder, where `load_model(model)` finds it. StateError unless both networks are
    complete and fit.
    """
    check_encoder(model, sources["propagation"][0].architecture)
    parts = {part: network for part, (network, _) in sources.items()}
    for part, network in parts.items():
        _check_complete(part, network, part)
    target = out or weights_folder() / f"{model}.safetensors"
    target.parent.mkdir(parents=True, exist_ok=True)
    provenance = {"note": note} | {part: origin for part, (_, origin) in sources.items()}
    save_parts(target, parts, provenance, model=model)
    return target


def unchecked(published: Published) -> list[str]:
    """What nobody can check about a published file."""
    if published.sha256 is None:
        return [
            "its publisher states no digest: that the download is the published file is not checked, only its contents"
        ]
    return []


def _published(name: str) -> Published:
    if name in MODELS:
        raise InputError(
            f"{name} comes with siaf or has no published weights; known: {', '.join(CATALOGUE)}", field="name"
        )
    if name not in CATALOGUE:
        raise InputError(f"unknown weights {name!r}; known: {', '.join(CATALOGUE)}", field="name")
    return CATALOGUE[name]


def _offline_hint(name: str, published: Published) -> str:
    return (
        f"get {published.url} elsewhere, save it as {published.file} and run: siaf weights fetch {name} --from FOLDER"
    )


def _check_digest(path: Path, published: Published) -> None:
    if published.sha256 is not None and not (found := file_sha256(path)).startswith(published.sha256):
        raise StateError(f"SHA-256 is {found[:16]}…, published is {published.sha256}…", field=str(path))


def _check_complete(part: str, network: Part, where: str) -> None:
    expected = encoder_shapes(network.architecture) if part == "encoder" else _shapes(part, network.architecture)
    differ = differences(expected, network.tensors)
    if differ:
        raise StateError(
            f"{len(differ)} tensors of {part} differ from {network.architecture}: {'; '.join(differ[:3])}", field=where
        )


def _shapes(part: str, architecture: str) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        if part == "interaction":
            net: nn.Module = InteractionNet(INTERACTION[architecture])
        elif part == "segmenter":
            net = SegmentAnything()
        else:
            net = build_propagation(PROPAGATION[architecture])
    return {k: tuple(v.shape) for k, v in net.state_dict().items()}
