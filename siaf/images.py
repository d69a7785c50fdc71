"""One encoded picture, from anyone, as a frame."""

import io
import warnings

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from siaf.errors import InputError
from siaf.jpeg_scans import MAX_SCANS, scans
from siaf.video import Frame

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
"""What is opened at all: Pillow knows many more formats, some of them doors to other programs."""


class ImageError(InputError):
    """Not an image, or one that cannot be read."""


class ImageTooLarge(InputError):
    """More pixels than allowed; nothing of it was decoded."""


def decode_image(data: bytes, *, max_pixels: int, field: str = "image") -> Frame:
    """An encoded image as a frame, uint8 H×W×3 RGB.

    Turned as its EXIF orientation says, as CVAT shows it; 16 bits become 8; of an animation the first picture. Raises
    ImageTooLarge for more than `max_pixels`, ImageError for what is damaged or no image, both naming `field`.
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
                return _pixels(image)
    except Image.DecompressionBombError:
        raise ImageTooLarge(f"has more than the allowed {max_pixels} pixels", field=field) from None
    except UnidentifiedImageError:
        raise ImageError("is not an image of a known format", field=field) from None
    # Pillow's readers raise all of these for damaged files.
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError, OverflowError) as error:
        raise ImageError(f"cannot be read: {str(error)[:100] or type(error).__name__}", field=field) from None


def _pixels(image: Image.Image) -> Frame:
    ImageOps.exif_transpose(image, in_place=True)
    upright: Image.Image = image
    if upright.mode == "I" or upright.mode.startswith("I;16"):  # Pillow would cut 16 bits off at 255
        upright = Image.fromarray((np.asarray(upright).clip(0, 65535) >> 8).astype(np.uint8))
    return np.array(upright if upright.mode == "RGB" else upright.convert("RGB"))


def _too_large(width: int, height: int, max_pixels: int, field: str) -> ImageTooLarge:
    return ImageTooLarge(f"is {width}×{height}, more than the allowed {max_pixels} pixels", field=field)
