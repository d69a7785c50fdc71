"""Encoded pictures as frames: the one place where pixels of a picture file become uint8 RGB."""

import io
import warnings
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile, UnidentifiedImageError

from siaf.errors import InputError
from siaf.frames.jpeg_scans import MAX_SCANS, scans
from siaf.frames.source import Frame

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
"""What is opened at all: Pillow knows many more formats, some of them doors to other programs."""
FILE_FORMATS = (*FORMATS, "JPEG2000", "AVIF", "PPM")
"""What is opened of the user's own files."""
UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError, OverflowError, cv2.error)
"""Pillow's and OpenCV's readers raise all of these for damaged files."""

Values = npt.NDArray[np.generic]
"""A picture's own values, upright: uint8 H×W×3 RGB; or deep ones (over 8 bits, or floats), H×W or H×W×3 RGB."""

_ORIENTATION = 0x0112
_END_OF_JPEG = b"\xff\xd9"
_OUTLIERS = 0.05
"""Per cent of a deep picture's pixels at either end that do not count: hot or dead ones must not set its range."""


class ImageError(InputError):
    """Not an image, or an image that cannot be read."""


class ImageTooLarge(InputError):
    """More pixels than allowed; nothing of it was decoded."""


def decode_image(data: bytes, *, max_pixels: int, field: str = "image") -> Frame:
    """An encoded image as a frame, uint8 H×W×3 RGB.

    It is turned as its EXIF orientation says, as CVAT shows it. Deep values are scaled by the picture's own range. An
    animation gives its first picture. Raises ImageTooLarge for more than `max_pixels`, and ImageError for what is
    damaged or not an image, both naming `field`.
    """
    if scans(data) > MAX_SCANS:
        raise ImageTooLarge(f"is a JPEG of more than the allowed {MAX_SCANS} scans", field=field)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's own warnings of size: `max_pixels` decides
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                width, height = image.size
                if width * height > max_pixels:
                    raise _too_large(width, height, max_pixels, field)
                return as_frame(read_values(image))
    except Image.DecompressionBombError:
        raise ImageTooLarge(f"has more than the allowed {max_pixels} pixels", field=field) from None
    except UnidentifiedImageError:
        raise ImageError("is not an image of a known format", field=field) from None
    except UNREADABLE as error:
        raise ImageError(f"cannot be read: {str(error)[:100] or type(error).__name__}", field=field) from None


@dataclass(frozen=True)
class Levels:
    """Which deep value is shown as 0 and which as 255; values beyond are cut off."""

    low: float
    high: float

    @classmethod
    def of(cls, values: Values) -> "Levels":
        """The range of one picture's values, without outliers."""
        numbers = values.astype(np.float64)
        finite = numbers[np.isfinite(numbers)]
        if finite.size:
            ends = (_OUTLIERS, 100 - _OUTLIERS)
            low, high = (float(np.percentile(finite, at, method="nearest")) for at in ends)
            if low == high:
                low, high = float(finite.min()), float(finite.max())
            if low < high:
                return cls(low, high)
        return cls(0, 1 if values.dtype.kind == "f" else 65535)  # one value everywhere: what its type can hold

    def describe(self) -> str:
        """A line for a person."""
        return f"more than 8 bits a pixel: {self.low:g} is shown as black, {self.high:g} as white"

    def __or__(self, other: "Levels") -> "Levels":
        """The range of both."""
        return Levels(min(self.low, other.low), max(self.high, other.high))

    def to_8_bits(self, values: Values) -> npt.NDArray[np.uint8]:
        """Values as 0 to 255. NaN becomes 0."""
        scaled = (values.astype(np.float64) - self.low) * (255 / (self.high - self.low))
        levels: npt.NDArray[np.uint8] = np.rint(np.nan_to_num(scaled, nan=0).clip(0, 255)).astype(np.uint8)
        return levels


