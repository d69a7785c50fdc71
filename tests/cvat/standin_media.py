"""Media of the CVAT stand-in: image files or a video, given out as frames and as chunks at original quality."""

import io
import zipfile
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

Pictures = NDArray[np.uint8]


class Media:
    """What was uploaded for a task. `settings` are the upload's: start_frame, stop_frame, frame_filter, chunk_size."""

    def __init__(self, files: Sequence[tuple[str, bytes]], settings: dict[str, Any]) -> None:
        self.files = sorted(files)
        self.settings = settings
        self._chunks: dict[tuple[int, ...], tuple[bytes, str]] = {}
        self.is_video = self.files[0][0].endswith(".mp4")
        self.chunk_size = int(settings.get("chunk_size") or (36 if self.is_video else 72))
        self.chunk_type = "video" if self.is_video else "imageset"
        self.start = int(settings.get("start_frame") or 0)
        self.step = int(str(settings.get("frame_filter") or "step=1").split("=")[1])
        if self.is_video:
            stop = settings.get("stop_frame")
            chosen = slice(self.start, None if stop is None else int(stop) + 1, self.step)
            self._video = read_video(self.files[0][1])[chosen]
            self.size = len(self._video)
            self.shown = [(self.files[0][0], self._video.shape[2:0:-1])]
        else:
            self.files = [(name, upright(data)) for name, data in self.files]
            self.size = len(self.files)
            self.shown = [(name, Image.open(io.BytesIO(data)).size) for name, data in self.files]

    def chunk(self, frames: Sequence[int]) -> tuple[bytes, str]:
        """These frames as one zip of the files, or as one MP4; with the content type."""
        if tuple(frames) not in self._chunks:  # x264 does not always write the same bytes
            self._chunks[tuple(frames)] = self._pack(frames)
        return self._chunks[tuple(frames)]

    def _pack(self, frames: Sequence[int]) -> tuple[bytes, str]:
        packed = io.BytesIO()
        if self.is_video:
            write_video(packed, self._video[list(frames)])
            return packed.getvalue(), "video/mp4"
        with zipfile.ZipFile(packed, "w") as archive:
            for i, frame in enumerate(frames):
                name, content = self.files[frame]
                archive.writestr(f"{i:06d}.{name.rsplit('.', 1)[1]}", content)
        return packed.getvalue(), "application/zip"

    def frame(self, number: int, chunk: Sequence[int]) -> tuple[bytes, str]:
        """One frame: the file's own bytes, or a PNG of the picture as it is in its chunk of frames."""
        if not self.is_video:
            name, content = self.files[number]
            return content, "image/png" if name.endswith(".png") else "image/jpeg"
        picture = read_video(self.chunk(chunk)[0])[list(chunk).index(number)]
        return cv2.imencode(".png", picture[:, :, ::-1])[1].tobytes(), "image/png"


def upright(data: bytes) -> bytes:
    """An image file as CVAT keeps it: its own bytes, or, if EXIF turns it, the turned picture at full quality."""
    with Image.open(io.BytesIO(data)) as picture:
        if picture.getexif().get(ExifTags.Base.Orientation, 1) == 1:
            return data
        turned = io.BytesIO()
        ImageOps.exif_transpose(picture).save(turned, picture.format, quality=100, subsampling=0)
        return turned.getvalue()


def read_video(video: bytes) -> Pictures:
    """All pictures of an MP4, N×H×W×3 RGB."""
    with av.open(io.BytesIO(video)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def write_video(target: io.BytesIO, frames: Pictures) -> None:
    """An MP4 of N×H×W×3 RGB pictures."""
    with av.open(target, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(25), options={"crf": "17"})
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
