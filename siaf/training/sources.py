"""Where the objects and backgrounds of synthetic training clips come from.

Layout below the root (every folder is read whole; names of files are free, extensions are not):

    segments/images/NAME.jpg     photos with full segmentations, every region a usable object
    segments/labels/NAME_0.png   index map of the coarse annotation (every value from 0 is a region)
    segments/labels/NAME_1.png   index map of the fine annotation
    instances/images/NAME.jpg    photos with some objects marked
    instances/labels/NAME.png    index map (0 = unmarked, every other value one object)
    cutouts/NAME.webp            objects on transparent ground
    backgrounds/NAME.jpg         photos without marked objects
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from siaf.errors import InputError

PHOTO_SIDE = 400
"""Longest side of a photo in memory, in pixels: clips of at most about 257 px never look closer."""
CUTOUT_SIDE = 192
"""Longest side of a cut-out in memory, in pixels."""

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class AnnotatedPhoto:
    """A photo (uint8 [H, W, 3] RGB) with one or more index maps (uint8 [H, W]), the coarsest first."""

    image: NDArray[np.uint8]
    maps: tuple[NDArray[np.uint8], ...]
    has_background: bool
    """Whether value 0 of the maps means "no object"; otherwise it is a region like the others."""


@dataclass(frozen=True)
class Sources:
    """What synthetic clips are made of, decoded at once or on demand.

    `cutouts` are uint8 [H, W, 4] RGBA, not premultiplied, cropped to what is visible.
    """

    segments: Sequence[AnnotatedPhoto]
    instances: Sequence[AnnotatedPhoto]
    cutouts: Sequence[NDArray[np.uint8]]
    backgrounds: Sequence[NDArray[np.uint8]]


def read_sources(root: Path) -> tuple[Sources, list[InputError]]:
    """Everything below `root` (see the module's layout), decoded at a limited size, and all problems.

    A problem names a file or folder that is missing, unreadable or of another size than its photo.
    """
    problems: list[InputError] = []
    sources = Sources(
        segments=_each(_segmented, root / "segments" / "images", ".jpg", problems),
        instances=_each(_instanced, root / "instances" / "images", ".jpg", problems),
        cutouts=_each(_cutout, root / "cutouts", ".webp", problems),
        backgrounds=_each(_background, root / "backgrounds", ".jpg", problems),
    )
    return sources, problems


def _each(
    read: Callable[[Path], _Result], folder: Path, suffix: str, problems: list[InputError]
) -> tuple[_Result, ...]:
    """What can be read of a folder's files; what cannot is added to `problems`."""

    def attempt(path: Path) -> tuple[_Result, ...]:
        try:
            return (read(path),)
        except InputError as error:
            problems.append(error)
            return ()

    try:
        files = _files(folder, suffix)
    except InputError as error:
        problems.append(error)
        return ()
    with ThreadPoolExecutor(2) as pool:
        found = tuple(item for one in pool.map(attempt, files) for item in one)
    problems.sort(key=lambda problem: problem.field)
    return found


def _files(folder: Path, suffix: str) -> list[Path]:
    if not folder.is_dir():
        raise InputError("no such folder", field=str(folder))
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() == suffix)
    if not files:
        raise InputError(f"no {suffix} file in this folder", field=str(folder))
    return files


def _segmented(path: Path) -> AnnotatedPhoto:
    labels = path.parent.parent / "labels"
    maps = tuple(labels / f"{path.stem}_{annotator}.png" for annotator in (0, 1))
    return read_photo(path, maps, has_background=False)


def _instanced(path: Path) -> AnnotatedPhoto:
    labels = path.parent.parent / "labels"
    return read_photo(path, (labels / f"{path.stem}.png",), has_background=True)


def read_photo(
    path: Path, map_paths: tuple[Path, ...], *, has_background: bool, side: int = PHOTO_SIDE
) -> AnnotatedPhoto:
    """A photo with its index maps, at most `side` pixels a side.

    Raises InputError naming the file that is missing, unreadable, of another size, or without an object.
    """
    image = decode(path, "RGB")
    maps = []
    for map_path in map_paths:
        index_map = decode(map_path, None)
        if index_map.ndim != 2:
            raise InputError("an index map must have one channel of 8 bits", field=str(map_path))
        if index_map.shape != image.shape[:2]:
            raise InputError(
                f"is {index_map.shape[1]}x{index_map.shape[0]}, its photo {image.shape[1]}x{image.shape[0]}",
                field=str(map_path),
            )
        maps.append(limit(index_map, side, cv2.INTER_NEAREST))
    if has_background and not any(index_map.any() for index_map in maps):
        raise InputError("marks no object", field=str(map_paths[0]))
    return AnnotatedPhoto(limit(image, side), tuple(maps), has_background)


def _background(path: Path) -> NDArray[np.uint8]:
    return limit(decode(path, "RGB"), PHOTO_SIDE)


def _cutout(path: Path) -> NDArray[np.uint8]:
    image = decode(path, "RGBA")
    rows, columns = np.nonzero(image[:, :, 3] > 0)
    if not rows.size:
        raise InputError("is fully transparent", field=str(path))
    image = image[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    return limit(image, CUTOUT_SIDE)


def decode(path: Path, mode: str | None) -> NDArray[np.uint8]:
    """Pixels in Pillow's `mode`; None keeps the stored 8-bit values, so that a palette's indices survive."""
    try:
        with Image.open(path) as image:
            if mode is None and image.mode not in ("L", "P"):
                raise InputError("an index map must have one channel of 8 bits", field=str(path))
            return np.array(image if mode is None else image.convert(mode), dtype=np.uint8)
    except FileNotFoundError:
        raise InputError("no such file", field=str(path)) from None
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError) as error:
        raise InputError(f"cannot be read as an image ({error})", field=str(path)) from error


def limit(image: NDArray[np.uint8], side: int, interpolation: int = cv2.INTER_AREA) -> NDArray[np.uint8]:
    """The image, shrunk if a side is longer than `side` pixels."""
    height, width = image.shape[:2]
    scale = side / max(height, width)
    if scale >= 1:
        return np.ascontiguousarray(image)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(image, size, interpolation=interpolation).astype(np.uint8, copy=False)
