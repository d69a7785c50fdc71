"""Frame sources: video files, image folders and arrays as lazy sequences of frames.

A frame is uint8 H×W×3, RGB. All frames of a source have one size.
"""

import re
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import overload

import numpy as np
import numpy.typing as npt
from blake3 import blake3
from PIL import Image, ImageOps

from siaf.errors import InputError

Frame = npt.NDArray[np.uint8]

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})
STILL_FPS = 25.0
"""Frames per second at which pictures without a clock of their own are shown."""


class FrameSource(Sequence[Frame]):
    """Frames by number, read when asked for. `height` and `width` in pixels, `fps` frames per second.

    Every access gives an array of its own: changing it changes nothing else.
    """

    height: int
    width: int
    fps: float

    @overload
    def __getitem__(self, index: int) -> Frame: ...
    @overload
    def __getitem__(self, index: slice) -> list[Frame]: ...
    def __getitem__(self, index: int | slice) -> Frame | list[Frame]:
        """Frame `index`, or a slice's list. Raises InputError if one cannot be read or has another size."""
        if isinstance(index, slice):
            return [self._checked(i) for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"there is no frame {index}, only 0 to {len(self) - 1}")
        return self._checked(index % len(self))

    def _checked(self, index: int) -> Frame:
        frame = self._read(index)
        if frame.shape != (self.height, self.width, 3):
            raise _wrong_size(self._name(index), frame.shape[1], frame.shape[0], self)
        return frame

    @abstractmethod
    def _read(self, index: int) -> Frame:
        """Frame 0 ≤ `index` < len, of whatever size it has."""

    @abstractmethod
    def _name(self, index: int) -> str:
        """What to call a frame in an error."""


class ArrayFrames(FrameSource):
    """Frames that are in memory already, or a sequence that makes them on demand.

    Raises InputError, naming frames[i], for a frame that is not uint8 H×W×3 or has another size than the
    first.
    """

    def __init__(self, frames: Sequence[Frame] | npt.NDArray[np.uint8], *, fps: float = STILL_FPS) -> None:
        if len(frames) == 0:
            raise InputError("there are no frames", field="frames")
        self._frames = frames
        self.fps = fps
        self.height, self.width = self._at(0).shape[:2]
        if isinstance(frames, list | tuple | np.ndarray):  # another sequence may be slow: checked when read
            for i in range(len(frames)):
                height, width = self._at(i).shape[:2]
                if (height, width) != (self.height, self.width):
                    raise _wrong_size(self._name(i), width, height, self, field=self._name(i))

    def __len__(self) -> int:
        return len(self._frames)

    def _at(self, index: int) -> Frame:
        frame = np.asarray(self._frames[index])
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or not frame.size:
            form = f"{frame.dtype} {'×'.join(map(str, frame.shape))}"
            raise InputError(f"a frame is uint8 H×W×3, this is {form}", field=self._name(index))
        return frame

    def _read(self, index: int) -> Frame:
        return self._at(index).copy()

    def _name(self, index: int) -> str:
        return f"frames[{index}]"


class ImageFiles(FrameSource):
    """One image file per frame, turned as its EXIF orientation says, as CVAT does.

    Raises InputError, naming the file, for an unreadable one, or one of another size than the first.
    """

    def __init__(self, paths: Sequence[Path], *, fps: float = STILL_FPS) -> None:
        if not paths:
            raise InputError("there are no images", field="video")
        self._paths = list(paths)
        self.fps = fps
        self.width, self.height = self._size(0)
        for i in range(1, len(paths)):
            size = self._size(i)
            if size != (self.width, self.height):
                raise _wrong_size(self._name(i), *size, self)

    def __len__(self) -> int:
        return len(self._paths)

    def _size(self, index: int) -> tuple[int, int]:
        """(width, height) as shown, from the file's header alone."""
        with _reading(self._paths[index]), Image.open(self._paths[index]) as image:
            turned = image.getexif().get(_ORIENTATION, 1) in _LYING
            return (image.height, image.width) if turned else image.size

    def _read(self, index: int) -> Frame:
        with _reading(self._paths[index]), Image.open(self._paths[index]) as file:
            image = ImageOps.exif_transpose(file)
            if image.mode.startswith("I;16"):  # Pillow would cut 16 bits off at 255
                image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
            return np.array(image.convert("RGB"))

    def _name(self, index: int) -> str:
        return str(self._paths[index])


def open_video(path: str | PathLike[str]) -> FrameSource:
    """The frames of a video file, a folder of images (naturally sorted: 2.jpg before 10.jpg), or one image.

    Raises InputError if there is nothing at `path`, if it is not a video, or if it has no frames.
    """
    path = Path(path)
    if path.is_dir():
        images = sorted((p for p in path.iterdir() if _is_image(p)), key=_natural_key)
        if not images:
            raise InputError(f"there are no images in {path}", field="video")
        return ImageFiles(images)
    if not path.exists():
        raise InputError(f"no such file: {path}", field="video")
    if _is_image(path):
        return ImageFiles([path])
    from siaf.decoding import VideoFile  # PyAV is large: not loaded for images and arrays

    return VideoFile(path)


def as_frames(
    frames: FrameSource | Sequence[Frame] | npt.NDArray[np.uint8] | str | PathLike[str],
) -> FrameSource:
    """A FrameSource from one, from a sequence or N×H×W×3 array of frames, or from a path."""
    if isinstance(frames, FrameSource):
        return frames
    if isinstance(frames, str | PathLike):
        return open_video(frames)
    return ArrayFrames(frames)


def frame_digest(frame: Frame) -> str:
    """Content digest of decoded pixels: 32 hex digits, equal for equal frames of whatever file."""
    digest = blake3("×".join(map(str, frame.shape)).encode())
    return digest.update(np.ascontiguousarray(frame).data).hexdigest(length=16)


_ORIENTATION = 0x0112
_LYING = (5, 6, 7, 8)


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".") and path.is_file()


def _natural_key(path: Path) -> tuple[list[tuple[int, str]], str]:
    parts = re.findall(r"[0-9]+|[^0-9]+", path.name.lower())
    return [(int(part), "") if part[0] in "0123456789" else (-1, part) for part in parts], path.name


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Whatever Pillow raises for a damaged file, as an InputError that names the file."""
    try:
        yield
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        raise InputError(f"cannot read the image {path}", field="video") from None


def _wrong_size(name: str, width: int, height: int, source: FrameSource, *, field: str = "video") -> InputError:
    first = f"{source.width}×{source.height}"
    return InputError(f"{name} is {width}×{height} pixels, the first frame {first}", field=field)
