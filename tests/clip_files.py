"""Clips of plain pictures, and files of them, for tests of what reads frames."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from siaf.frames.video_file import VideoFile

Frames = list[np.ndarray]


def pictures(count: int, height: int = 48, width: int = 64) -> Frames:
    """Frames whose grey level tells their number, with a corner that tells up from down."""
    frames = []
    for n in range(count):
        frame = np.full((height, width, 3), 8 * n % 200 + 20, np.uint8)
        frame[: height // 2, : width // 2] += 30
        frames.append(frame)
    return frames


def write_video(
    path: Path,
    frames: Sequence[np.ndarray],
    *,
    codec: str = "libx264",
    gop: int = 8,
    times: Sequence[int] | None = None,
    **options: str,
) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height = frames[0].shape[1], frames[0].shape[0]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.gop_size = gop
        stream.codec_context.time_base = stream.time_base = Fraction(1, 25)
        for n, array in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(array, format="rgb24")
            frame.pts = times[n] if times else n
            frame.time_base = Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (48, 64, 3), dtype=np.uint8)


def count_decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one with every frame that any VideoFile decodes from now on."""
    decoded: list[int] = []
    decode = VideoFile._decode

    def counting(self: VideoFile):  # type: ignore[no-untyped-def]
        for frame in decode(self):
            decoded.append(1)
            yield frame

    monkeypatch.setattr(VideoFile, "_decode", counting)
    return decoded
