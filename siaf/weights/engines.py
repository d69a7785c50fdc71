"""Published weights of other engines: which there are, where from, and the way from a name to a loaded engine."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import torch

from siaf.engines.base import Engine
from siaf.engines.sam2.loading import FILES, check_files, open_engine
from siaf.errors import InputError, SiafError
from siaf.weights.files import file_digest
from siaf.weights.folder import weights_folder
from siaf.weights.hub import download_file


@dataclass(frozen=True, kw_only=True)
class HubModel:
    """A model in a repository of the hub. `what`: who made it; `parameters`: how many it has, in millions; `accuracy`:
    J&F on the val set of MOSE that its authors publish, in percent.
    """

    what: str
    repository: str
    licence: str
    parameters: float
    accuracy: float


_META = "Apache-2.0 (of the repository facebookresearch/sam2)"

ENGINES: dict[str, HubModel] = {
    "edgetam": HubModel(
        what="EdgeTAM, converted for transformers by Hugging Face's Yoni Gozlan",
        repository="yonigozlan/EdgeTAM-hf",
        licence="Apache-2.0 (of the repository facebookresearch/EdgeTAM)",
        parameters=13.9,
        accuracy=70.0,
    ),
    "sam2.1-tiny": HubModel(
        what="SAM 2.1 tiny, Meta",
        repository="facebook/sam2.1-hiera-tiny",
        licence=_META,
        parameters=38.9,
        accuracy=71.8,
    ),
    "sam2.1-small": HubModel(
        what="SAM 2.1 small, Meta",
        repository="facebook/sam2.1-hiera-small",
        licence=_META,
        parameters=46.0,
        accuracy=73.5,
    ),
    "sam2.1-base-plus": HubModel(
        what="SAM 2.1 base-plus, Meta",
        repository="facebook/sam2.1-hiera-base-plus",
        licence=_META,
        parameters=80.8,
        accuracy=73.7,
    ),
    "sam2.1-large": HubModel(
        what="SAM 2.1 large, Meta",
        repository="facebook/sam2.1-hiera-large",
        licence=_META,
        parameters=224.4,
        accuracy=74.6,
    ),
}
"""Name → what the hub has of it."""

_ROOM = 16
"""A GPU should hold a model's weights so many times. A rule of thumb: nobody has measured what a GPU needs."""


def engine_folder(name: str) -> Path:
    """Where the files of an engine lie, or would."""
    return weights_folder() / name


def is_here(name: str) -> bool:
    """Whether all its files are on this machine."""
    return all((engine_folder(name) / file).is_file() for file in FILES)


def engine_for(memory: int) -> str:
    """The most accurate engine, by its authors' figures, that a GPU with so many bytes of memory has room for."""

    def fits(name: str) -> bool:
        return _ROOM * 4e6 * ENGINES[name].parameters <= memory

    return max(filter(fits, ENGINES), key=lambda name: ENGINES[name].accuracy, default="edgetam")


def fetch_engine(name: str, *, offline: Path | None = None) -> Path:
    """Get the published files of an engine into the weights folder; returns their folder.

    `offline` is a folder that holds them already. Raises InputError for files that are not there, StateError for those
    of something else, SiafError if the hub cannot be reached.
    """
    target = engine_folder(name)
    if offline is not None:
        for file in FILES:
            if not (offline / file).is_file():
                raise InputError(f"{offline} holds no {file}", field="from")
        check_files(name, offline)
    part = target.with_name(f"{name}.part")
    part.mkdir(parents=True, exist_ok=True)
    for file in FILES:
        if offline is not None:
            shutil.copyfile(offline / file, part / file)
        else:
            _download(name, file, part)
    try:
        check_files(name, part)
    except SiafError:
        shutil.rmtree(part)
        raise
    shutil.rmtree(part / ".cache", ignore_errors=True)  # what the hub keeps beside a download
    shutil.rmtree(target, ignore_errors=True)
    part.rename(target)
    return target


def _download(name: str, file: str, target: Path) -> None:
    repository = ENGINES[name].repository
    hint = f"get {' and '.join(FILES)} of huggingface.co/{repository} elsewhere and run: siaf weights fetch {name}"
    download_file(repository, file, target, hint=f"{hint} --from FOLDER")


def load_engine(name: str, *, device: str | torch.device = "auto", weights: str | Path | None = None) -> Engine:
    """The engine `name` from its folder of weights, by default that of `fetch_engine`.

    Raises InputError, naming `weights`, if they are not on this machine, StateError for other files, SiafError if what
    it needs is not installed.
    """
    folder = Path(weights) if weights is not None else engine_folder(name)
    if weights is None and not is_here(name):
        raise InputError(f"{name} is not on this machine; run: siaf weights fetch {name}", field="weights")
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder with {' and '.join(FILES)}", field="weights")
    return open_engine(name, folder, file_digest, device)
