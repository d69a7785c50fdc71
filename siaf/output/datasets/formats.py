"""The formats by name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from siaf.errors import InputError
from siaf.files import staged_folder
from siaf.output.datasets.clip import LabeledClip
from siaf.output.datasets.coco import write_coco
from siaf.output.datasets.davis import write_davis
from siaf.output.datasets.matte import write_matte
from siaf.output.datasets.mots import write_mots
from siaf.output.datasets.youtube_vis import write_youtube_vis


@dataclass(frozen=True)
class Format:
    """How to write one; `is_folder`: as a folder with files, else as one JSON file."""

    write: Callable[[Path, LabeledClip], list[str]]
    is_folder: bool


FORMATS: Mapping[str, Format] = {
    "youtube-vis": Format(write_youtube_vis, False),
    "mots": Format(write_mots, True),
    "davis": Format(write_davis, True),
    "coco": Format(write_coco, False),
    "matte": Format(write_matte, True),
}


def check_place(path: Path, name: str) -> None:
    """Raises InputError, naming "out", if something else is at `path`: a folder is only written if it is empty."""
    if FORMATS[name].is_folder:
        if path.is_dir() and any(path.iterdir()):
            raise InputError(f"{path} is a folder that is not empty; name another one", field="out")
        if path.exists() and not path.is_dir():
            raise InputError(f"{path} is a file; {name} is written as a folder", field="out")
    elif path.is_dir():
        raise InputError(f"{path} is a folder; {name} is written as one file", field="out")


def write_dataset(path: Path, clip: LabeledClip, name: str) -> list[str]:
    """Write a clip, whole or not at all, in the format of this name; the notes about what it cannot hold.

    Raises as `check_place` and as the format's writer.
    """
    check_place(path, name)
    if not FORMATS[name].is_folder:
        return FORMATS[name].write(path, clip)
    with staged_folder(path) as folder:
        return FORMATS[name].write(folder, clip)
