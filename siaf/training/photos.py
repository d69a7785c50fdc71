"""Photos with marked objects as material of synthetic clips, read when asked for: a data set may be larger than memory.

images/NAME.jpg    and  labels/NAME.png     any folder: index map, 0 = background, every other value one object;
                                            255 beside others marks pixels that nobody labelled
IMAGES/NAME.jpg    and  ANNOTATIONS.json    COCO or LVIS (needs pycocotools)
"""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar, overload

import cv2
import numpy as np
from numpy.typing import NDArray

from siaf.errors import InputError
from siaf.frames.source import IMAGE_SUFFIXES
from siaf.training.sources import CUTOUT_SIDE, AnnotatedPhoto, Sources, decode, limit

MOST_OBJECTS = 200
"""Objects of one picture from which a mask is taken for damaged: saved with loss, it has a value for every shade."""

_Item = TypeVar("_Item")
_Other = TypeVar("_Other")


class Lazy(Sequence[_Item]):
    """`make(0)` … `make(count − 1)`, made at every access."""

    def __init__(self, count: int, make: Callable[[int], _Item]) -> None:
        self._count, self._make = count, make

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> _Item: ...
    @overload
    def __getitem__(self, index: slice) -> "Lazy[_Item]": ...
    def __getitem__(self, index: int | slice) -> "_Item | Lazy[_Item]":
        chosen = range(self._count)[index]
        if isinstance(chosen, int):
            return self._make(chosen)
        return Lazy(len(chosen), lambda i: self._make(chosen[i]))


