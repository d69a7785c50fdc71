"""What a camera and a codec do to the pixels of a clip: tone curve, noise, blur, block artefacts."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Look:
    """What a camera and a codec do to the pixels: tone curve, noise, blur, block artefacts."""

    tables: list[Bytes]
    grain: Floats | None
    noise: float
    blur: float
    quality: int

    @classmethod
    def draw(cls, rng: np.random.Generator, length: int, grains: tuple[Floats, Floats]) -> "Look":
        gain = rng.uniform(0.75, 1.25) * rng.uniform(0.92, 1.08, 3)
        gamma = np.exp(rng.normal(0, 0.15))
        shift = rng.normal(0, 8)
        drift = rng.normal(0, 0.02) * np.arange(length) + rng.normal(0, 0.01, length)
        ramp = np.linspace(0, 1, 256) ** gamma * 255
        tables = [
            np.clip(ramp[:, None] * gain * (1 + drift[t]) + shift, 0, 255).astype(np.uint8)[None] for t in range(length)
        ]
        noise = abs(rng.normal(0, 5)) if rng.random() < 0.7 else 0.0
        blur = rng.uniform(0.4, 1.1) if rng.random() < 0.2 else 0.0
        quality = int(rng.integers(25, 80)) if rng.random() < 0.2 else 0
        return cls(tables, grains[int(rng.integers(2))] if noise > 1 else None, noise, blur, quality)

    def apply(self, picture: Bytes, t: int, rng: np.random.Generator) -> Bytes:
        picture = cv2.LUT(picture, self.tables[t]).astype(np.uint8, copy=False)
        if self.blur:
            picture = cv2.GaussianBlur(picture, (0, 0), self.blur).astype(np.uint8, copy=False)
        if self.grain is not None:
            size = picture.shape[0]
            y, x = rng.integers(0, size, 2)
            noise = self.grain[y : y + size, x : x + size]
            picture = cv2.addWeighted(picture, 1.0, noise, self.noise, 0.0, dtype=cv2.CV_8U).astype(
                np.uint8, copy=False
            )
        if self.quality:
            bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
            _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, self.quality])
            decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
            assert decoded is not None, "what OpenCV has just encoded"
            picture = cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)
        return picture
