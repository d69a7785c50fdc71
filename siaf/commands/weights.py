"""`siaf weights`: list, fetch, import, check and pack weights."""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from siaf.commands import best_engine, parity
from siaf.commands.common import Subparsers, add_json_argument, device_name, print_result
from siaf.engines.sam2.loading import WEIGHTS
from siaf.errors import StateError
from siaf.weights import MODELS, packaged_weights, weights_info
from siaf.weights.catalogue import BEST, CATALOGUE
from siaf.weights.checkpoints import file_sha256
from siaf.weights.engines import ENGINES, engine_folder, fetch_engine, is_here
from siaf.weights.files import Part, is_training_checkpoint, read_parts
from siaf.weights.folder import weights_folder
from siaf.weights.loading import find_weights


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="list what exists, and what is on this machine")
    add_json_argument(listing)
    listing.set_defaults(run=run_list)
    _add_fetch(actions)
    _add_best(actions)
    _add_import(actions)
    for name, run, text in (
        ("info", run_info, "show what weights are and where they come from, and check that they load"),
        ("verify", run_verify, "check weights, and show what cannot be checked"),
    ):
        action = actions.add_parser(name, help=text)
        action.add_argument("file", metavar="FILE|NAME")
        add_json_argument(action)
        action.set_defaults(run=run)
    _add_pack(actions)
    parity.add_parser(actions)


def _add_fetch(actions: Subparsers) -> None:
    fetch = actions.add_parser("fetch", help="download published weights; resumes a download that stopped")
    fetch.add_argument("name", help="a name from siaf weights list")
    fetch.add_argument(
        "--from",
        dest="offline",
        type=Path,
        metavar="FOLDER",
        help="take the published file from this folder, without network",
    )
    add_json_argument(fetch)
    fetch.set_defaults(run=run_fetch)


def _add_best(actions: Subparsers) -> None:
    best = actions.add_parser("best", help="fetch the most accurate published network and make a model of it")
    best.add_argument(
        "--device",
        type=device_name,
        help='fetch nothing, but name the model that suits "auto", "cpu", "cuda", "cuda:1", …',
    )
    best.add_argument(
        "--model",
        choices=list(BEST),
        help="siaf-swinb (default) is the most accurate, siaf-r50 nearly twice as fast",
    )
    best.add_argument(
        "--from",
        dest="offline",
        type=Path,
        metavar="FOLDER",
        help="take the published file from this folder, without network",
    )
    add_json_argument(best)
    best.set_defaults(run=run_best)


def _add_import(actions: Subparsers) -> None:
    take = actions.add_parser("import", help="make a weights file from an official AOT, DeAOT or ImageNet checkpoint")
    take.add_argument(
        "file", type=Path, help="the .pth or .pt file; for Tiny-ViT or Segment Anything's decoder, the .onnx file"
    )
    take.add_argument(
        "--as",
        dest="architecture",
        metavar="NAME",
        help="tell AOTB from AOTL, or DeAOTB from DeAOTL (default: by the file's name)",
    )
    take.add_argument("--encoder", type=Path, help="for Segment Anything's decoder: its image encoder, as .onnx")
    take.add_argument("--source", help="where the file comes from; kept in the result")
    take.add_argument("--licence", help="its licence; kept in the result")
    take.add_argument("--out", type=Path, help="file to write (default: NAME.safetensors in the weights folder)")
    add_json_argument(take)
    take.set_defaults(run=run_import)


def _add_pack(actions: Subparsers) -> None:
    pack = actions.add_parser("pack", help="make one weights file of a model from its two networks")
    pack.add_argument("--model", default="siaf-t", choices=sorted(MODELS), help="the model to pack (default: siaf-t)")
    for part in ("interaction", "propagation"):
        pack.add_argument(
            f"--{part}", required=True, help=f"checkpoint.safetensors from siaf train {part}, a weights file, or a name"
        )
    pack.add_argument("--note", default="", help="where the weights come from; kept in the file")
    pack.add_argument("--out", type=Path, help="file to write (default: MODEL.safetensors in the weights folder)")
    pack.set_defaults(run=run_pack)


