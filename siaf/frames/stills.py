"""Frames from picture files: a folder of them, one, or one that holds many (TIFF pages, animations)."""

import re
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from functools import cached_property, reduce
from operator import or_
from pathlib import Path

from PIL import Image, ImageFile

from siaf.errors import InputError
from siaf.frames.images import FILE_FORMATS, LYING, UNREADABLE, Levels, Values, as_frame, is_deep, read_values
from siaf.frames.source import CACHE_BYTES, STILL_FPS, Frame, FrameSource, is_image, wrong_size
from siaf.lru import LruCache

_PAGED = frozenset({"TIFF", "WEBP", "PNG", "AVIF"})
"""Formats whose further pictures are frames; those of a JPEG (MPO) are previews and the like."""
_ORIENTATION, _SUBFILE = 0x0112, 254
_LISTED = 5


class _Pictures(FrameSource):
    """What picture files have in common. Pictures with more than 8 bits share one range over all frames."""

    def __init__(self, *, fps: float) -> None:
        self.fps = fps
        self._left_out: list[str] = []
        self._scaled = ""

    @property
    def notes(self) -> Sequence[str]:
        """What was left out and, once a frame has been read, how deep values are shown."""
        return [*self._left_out, *filter(None, [self._scaled])]

    def _read(self, index: int) -> Frame:
        values = self._values(index)
        return as_frame(values, self._levels if is_deep(values) else None)

    @cached_property
    def _levels(self) -> Levels:
        deep = (values for values in map(self._values, range(len(self))) if is_deep(values))
        levels = reduce(or_, map(Levels.of, deep))
        self._scaled = levels.describe()
        return levels

    @abstractmethod
    def _values(self, index: int) -> Values:
        """The picture's own values, as `siaf.frames.images` reads them."""


class ImageFiles(_Pictures):
    """One image file per frame, turned as its EXIF orientation says, as CVAT does.

    `names` are the files' names. Raises InputError, naming the file, for an unreadable one, or one of another size than
    the first.
    """

    def __init__(self, paths: Sequence[Path], *, fps: float = STILL_FPS) -> None:
        super().__init__(fps=fps)
        if not paths:
            raise InputError("there are no images", field="video")
        self._paths = list(paths)
        self.names = [path.name for path in paths]
        self.width, self.height = self._size(0)
        for i in range(1, len(paths)):
            size = self._size(i)
            if size != (self.width, self.height):
                raise wrong_size(self._name(i), *size, self)

    def __len__(self) -> int:
        return len(self._paths)

    def _size(self, index: int) -> tuple[int, int]:
        """(width, height) as shown, from the file's header alone."""
        path = self._paths[index]
        with _opened(path) as image:
            pages = _pages(image)
            if len(pages) > 1:
                self._left_out.append(f"{path.name} holds {len(pages)} pictures, only the first is a frame")
            turned = image.getexif().get(_ORIENTATION, 1) in LYING
            return (image.height, image.width) if turned else image.size

    def _values(self, index: int) -> Values:
        with _opened(self._paths[index]) as image:
            return read_values(image)

    def _name(self, index: int) -> str:
        return str(self._paths[index])


class ImagePages(_Pictures):
    """The pictures of one file: pages of a TIFF, frames of an animated WebP, PNG or AVIF.

    Reduced copies of a page do not count as frames. Raises InputError, naming the page, if one cannot be read or has
    another size than the first.
    """

    def __init__(self, path: Path, pages: Sequence[int], fps: float) -> None:
        super().__init__(fps=fps)
        self._path, self._pages = path, list(pages)
        self._kept: LruCache[int, Values] = LruCache(CACHE_BYTES, size=lambda values: values.nbytes)
        self.height, self.width = self._values(0).shape[:2]
        with _opened(path) as image:
            smaller = getattr(image, "n_frames", 1) - len(pages)
        if smaller:
            self._left_out.append(f"{path.name} holds {smaller} reduced copies of its pages, which are no frames")

    def __len__(self) -> int:
        return len(self._pages)

    def another(self) -> "ImagePages":
        """The file with a place of its own for the pages that are kept."""
        twin = copy(self)
        twin._kept = LruCache(CACHE_BYTES, size=lambda values: values.nbytes)
        return twin

    def _values(self, index: int) -> Values:
        """An animation can only be read from its beginning, so frames on the way are kept."""
        kept = self._kept.get(index)
        if kept is not None:
            return kept
        with _opened(self._path) as image:
            first = index if image.format == "TIFF" else 0
            for n in range(first, index + 1):
                image.seek(self._pages[n])
                values = read_values(image)
                self._kept.room = max(CACHE_BYTES, values.nbytes)
                self._kept.put(n, values)
        return values

    def _read(self, index: int) -> Frame:
        return super()._read(index).copy()

    def _name(self, index: int) -> str:
        return f"picture {index} of {self._path}"


