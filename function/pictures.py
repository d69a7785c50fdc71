"""The frame that a CVAT call carries."""

import binascii
from base64 import b64decode
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from function.timing import phase
from siaf.images import ImageError, decode_image
from siaf.video import frame_digest


@dataclass(frozen=True, eq=False)
class Picture:
    """A frame as it came (a file's bytes), as pixels uint8 H×W×3, and its content digest."""

    data: bytes
    pixels: NDArray[np.uint8]
    digest: str

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.pixels.shape[0], self.pixels.shape[1]


def read_picture(text: str, max_pixels: int) -> Picture:
    """The base64 of an image file. Raises ImageError or ImageTooLarge naming `image`."""
    with phase("decode"):
        try:
            data = b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raise ImageError("is not base64", field="image") from None
        pixels = decode_image(data, max_pixels=max_pixels)
        return Picture(data, pixels, frame_digest(pixels))
