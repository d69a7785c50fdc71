"""Frame sources: video files, image folders and arrays as lazy sequences of frames.

A frame is uint8 H×W×3, RGB. All frames of a source have one size.
"""

import re
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import overload

import numpy as np
import numpy.typing as npt
from blake3 import blake3

from siaf.errors import InputError

Frame = npt.NDArray[np.uint8]

IMAGE_SUFFIXES = frozenset(
    f".{ending}"
    for ending in (
        *("jpg", "jpeg", "jpe", "jfif", "png", "apng", "webp", "avif", "bmp", "tif", "tiff"),
        *("jp2", "j2k", "ppm", "pgm", "pbm", "pnm"),
    )
)
STILL_FPS = 25.0
"""Frames per second at which pictures without a clock of their own are shown."""
CACHE_BYTES = 256 * 2**20
"""Decoded frames that a source keeps, where reading one again means to read many."""


class FrameSource(Sequence[Frame]):
    """Frames by number, read when asked for. `height` and `width` in pixels, `fps` frames per second.

    `names` are the names of picture files, None for a video. `notes` are lines for a person: what was left out.
    Every access gives a new array, so changing it changes nothing else. `one_at_a_time`: frames come in the order in
    which they are needed, and no two can be had at once.
    """

    height: int
    width: int
    fps: float
    names: Sequence[str] | None = None
    one_at_a_time = False

    @property
    def notes(self) -> Sequence[str]:
        """What a person should know of how the frames were read."""
        return ()

    def another(self) -> "FrameSource":
        """The same frames for another thread, without reading anything again.

        Itself where reading changes nothing. Two threads must not read from one source whose reading does.
        """
        return self

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

    def at_hand(self, index: int) -> bool:
        """Whether frame `index` can be read without waiting for another machine."""
        return True

    def shows(self, index: int, digest: str) -> bool:
        """Whether frame `index` has this content digest, which an older siaf may have taken."""
        return frame_digest(self[index]) == digest

    def _checked(self, index: int) -> Frame:
        frame = self._read(index)
        if frame.shape != (self.height, self.width, 3):
            raise wrong_size(self._name(index), frame.shape[1], frame.shape[0], self)
        return frame

    @abstractmethod
    def _read(self, index: int) -> Frame:
        """Frame 0 ≤ `index` < len, of whatever size it has."""

    @abstractmethod
    def _name(self, index: int) -> str:
        """What to call a frame in an error."""


class ArrayFrames(FrameSource):
    """Frames that are already in memory, or a sequence that makes them on demand.

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
                    raise wrong_size(self._name(i), width, height, self, field=self._name(i))

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


def open_video(path: str | PathLike[str]) -> FrameSource:
    """The frames of a video file, of a folder of images (naturally sorted: 2.jpg before 10.jpg), or of one image file.

    An image file may hold several frames. Only files on this machine are read, no addresses.

    Raises InputError if there is nothing at `path`, if it is not a video, or if it has no frames.
    """
    if not isinstance(path, str | PathLike):
        raise InputError(f"must be the path of a file or folder, not {type(path).__name__}", field="video")
    if (scheme := _ADDRESS.match(str(path))) and not Path(path).exists():
        what = "a plain path" if scheme[1] == "file" else "a file on this machine: download it first"
        raise InputError(f"{path} is an address; siaf reads {what}", field="video")
    path = Path(path)
    # PyAV is large: not loaded for images and arrays, nor Pillow for videos.
    if path.is_dir():
        from siaf.frames.stills import open_folder

        return open_folder(path)
    if not path.exists():
        raise InputError(f"no such file: {path}", field="video")
    if is_image(path):
        from siaf.frames.stills import open_image

        return open_image(path)
    from siaf.frames.video_file import VideoFile

    return VideoFile(path)


def as_frames(
    frames: FrameSource | Sequence[Frame] | npt.NDArray[np.uint8] | str | PathLike[str],
) -> FrameSource:
    """A FrameSource from one, from a sequence or N×H×W×3 array of frames, or from a path; else InputError."""
    if isinstance(frames, FrameSource):
        return frames
    if isinstance(frames, str | PathLike):
        return open_video(frames)
    if isinstance(frames, Mapping) or not (hasattr(frames, "__len__") and hasattr(frames, "__getitem__")):
        raise InputError(
            f"must be a list of uint8 H×W×3 arrays, an N×H×W×3 array or a path, not a {type(frames).__name__};"
            " frames are read more than once",
            field="frames",
        )
    return ArrayFrames(frames)


def frame_digest(frame: Frame) -> str:
    """Content digest of decoded pixels: 32 hex digits, equal for equal frames, whatever file they come from."""
    digest = blake3("×".join(map(str, frame.shape)).encode())
    return digest.update(np.ascontiguousarray(frame).data).hexdigest(length=16)


_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]+):/", re.IGNORECASE)


def is_image(path: Path) -> bool:
    """Whether a path is a picture file, by its ending."""
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".") and path.is_file()


def wrong_size(name: str, width: int, height: int, source: FrameSource, *, field: str = "video") -> InputError:
    """The error for a frame whose size differs from the first one of its source."""
    first = f"{source.width}×{source.height}"
    return InputError(f"{name} is {width}×{height} pixels, the first frame {first}", field=field)