def open_image(path: Path) -> FrameSource:
    """One image file: a frame, or as many as it holds."""
    with _opened(path) as image:
        pages = _pages(image)
        if len(pages) > 1:
            image.load()  # some readers know a picture's duration only then
        duration = image.info.get("duration", 0)
    if len(pages) == 1:
        return ImageFiles([path])
    return ImagePages(path, pages, fps=1000 / duration if duration else STILL_FPS)


def open_folder(folder: Path) -> ImageFiles:
    """The images of a folder, naturally sorted (2.jpg before 10.jpg); the notes name what else is in it.

    Raises InputError if there are none, or if two differ only in their ending: one may be a mask.
    """
    entries = sorted((p for p in folder.iterdir() if not p.name.startswith(".")), key=_natural_key)
    images = [path for path in entries if is_image(path)]
    others = [f"{path.name}/" if path.is_dir() else path.name for path in entries if path not in set(images)]
    if not images:
        raise InputError(
            f"there are no images in {folder}" + (f", only {_some(others)}" if others else ""), field="video"
        )
    stems: dict[str, Path] = {}
    for path in images:
        other = stems.setdefault(path.stem, path)
        if other is not path:
            raise InputError(
                f"{folder} holds {other.name} and {path.name}; if one is the other's mask, move the masks to a folder"
                " of their own",
                field="video",
            )
    source = ImageFiles(images)
    if others:
        source._left_out.append(f"left out of {folder.name}, as no pictures: {_some(others)}")
    names = [path.name for path in images]
    if names != sorted(names):
        n = next(i for i, name in enumerate(sorted(names)) if name != names[i])
        source._left_out.append(
            f"frame {n} is {names[n]} here and {sorted(names)[n]} in a CVAT task with its default order:"
            " go by names, not by numbers"
        )
    return source


def _natural_key(path: Path) -> tuple[list[tuple[int, str]], str]:
    parts = re.findall(r"[0-9]+|[^0-9]+", path.name.lower())
    return [(int(part), "") if part[0] in "0123456789" else (-1, part) for part in parts], path.name


def _some(names: Sequence[str]) -> str:
    more = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f" and {more} more" if more > 0 else "")


def _pages(image: Image.Image) -> list[int]:
    """Numbers of the pictures in an opened file, without reduced copies; the file is left at its first."""
    count = getattr(image, "n_frames", 1)
    if count == 1 or image.format not in _PAGED:
        return [0]
    pages = list(range(count))
    if image.format == "TIFF":
        pages = [n for n in pages if not _is_reduced(image, n)] or [0]
    image.seek(0)
    return pages


def _is_reduced(image: Image.Image, page: int) -> bool:
    image.seek(page)
    return bool(image.tag_v2.get(_SUBFILE, 0) & 1)  # type: ignore[attr-defined]


@contextmanager
def _opened(path: Path) -> Iterator[ImageFile.ImageFile]:
    """An image file; whatever its reader raises for a damaged one becomes an InputError that names the file."""
    try:
        with Image.open(path, formats=FILE_FORMATS) as image:
            yield image
    except InputError:
        raise
    except (*UNREADABLE, Image.DecompressionBombError):
        raise InputError(f"cannot read the image {path}", field="video") from None
