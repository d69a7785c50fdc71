"""The frame that a CVAT call carries."""

import binascii
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from function.runtime.timing import phase
from siaf.frames.images import ImageError, decode_image
from siaf.frames.source import frame_digest


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
            data = binascii.a2b_base64(text, strict_mode=True)  # base64.b64decode copies the text first
        except ValueError:
            raise ImageError("is not base64", field="image") from None
        pixels = decode_image(data, max_pixels=max_pixels)
        return Picture(data, pixels, frame_digest(pixels))
