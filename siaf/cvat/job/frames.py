"""A job's frames, fetched chunk by chunk when somebody looks at them."""

import tempfile
import threading
import zipfile
from copy import copy
from pathlib import Path

import cv2

from siaf.cvat.job.clip import JobClip
from siaf.cvat.server.connection import Server
from siaf.errors import SiafError
from siaf.frames.images import decode_image
from siaf.frames.source import Frame, FrameSource, frame_digest, open_video
from siaf.lru import LruCache

_OPEN_VIDEOS = 2
_MAX_PIXELS = 2**30


class _Chunks:
    """A job's chunks as files, each fetched once, whoever asks; threads may."""

    def __init__(self, server: Server, clip: JobClip) -> None:
        self._server, self._clip = server, clip
        self._folder = tempfile.TemporaryDirectory(prefix="siaf-")
        self._lock = threading.Lock()

    def path(self, chunk: int) -> Path:
        """The file of a chunk."""
        path = self._file(chunk)
        with self._lock:
            if not path.exists():
                path.write_bytes(self._server.chunk(self._clip.id, chunk))
        return path

    def fetched(self, chunk: int) -> bool:
        """Whether its file is there, or nearly."""
        return self._file(chunk).exists()

    def delete(self) -> None:
        """Delete all of them."""
        self._folder.cleanup()

    def _file(self, chunk: int) -> Path:
        return Path(self._folder.name) / f"{chunk}{'.mp4' if self._clip.is_video else '.zip'}"


class JobFrames(FrameSource):
    """The frames of a job at original quality, numbered from 0 within it.

    A chunk (36 to 72 frames) is one request. Chunks stay on disk, in a temporary folder that goes away with this
    object: every one is fetched once, and memory stays bounded. Raises InputError as FrameSource, ServerFault if CVAT
    fails.
    """

    fps = 25.0

    def __init__(self, server: Server, clip: JobClip) -> None:
        self.width, self.height = clip.width, clip.height
        self._clip = clip
        self._chunks = _Chunks(server, clip)
        self._videos: LruCache[int, FrameSource] = LruCache(_OPEN_VIDEOS)

    @property
    def job(self) -> int:
        """The job's id."""
        return self._clip.id

    def to_task(self, index: int) -> int:
        """CVAT's number of a frame's picture."""
        return self._clip.seen(self._clip.to_task(index))

    def __len__(self) -> int:
        return len(self._clip)

    def another(self) -> "JobFrames":
        """The same frames for another thread, from the same chunks."""
        twin = copy(self)
        twin._videos = LruCache(_OPEN_VIDEOS)
        return twin

    def encoded(self, index: int) -> bytes:
        """The frame as an image file: a picture's own bytes, a video's frame as PNG. What a function is sent."""
        chunk, at = self._place(index)
        if not self._clip.is_video:
            return self._picture(chunk, at)
        return cv2.imencode(".png", self._read(index)[:, :, ::-1])[1].tobytes()

    def digest(self, index: int) -> str:
        """Content digest of a frame's pixels."""
        return frame_digest(self[index])

    def at_hand(self, index: int) -> bool:
        """Whether its chunk was fetched."""
        return self._chunks.fetched(self._place(index)[0])

    def shows(self, index: int, digest: str) -> bool:
        """As FrameSource; a video's chunk knows how siaf read videos before."""
        chunk, at = self._place(index)
        return self._video(chunk).shows(at, digest) if self._clip.is_video else super().shows(index, digest)

    def close(self) -> None:
        """Delete what was fetched."""
        self._videos.clear()
        self._chunks.delete()

    def _read(self, index: int) -> Frame:
        chunk, at = self._place(index)
        if self._clip.is_video:
            return self._video(chunk)[at]
        return decode_image(self._picture(chunk, at), max_pixels=_MAX_PIXELS, field=self._name(index)).copy()

    def _place(self, index: int) -> tuple[int, int]:
        """The chunk of a frame's picture, and where it is in it."""
        return divmod(self._clip.to_clip(self.to_task(index)), self._clip.chunk_size)

    def _name(self, index: int) -> str:
        return f"frame {self._clip.to_task(index)} of job {self._clip.id}"

    def _picture(self, chunk: int, at: int) -> bytes:
        with zipfile.ZipFile(self._chunks.path(chunk)) as archive:
            names = sorted(archive.namelist())
            self._check_count(chunk, len(names))
            return archive.read(names[at])

    def _video(self, chunk: int) -> FrameSource:
        video = self._videos.get(chunk)
        if video is None:
            video = open_video(self._chunks.path(chunk))
            self._check_count(chunk, len(video))
            self._videos.put(chunk, video)
        return video

    def _check_count(self, chunk: int, count: int) -> None:
        size = self._clip.chunk_size
        expected = min(size, len(self) - chunk * size)
        if count != expected:
            raise SiafError(f"chunk {chunk} of job {self._clip.id} has {count} frames instead of {expected}")