def run_list(arguments: argparse.Namespace) -> None:
    """Print the catalogue."""
    folder = weights_folder()

    def here(name: str) -> str | None:
        path = packaged_weights(name) or folder / f"{name}.safetensors"
        return str(path) if path.is_file() else None

    models = {name: _model_entry(here(name)) for name in MODELS}
    published = {
        name: {
            "kind": entry.kind,
            "what": entry.what,
            "megabytes": entry.megabytes,
            "licence": entry.licence,
            "sha256": entry.sha256,
            "url": entry.url,
            "here": here(name),
        }
        for name, entry in CATALOGUE.items()
    }
    lines = [_line(name, "model", e["megabytes"], e["digest"], e["licence"], e["here"]) for name, e in models.items()]
    for name, entry in CATALOGUE.items():
        digest = f"sha256 {entry.sha256}…" if entry.sha256 else None
        place = here(name) or f"siaf weights fetch {name}"
        lines.append(_line(name, entry.kind, entry.megabytes, digest, entry.licence, place))
    engines = {name: _engine_entry(name) for name in ENGINES}
    for name, about in engines.items():
        place = about["here"] or f"siaf weights fetch {name}"
        size = f"{ENGINES[name].parameters:g}M weights"
        lines.append(f"{name:20} {'engine':12} {size:>12}  {about['repository']:22}  {about['licence']}  {place}")
    print_result({**models, **published, **engines}, [*lines, f"weights folder: {folder}"], arguments.json)


def _engine_entry(name: str) -> dict[str, Any]:
    about = ENGINES[name]
    return {
        "kind": "engine",
        "what": about.what,
        "licence": about.licence,
        "repository": f"huggingface.co/{about.repository}",
        "here": str(engine_folder(name)) if is_here(name) else None,
    }


def _model_entry(path: str | None) -> dict[str, Any]:
    if path is None:
        return {"kind": "model", "here": None, "megabytes": None, "digest": None, "licence": None}
    info = weights_info(Path(path))
    licence = "docs/model-card.md"
    return {
        "kind": "model",
        "here": path,
        "megabytes": round(int(info["bytes"]) / 2**20, 1),
        "digest": info["digest"],
        "licence": licence,
    }


def _line(
    name: str, kind: str, megabytes: float | None, digest: str | None, licence: str | None, place: str | None
) -> str:
    if kind == "model" and place is None:
        return f"{name:20} {kind:12} no weights here: fetch and pack them, or train them"
    size = f"{megabytes:.0f} MiB" if megabytes else "size unknown"
    return f"{name:20} {kind:12} {size:>12}  {digest or 'no published digest':22}  {licence}  {place}"


def run_best(arguments: argparse.Namespace) -> None:
    """Download, import, pack and check; or name what suits a device."""
    from siaf.weights.importing import best

    if arguments.device is not None:
        best_engine.run(arguments)
        return
    model = arguments.model or next(iter(BEST))
    with _download_bar(BEST[model], arguments.json) as progress:
        path, unchecked = best(model, offline=arguments.offline, progress=progress)
    licence = CATALOGUE[BEST[model]].licence
    result = {"file": str(path), "model": model, "licence": licence, "unchecked": unchecked}
    lines = [
        str(path),
        f"use it with --model {model}, or SIAF_MODEL={model} for the function",
        f"licence of the propagation network: {licence}",
        *_notes(unchecked),
    ]
    print_result(result, lines, arguments.json)


@contextmanager
def _download_bar(title: str, as_json: bool) -> Iterator[Callable[[int, int | None], None]]:
    """A progress bar on stderr; none for programs, and where stderr is not a terminal."""
    from tqdm import tqdm

    hidden = as_json or not sys.stderr.isatty()
    with tqdm(desc=title, unit="B", unit_scale=True, unit_divisor=1024, disable=hidden) as bar:

        def progress(done: int, total: int | None) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield progress


