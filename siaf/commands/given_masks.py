"""`--masks FOLDER`: index masks of some frames, as other tools write them."""

import re
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from siaf.errors import InputError
from siaf.frames.source import FrameSource
from siaf.masks import IndexMask, as_index_mask
from siaf.output.palette import PALETTE

_LOSSLESS = frozenset({".png", ".bmp", ".tif", ".tiff"})
_FIELD = "--masks"


def read_masks(folder: Path, frames: FrameSource, notes: list[str]) -> dict[int, IndexMask]:
    """Index masks by frame from a folder of pictures; what is left out is added to `notes`.

    A mask has the name of its picture, or, for a video, ends with the frame's number (frame_00012.png). Its values are
    tags: palette or grey pictures; colours are read by the palette of DAVIS and PASCAL VOC; in black and white ones,
    white is object 1. Raises InputError naming the file.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; give the one that holds the mask pictures", field=_FIELD)
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in _LOSSLESS)
    others = sorted(p.name for p in folder.iterdir() if p not in set(paths) and not p.name.startswith("."))
    if not paths:
        raise InputError(f"{folder} holds no masks (PNG, BMP or TIFF)", field=_FIELD)
    if others:
        notes.append(f"these files in {folder.name} are not masks and were left out: {', '.join(others)}")
    found: dict[int, npt.NDArray[np.generic]] = {}
    for path in paths:
        frame = _frame_of(path, frames)
        if frame in found:
            raise InputError(f"{path.name} is a second mask of frame {frame}", field=_FIELD)
        found[frame] = _values(path)
    values = {int(value) for mask in found.values() for value in np.unique(mask)}
    if not values - {0}:
        raise InputError(
            f"the masks in {folder} are all empty: 0 is background, and every object has its number", field=_FIELD
        )
    if values <= {0, 255}:
        notes.append("the masks are black and white: white is object 1")
        found = {frame: mask.astype(np.bool_) for frame, mask in found.items()}
    by_frame = dict(zip(found, paths, strict=True))
    return {
        frame: as_index_mask(mask, height=frames.height, width=frames.width, field=f"{_FIELD}: {by_frame[frame].name}")
        for frame, mask in found.items()
    }


def _frame_of(path: Path, frames: FrameSource) -> int:
    if frames.names is not None:
        stems = [Path(name).stem for name in frames.names]
        if path.stem not in stems:
            raise InputError(f"no picture in the clip is named like {path.name}", field=_FIELD)
        return stems.index(path.stem)
    number = re.search(r"([0-9]+)$", path.stem)
    if number is None:
        raise InputError(f"{path.name} must end with its frame's number, as 00012.png does", field=_FIELD)
    frame = int(number[1])
    if frame >= len(frames):
        raise InputError(f"{path.name}: the video has frames 0 to {len(frames) - 1}, counted from 0", field=_FIELD)
    return frame


def _values(path: Path) -> npt.NDArray[np.generic]:
    try:
        with Image.open(path) as image:
            image.load()
            if image.mode in ("RGB", "RGBA"):
                return _by_palette(np.asarray(image)[..., :3], path.name)
            return np.asarray(image.getchannel(0) if image.mode in ("LA", "PA") else image)
    except (OSError, SyntaxError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"cannot read {path.name}: {error}", field=_FIELD) from None


def _by_palette(pixels: npt.NDArray[np.uint8], name: str) -> IndexMask:
    codes = _codes(pixels)
    if set(np.unique(codes)) == {0, 0xFFFFFF}:
        return np.where(codes > 0, 255, 0).astype(np.uint8)
    known = _codes(PALETTE)
    order = np.argsort(known)
    at = order[np.searchsorted(known, codes, sorter=order).clip(0, len(known) - 1)]
    wrong = np.argwhere(known[at] != codes)
    if wrong.size:
        row, column = wrong[0]
        raise InputError(
            f"{name} has colour {pixels[row, column].tolist()}, which is not in the DAVIS palette; save the masks as"
            " palette or grey PNG, with an object's number as its value",
            field=_FIELD,
        )
    tags: IndexMask = at.astype(np.uint8)
    return tags


def _codes(colours: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    codes: npt.NDArray[np.int64] = colours.astype(np.int64) @ np.array([0x10000, 0x100, 1])
    return codes
