"""The formats by name, and how one or several are written: all of them, or nothing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import av

from siaf.errors import InputError, SiafError
from siaf.files import staged_folder
from siaf.output.cvat_xml import CvatXml
from siaf.output.datasets.formats import FORMATS
from siaf.output.export.saved import SavedSession
from siaf.output.overlay import OverlayVideo


@dataclass(frozen=True)
class Export:
    """How to write one. `entry`: what it is called among others; one without an ending is a folder."""

    write: Callable[[Path, SavedSession], list[str]]
    entry: str
    needs_video: bool = False
    needs_masks: bool = True

    @property
    def is_folder(self) -> bool:
        """Whether it is written into an empty folder."""
        return "." not in self.entry


def _overlay(path: Path, saved: SavedSession) -> list[str]:
    frames = saved.frames
    if frames is None:
        raise InputError("overlay needs the pictures: name the video", field="video")
    try:
        with OverlayVideo(path, height=frames.height, width=frames.width, fps=frames.fps, chosen=saved.colors) as video:
            for n in saved.written:
                video.add(frames[n], saved.mask(n))
    except av.FFmpegError as error:
        if isinstance(error, OSError):
            raise  # is told as such
        raise SiafError(f"cannot write the overlay: {error}") from None
    return []


def _cvat(path: Path, saved: SavedSession) -> list[str]:
    pictures = None if saved.frames is None else saved.frames.names
    with CvatXml(
        path,
        name=saved.name,
        n_frames=saved.masks.frames,
        height=saved.masks.height,
        width=saved.masks.width,
        labels=saved.labels,
        pictures=pictures,
    ) as xml:
        for n in saved.written:
            xml.add(n, saved.mask(n))
    if pictures is not None:
        return ['annotations.xml is "CVAT for images 1.1"']
    of_pictures = "" if saved.frames else '; if the clip is a folder of pictures, name it for "CVAT for images 1.1"'
    return [f'annotations.xml is "CVAT for video 1.1"{of_pictures}']


def _state(path: Path, saved: SavedSession) -> list[str]:
    path.write_bytes(saved.data)
    return []


def _dataset(name: str) -> Callable[[Path, SavedSession], list[str]]:
    def write(path: Path, saved: SavedSession) -> list[str]:
        return FORMATS[name].write(path, saved.labeled)

    return write


EXPORTS: Mapping[str, Export] = {
    "davis": Export(_dataset("davis"), "davis"),
    "overlay": Export(_overlay, "overlay.mp4", needs_video=True),
    "cvat": Export(_cvat, "annotations.xml"),
    "coco": Export(_dataset("coco"), "coco.json"),
    "youtube-vis": Export(_dataset("youtube-vis"), "youtube-vis.json"),
    "mots": Export(_dataset("mots"), "mots"),
    "matte": Export(_dataset("matte"), "matte"),
    "siaf": Export(_state, "session.siaf", needs_masks=False),
}


def check_exports(path: Path, names: Sequence[str], *, has_video: bool) -> None:
    """Raises InputError, naming "as", "video" or "out", if these cannot be written to `path`.

    One format is written as `path` itself, several into it as a folder. A folder is only written if it is empty.
    """
    unknown = [name for name in names if name not in EXPORTS]
    if unknown or not names:
        raise InputError(f"{(unknown or [''])[0]!r} is not one of: {', '.join(EXPORTS)}", field="as")
    blind = [name for name in names if EXPORTS[name].needs_video and not has_video]
    if blind:
        raise InputError(f"{blind[0]} needs the pictures: name the video or the folder of pictures", field="video")
    if len(names) > 1 or EXPORTS[names[0]].is_folder:
        what = names[0] if len(names) == 1 else "several formats"
        if path.is_dir() and any(path.iterdir()):
            raise InputError(f"{path} is a folder that is not empty; name another one", field="out")
        if path.exists() and not path.is_dir():
            raise InputError(f"{path} is a file; {what} need a folder", field="out")
    elif path.is_dir():
        raise InputError(f"{path} is a folder; {names[0]} is written as one file", field="out")


def write_exports(path: Path, saved: SavedSession, names: Sequence[str]) -> list[str]:
    """Write a session in these formats, whole or not at all; the notes about what they cannot hold.

    Raises as `check_exports` and as the writers, InputError naming "state" if there are no masks yet, and SiafError if
    the disk is full.
    """
    check_exports(path, names, has_video=saved.frames is not None)
    wanting = [name for name in names if EXPORTS[name].needs_masks]
    if wanting and not saved.written:
        raise InputError(f"holds no masks yet, so {wanting[0]} would be empty", field="state")
    try:
        return [*(saved.notes() if wanting else ()), *_write(path, saved, names)]
    except OSError as error:  # a full disk, say
        raise SiafError(f"out: cannot write {path}: {error.strerror or error}") from None


def _write(path: Path, saved: SavedSession, names: Sequence[str]) -> list[str]:
    if len(names) > 1:
        notes: list[str] = []
        with staged_folder(path) as folder:
            for name in names:
                place = folder / EXPORTS[name].entry
                if EXPORTS[name].is_folder:
                    place.mkdir()
                notes += EXPORTS[name].write(place, saved)
        return notes
    export = EXPORTS[names[0]]
    if export.is_folder:
        with staged_folder(path) as folder:
            return export.write(folder, saved)
    with staged_folder(path.parent) as folder:
        return export.write(folder / path.name, saved)