def run_fetch(arguments: argparse.Namespace) -> None:
    """Download and import."""
    from siaf.weights.importing import fetch

    if arguments.name in ENGINES:
        _fetch_engine(arguments)
        return
    with _download_bar(arguments.name, arguments.json) as progress:
        path, unchecked = fetch(arguments.name, offline=arguments.offline, progress=progress)
    print_result({"file": str(path), "unchecked": unchecked}, [str(path), *_notes(unchecked)], arguments.json)


def _fetch_engine(arguments: argparse.Namespace) -> None:
    """Download the files of another engine as they are, and say what they are."""
    name, about = arguments.name, ENGINES[arguments.name]
    folder = fetch_engine(name, offline=arguments.offline)
    weights = folder / WEIGHTS
    result = {
        "file": str(weights),
        "what": about.what,
        "repository": f"huggingface.co/{about.repository}",
        "licence": about.licence,
        "bytes": weights.stat().st_size,
        "sha256": file_sha256(weights),
    }
    lines = [
        str(weights),
        f"{about.what} ({result['repository']})",
        f"licence: {about.licence}",
        f"size: {weights.stat().st_size / 2**20:.1f} MiB, SHA-256: {result['sha256']}",
        f"use it with --model {name}",
    ]
    print_result(result, lines, arguments.json)


def run_import(arguments: argparse.Namespace) -> None:
    """Write a weights file from a checkpoint."""
    from siaf.weights.importing import import_checkpoint

    path = import_checkpoint(
        arguments.file,
        arguments.out,
        architecture=arguments.architecture,
        source=arguments.source,
        licence=arguments.licence,
        encoder=arguments.encoder,
    )
    print_result({"file": str(path), **weights_info(path)}, [str(path)], arguments.json)


def run_info(arguments: argparse.Namespace) -> None:
    """Print a weights file's metadata."""
    from siaf.weights.importing import verify

    path = find_weights(arguments.file, "file")
    verify(path)
    count = sum(t.numel() for part in read_parts(path).values() for t in part.tensors.values())
    result = {**weights_info(path), "parameters": count}
    print_result(result, [f"{key:12} {value}" for key, value in result.items()], arguments.json)


def run_verify(arguments: argparse.Namespace) -> None:
    """Check a weights file."""
    from siaf.weights.importing import verify

    path = find_weights(arguments.file, "file")
    unchecked = verify(path)
    lines = [f"{path}: complete; every tensor fits its architecture", *_notes(unchecked)]
    print_result({"file": str(path), "unchecked": unchecked}, lines, arguments.json)


def run_pack(arguments: argparse.Namespace) -> None:
    """Write a weights file for a whole model."""
    from siaf.weights.importing import pack

    sources = {
        part: _network(getattr(arguments, part), part, arguments.model) for part in ("interaction", "propagation")
    }
    print(pack(arguments.model, sources, arguments.out, arguments.note))


def _network(source: str, part: str, model: str) -> tuple[Part, Any]:
    """One network of a weights file or, in half precision, of a training run; and where it comes from."""
    from siaf.training.loop import averaged_checkpoint

    path = find_weights(source, part)
    if is_training_checkpoint(path):  # trained here, so of the model's own architecture
        state = {k: v.half() if v.is_floating_point() else v for k, v in averaged_checkpoint(path).items()}
        return Part(model if part == "interaction" else MODELS[model], state), f"training run {path.parent.name}"
    parts = read_parts(path)
    if part not in parts:
        raise StateError(f"holds {', '.join(parts)}, but no {part} network", field=str(path))
    return parts[part], json.loads(weights_info(path).get("provenance", "{}"))


def _notes(unchecked: list[str]) -> list[str]:
    return [f"not checked: {what}" for what in unchecked]
