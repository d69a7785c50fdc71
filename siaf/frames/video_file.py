"""Frame-exact, lazy reading of video files of any length."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import suppress
from copy import copy
from functools import cached_property, reduce
from itertools import chain, islice, pairwise
from operator import or_
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from av.video.frame import VideoFrame

from siaf.errors import InputError
from siaf.frames.images import Levels, as_frame
from siaf.frames.source import CACHE_BYTES, STILL_FPS, Frame, FrameSource, frame_digest
from siaf.lru import LruCache

READ_AHEAD = 32
"""Frames decoded beyond the one asked for after a jump: several walks at once then jump seldom."""
_TEXT_FORMATS = ("tty", "rawvideo")
"""What FFmpeg guesses from a name's ending alone: any bytes would be a video."""
_DEEP = ("gray16le", "gray16be")
"""Pixel formats whose values fill no known part of their range: thermal cameras, X-ray."""
_NEAREST, _BILINEAR, _ACCURATE_ROUNDING, _BIT_EXACT = 0x10, 0x2, 0x40000, 0x80000
"""swscale's flags; older PyAVs have names for the first two only."""


class VideoFile(FrameSource):
    """The frames of a video file in the order shown, numbered as CVAT counts them: those that decode.

    Opening reads the timestamps of all packets and decodes the first and the last group of pictures only. If
    those do not match (cut streams, pictures that are never shown, no timestamps), it decodes the whole video
    once. Reading keeps a bounded number of decoded frames, so walking forward or backward decodes a group
    once. A frame that is damaged in the middle of the file shows the frame before it. Rotation metadata is
    applied. Where timestamps go back (in joined files), frames are numbered in the order in which
    they decode. A file gives the same pixels on every kind of processor.

    Raises InputError if the file is not a video, or no frame of it can be decoded.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open()
        self._cache: LruCache[int, VideoFrame] = LruCache(READ_AHEAD)
        self._walk: Iterator[tuple[int, VideoFrame]] = iter(())
        self._next = -1
        self._previous: VideoFrame | None = None
        self._index_packets()
        if not self._matches():
            self._index_frames()
        if not self._count:
            raise InputError(f"{path} has no frame that can be decoded", field="video")

        rate = self._stream.average_rate or self._stream.guessed_rate
        self.fps = float(rate) if rate else STILL_FPS
        first = self._decoded(0)
        frame_bytes = sum(plane.buffer_size for plane in first.planes)
        self._cache.room = max(READ_AHEAD // 2, CACHE_BYTES // frame_bytes)
        self.height, self.width = _upright(first).shape[:2]

    def __len__(self) -> int:
        return self._count

    def another(self) -> "VideoFile":
        """The file opened once more, with what is known of its frames."""
        twin = copy(self)
        twin._cache = LruCache(self._cache.room)
        twin._walk, twin._next, twin._previous = iter(()), -1, None
        twin._open()
        return twin

    def _read(self, index: int) -> Frame:
        frame = self._decoded(index)
        if frame.format.name in _DEEP:
            return _turned(as_frame(frame.to_ndarray(), self._levels), frame)
        return _upright(frame)

    @cached_property
    def _levels(self) -> Levels:
        """The range of all frames' values."""
        found = reduce(or_, (Levels.of(frame.to_ndarray()) for _, frame in self._from(0)))
        self._next = -1  # the walk that was under way has lost its place
        return found

    @property
    def notes(self) -> Sequence[str]:
        """How values of more than 8 bits are shown, once a frame was read."""
        levels = self.__dict__.get("_levels")
        return [levels.describe()] if levels else []

    def shows(self, index: int, digest: str) -> bool:
        """Also accepts the digest of what swscale gives without flags, which is how siaf used to read videos."""
        frame = self._decoded(index)
        return super().shows(index, digest) or frame_digest(_turned(frame.to_ndarray(format="rgb24"), frame)) == digest

    def _name(self, index: int) -> str:
        return f"frame {index} of {self._path}"

    def _open(self) -> None:
        """Open the file, or start again at its beginning."""
        try:
            # A playlist must not make FFmpeg open anything but local files.
            # And without "file:", a name with a colon would be an address.
            self._container = av.open(f"file:{self._path}", options={"protocol_whitelist": "file"})
        except (av.FFmpegError, OSError, ValueError):
            raise InputError(f"not a video: {self._path}", field="video") from None
        stream = self._container.streams.best("video")
        if not isinstance(stream, av.VideoStream) or self._container.format.name in _TEXT_FORMATS:
            raise InputError(f"not a video: {self._path}", field="video")
        stream.thread_type = "AUTO"
        self._stream = stream

    def _index_packets(self) -> None:
        packets, times = [], []
        with suppress(av.FFmpegError):  # a cut-off file: what came before counts
            for packet in self._container.demux(self._stream):
                if packet.size and not packet.is_discard:
                    packets.append((packet.pts, packet.is_keyframe))
                    times.append(packet.dts)
        self._set_index(packets, ascending=_ascend(times))

    def _index_frames(self) -> None:
        self._open()
        frames = [(frame.pts, frame.key_frame) for frame in self._decode()]
        self._set_index(frames, ascending=_ascend([pts for pts, _ in frames]))

    def _set_index(self, pictures: list[tuple[int | None, bool]], *, ascending: bool) -> None:
        """`pictures`: timestamp and "is a keyframe" of every packet or frame; `ascending`: in the order of time."""
        self._count = len(pictures)
        shown = sorted((pts, key) for pts, key in pictures if pts is not None)
        self._times = [pts for pts, _ in shown]
        self._numbers = {pts: n for n, pts in enumerate(self._times)}
        # Without unique timestamps that ascend, frames can only be counted from the beginning.
        self._timed = ascending and len(self._numbers) == self._count
        self._keys = [n for n, (_, key) in enumerate(shown) if n == 0 or (key and self._timed)] or [0]

    def _matches(self) -> bool:
        """Whether the first and last group of pictures decode to the frames that their packets promise."""
        if not self._timed:
            return False
        first_end = self._keys[1] if len(self._keys) > 1 else self._count
        return self._decodes(0, first_end) and (len(self._keys) == 1 or self._decodes(self._keys[-1], self._count))

    def _decodes(self, start: int, stop: int) -> bool:
        numbers = islice((number for number, _ in self._from(start)), stop - start)
        return list(numbers) == list(range(start, stop))

    def _decode(self) -> Iterator[VideoFrame]:
        """Frames from the container's position on, without packets that do not decode."""
        with suppress(av.FFmpegError):
            for packet in self._container.demux(self._stream):
                frames: list[VideoFrame] = []
                with suppress(av.error.InvalidDataError):
                    frames = packet.decode()
                yield from frames

    def _from(self, start: int) -> Iterator[tuple[int, VideoFrame]]:
        """(number, frame) from keyframe `start` on; it begins later if the file cannot be entered there."""
        if start == 0:
            self._open()
        else:
            with suppress(av.FFmpegError):
                self._container.seek(self._times[start], stream=self._stream)
        for count, frame in enumerate(self._decode()):
            number = self._numbers.get(frame.pts) if self._timed and frame.pts is not None else count
            # Pictures shown before the keyframe but stored after it lack what they refer to.
            if number is not None and number >= start:
                yield number, frame

    def _jump(self, index: int) -> Iterator[tuple[int, VideoFrame]]:
        """`_from` the last keyframe at or before `index` at which the file can be entered."""
        near = bisect_right(self._keys, index)
        for start in reversed(self._keys[max(0, near - 2) : near]):
            walk = self._from(start)
            first = next(walk, None)
            if first is not None and first[0] == start:
                return chain([first], walk)
        return self._from(0)

    def _decoded(self, index: int) -> VideoFrame:
        kept = self._cache.get(index)
        if kept is not None:
            return kept
        key = self._keys[bisect_right(self._keys, index) - 1]
        jump = not key <= self._next <= index
        if jump:
            self._walk = self._jump(index)
            self._previous = None
        shown = self._previous  # when this frame is damaged
        for number, frame in self._walk:
            self._keep(number, frame)
            if number <= index or shown is None:
                shown = frame
            if number >= index:
                break
        if shown is None:
            raise InputError(f"{self._name(index)} cannot be decoded", field="video")
        if jump:
            for number, frame in islice(self._walk, min(READ_AHEAD, self._cache.room // 2)):
                self._keep(number, frame)
                if number + 1 in self._cache:  # a walk backward comes from there
                    break
        self._cache.put(index, shown)
        return shown

    def _keep(self, number: int, frame: VideoFrame) -> None:
        self._next = number + 1
        self._previous = frame
        self._cache.put(number, frame)


def _ascend(times: list[int | None]) -> bool:
    return all(a is None or b is None or a <= b for a, b in pairwise(times))


def _upright(frame: VideoFrame) -> Frame:
    """The picture as shown, in pixels that do not depend on the processor.

    Without the flags swscale's result differs by up to 3 between SIMD and plain C. For 8 bits the nearest colour sample
    is what it takes by itself, and what the networks were trained on.
    """
    how = _NEAREST if frame.format.components[0].bits == 8 else _BILINEAR
    exact = frame.reformat(format="rgb24", interpolation=how | _ACCURATE_ROUNDING | _BIT_EXACT)
    return _turned(exact.to_ndarray(), frame)


def _turned(pixels: npt.NDArray[np.generic], frame: VideoFrame) -> Frame:
    """A display matrix turns the picture counter-clockwise by `rotation` degrees."""
    return np.ascontiguousarray(np.rot90(pixels, round(frame.rotation / 90)), np.uint8)