def read_values(image: ImageFile.ImageFile) -> Values:
    """An opened image's values, of its present page, turned as its EXIF orientation says.

    Raises what `UNREADABLE` lists for a damaged file.
    """
    if (decoded := _jpeg(image)) is not None:
        return _turn(decoded, image.getexif().get(_ORIENTATION, 1))
    coding = image.tile[0][3] if image.tile else None
    coding = coding[0] if isinstance(coding, tuple) and coding else coding
    deep = None
    if isinstance(coding, str) and ";16" in coding and not image.mode.startswith("I"):
        deep = _deep_colours(image)  # Pillow keeps the upper eight bits only
    image.load()
    orientation = image.getexif().get(_ORIENTATION, 1)  # after a PNG's pixels, where its EXIF data may be
    if deep is not None:
        return _turn(deep, orientation)
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _turn(np.asarray(image), orientation)
    return _turn(np.array(image if image.mode == "RGB" else image.convert("RGB")), orientation)


def as_frame(values: Values, levels: Levels | None = None) -> Frame:
    """`read_values`' answer as a frame; deep values by `levels`, which are the picture's own if not given."""
    if not is_deep(values):
        return values.astype(np.uint8, copy=False)
    grey = (levels or Levels.of(values)).to_8_bits(values)
    return grey if grey.ndim == 3 else np.repeat(grey[..., None], 3, axis=2)


def is_deep(values: Values) -> bool:
    """Whether they have more than 8 bits, and so need levels."""
    return values.dtype != np.uint8


def _jpeg(image: ImageFile.ImageFile) -> npt.NDArray[np.uint8] | None:
    """A whole JPEG of one or three colours as uint8 H×W×3 RGB; None for what Pillow is to read.

    OpenCV gives the same pixels, as both use libjpeg-turbo, and skips Pillow's copies. But it fills up what a file
    lacks, which Pillow refuses; and it has ways of its own with CMYK.
    """
    file = image.fp
    if file is None or image.format != "JPEG" or image.mode not in ("RGB", "L"):
        return None
    before = file.tell()
    file.seek(0)
    data = file.read()
    file.seek(before)
    if not data.endswith(_END_OF_JPEG):
        return None
    try:
        found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:
        return None
    if found is None or found.shape != (image.height, image.width, 3):
        return None
    return found.astype(np.uint8, copy=False)


def _deep_colours(image: ImageFile.ImageFile) -> Values | None:
    """The present page of an image with 16 bits a colour, uint16 H×W×3 RGB; None if OpenCV does not read it."""
    page = image.tell()
    file = image.fp
    if file is None or (page and image.format != "TIFF"):
        return None
    before = file.tell()
    file.seek(0)
    data = np.frombuffer(file.read(), np.uint8)
    file.seek(before)
    _, pages = cv2.imdecodemulti(data, cv2.IMREAD_UNCHANGED, range=(page, page + 1))
    found = pages[0] if len(pages) else None
    if found is None or found.shape[:2] != (image.height, image.width) or found.dtype != np.uint16:
        return None
    return found[..., 2::-1] if found.ndim == 3 else found


def _turn(values: Values, orientation: int) -> Values:
    """A new array, upright. EXIF: 1 as it is, 2 mirrored, 3 upside down, 5 and above lying on a side."""
    if orientation in LYING:
        values = values.swapaxes(0, 1)  # 5; 6 to 8 are mirrored or turned further
    if orientation in (2, 3, 6, 7):
        values = values[:, ::-1]
    if orientation in (3, 4, 7, 8):
        values = values[::-1]
    return np.ascontiguousarray(values)


LYING = (5, 6, 7, 8)
"""EXIF orientations of pictures whose stored rows are the columns that are shown."""


def _too_large(width: int, height: int, max_pixels: int, field: str) -> ImageTooLarge:
    return ImageTooLarge(f"is {width}×{height}, more than the allowed {max_pixels} pixels", field=field)
