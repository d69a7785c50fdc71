"""An open session as a file to download."""

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from siaf.frames.source import FrameSource
from siaf.output.export.formats import EXPORTS, check_exports, write_exports
from siaf.output.export.saved import read_saved
from siaf.studio.clip import Clip

_TYPES = {".json": "application/json", ".mp4": "video/mp4", ".xml": "application/xml", ".zip": "application/zip"}


@dataclass(frozen=True)
class Attachment:
    """A file to send: what a browser should call it, and its media type."""

    path: Path
    name: str
    media_type: str


def formats_of(clip: Clip) -> list[str]:
    """The formats that can be had of a clip. CVAT XML of a job would come back into it as work of people, and counts
    frames from the job's first: the job itself is written to.
    """
    return [name for name in EXPORTS if name != "cvat" or clip.job is None]


def make_attachment(
    folder: Path, state: bytes, frames: FrameSource, colors: Mapping[int, str], *, name: str, kind: str
) -> Attachment:
    """Write a session in the format `kind` into an empty folder, which the caller deletes; formats of several files
    become a zip, with the notes about what they cannot hold.

    `state` is the content of a state file of `frames`, `colors` those that the page shows ("#rrggbb" by tag), `name`
    the clip's. Raises as `siaf.output.export.formats.write_exports`.
    """
    check_exports(folder / kind, [kind], has_video=True)
    export = EXPORTS[kind]
    saved = read_saved(state, name=name, frames=frames, colors=colors)
    content = folder / export.entry
    notes = write_exports(content, saved, [kind])
    if export.is_folder:
        path = folder / f"{kind}.zip"
        _zip(content, path, notes)
    else:
        path = content
    called = f"{name}.siaf" if kind == "siaf" else f"{name}-{path.name}"  # as the studio itself calls it
    return Attachment(path, called, _TYPES.get(path.suffix, "application/octet-stream"))


def _zip(content: Path, path: Path, notes: list[str]) -> None:
    # PNGs are deflated already.
    with zipfile.ZipFile(path, "x") as archive:
        for file in sorted(content.rglob("*")):
            if file.is_file():
                packed = zipfile.ZIP_STORED if file.suffix == ".png" else zipfile.ZIP_DEFLATED
                archive.write(file, file.relative_to(content), packed)
        if notes:
            archive.writestr("NOTES.txt", "".join(f"{note}\n" for note in notes), zipfile.ZIP_DEFLATED)