class Photos:
    """A set of photos. `side`: longest side in pixels to which they are shrunk."""

    def __init__(self, count: int, side: int) -> None:
        self.side = side
        self._count = count

    @abstractmethod
    def _pixels(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Photo and index map `index` at full size. Raises InputError naming what is wrong with it."""

    def photo(self, index: int) -> AnnotatedPhoto:
        """One photo with its index map. Raises InputError naming the file that is unreadable or does not fit."""
        image, objects = self._pixels(index)
        return AnnotatedPhoto(limit(image, self.side), (limit(objects, self.side, cv2.INTER_NEAREST),), True)

    def problems(self) -> Iterator[InputError]:
        """What is wrong with single photos, in their order. Decodes everything."""

        def attempt(index: int) -> InputError | None:
            try:
                self._pixels(index)
            except InputError as error:
                return error
            return None

        with ThreadPoolExecutor(4) as pool:
            yield from (problem for problem in pool.map(attempt, range(self._count)) if problem)

    def sources(self) -> Sources:
        """Clips of these photos' objects, in their own photo or pasted on each other's."""
        photos = Lazy(self._count, self.photo)
        backgrounds = Lazy(self._count, lambda i: self.photo(i).image)
        return Sources(photos, photos, Lazy(self._count, lambda i: _largest(self.photo(i))), backgrounds)


class PhotoFolder(Photos):
    """`images/` and `labels/` below `root`. Raises InputError if one is missing, or there are no images."""

    def __init__(self, root: Path, side: int) -> None:
        self._labels = root / "labels"
        for folder in (root / "images", self._labels):
            if not folder.is_dir():
                raise InputError("no such folder", field=str(folder))
        self._files = sorted(p for p in (root / "images").iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
        if not self._files:
            raise InputError("no image in this folder", field=str(root / "images"))
        super().__init__(len(self._files), side)

    def _pixels(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        path = self._files[index]
        image = decode(path, "RGB")
        return image, read_mask(self._labels / f"{path.stem}.png", image.shape[:2], empty=False)


class CocoPhotos(Photos):
    """Photos of `images` that a COCO or LVIS file lists with objects.

    Raises InputError if it is not such a file, if it lists no objects, or if pycocotools is missing.
    """

    def __init__(self, images: Path, annotations: Path, side: int) -> None:
        self._images, self._coco = images, _read_coco(annotations)
        self._ids = sorted({a["image_id"] for a in self._coco.anns.values() if not a.get("iscrowd")})
        if not self._ids:
            raise InputError("lists no objects", field=str(annotations))
        super().__init__(len(self._ids), side)

    def _pixels(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        entry = self._coco.imgs[self._ids[index]]
        path = self._path(entry)
        image = decode(path, "RGB")
        height, width = image.shape[:2]
        if (entry["height"], entry["width"]) != (height, width):
            raise InputError(
                f"is {width}x{height}, its annotations are for {entry['width']}x{entry['height']}", field=str(path)
            )
        found = [a for a in self._coco.imgToAnns[entry["id"]] if not a.get("iscrowd")]
        if len(found) > MOST_OBJECTS:
            found = sorted(found, key=lambda a: a["area"])[-MOST_OBJECTS:]
        objects = np.zeros((height, width), np.uint8)
        # Smaller ones on top: a cup lies on its table.
        for value, annotation in enumerate(sorted(found, key=lambda a: -a["area"]), 1):
            try:
                objects[self._coco.annToMask(annotation) > 0] = value
            except Exception as error:  # pycocotools raises whatever its C code meets
                raise InputError(f"annotation {annotation['id']} is not a mask: {error}", field=str(path)) from None
        if not objects.any():
            raise InputError("its annotations cover no pixel", field=str(path))
        return image, objects

    def _path(self, entry: dict[str, Any]) -> Path:
        """LVIS has no file_name; its photos are those of COCO's splits, as their addresses end: train2017/NAME.jpg."""
        if "file_name" in entry:
            return self._images / str(entry["file_name"])
        *_, split, name = str(entry["coco_url"]).split("/")
        inside = self._images / split / name
        return inside if inside.is_file() else self._images / name


def read_mask(path: Path, size: tuple[int, int], *, empty: bool) -> NDArray[np.uint8]:
    """An index map uint8 H×W of `size` (height, width), unlabelled pixels as background.

    Raises InputError naming the file if it is missing, unreadable, of another size, has too many objects, or
    unless `empty` none.
    """
    objects = decode(path, None)
    if objects.shape != size:
        raise InputError(f"is {objects.shape[1]}x{objects.shape[0]}, its picture {size[1]}x{size[0]}", field=str(path))
    values = np.flatnonzero(np.bincount(objects.ravel(), minlength=256))
    if len(values) > MOST_OBJECTS:
        raise InputError(f"has {len(values)} values, too many for a mask: was it saved with loss?", field=str(path))
    if 255 in values and len(values) > 2:
        objects[objects == 255] = 0
    if not empty and not objects.any():
        raise InputError("marks no object", field=str(path))
    return objects


def _read_coco(path: Path) -> Any:
    try:
        from pycocotools.coco import COCO
    except ImportError:
        raise InputError("needs pycocotools: pip install 'siaf-cvat[training]'", field=str(path)) from None
    import contextlib
    import io

    try:
        with contextlib.redirect_stdout(io.StringIO()):  # it reports on stdout
            coco = COCO(str(path))
    except (OSError, ValueError, KeyError, TypeError, AssertionError) as error:
        raise InputError(f"cannot be read as COCO or LVIS annotations: {error}", field=str(path)) from None
    if not getattr(coco, "imgs", None):
        raise InputError("cannot be read as COCO or LVIS annotations: it lists no images", field=str(path))
    return coco


def _largest(photo: AnnotatedPhoto) -> NDArray[np.uint8]:
    """The largest object of a photo, RGBA, cropped to it."""
    objects = photo.maps[0]
    areas = np.bincount(objects.ravel())
    areas[0] = 0
    mask = (objects == areas.argmax()).astype(np.uint8)
    x, y, width, height = cv2.boundingRect(mask)
    part = np.s_[y : y + height, x : x + width]
    return limit(np.dstack([photo.image[part], mask[part] * np.uint8(255)]), CUTOUT_SIDE)
