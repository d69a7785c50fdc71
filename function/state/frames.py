"""A session's frames: uploaded bytes in the store, under the digest of their pixels."""

from http import HTTPStatus

from function.http.messages import ApiError
from function.runtime.timing import phase
from function.store import Store
from siaf.frames.images import decode_image
from siaf.frames.source import STILL_FPS, Frame, FrameSource
from siaf.lru import LruCache

_DECODED_BYTES = 32 * 2**20  # of a session: five frames of 1080p, one of 4K


class FramesMissing(ApiError):
    """Frames that are needed were not uploaded, or were forgotten."""

    def __init__(self, frames: list[int]) -> None:
        shown = ", ".join(map(str, frames[:10])) + (" …" if len(frames) > 10 else "")
        super().__init__(
            HTTPStatus.CONFLICT, "frames_missing", f"{len(frames)} must be uploaded first: {shown}", "frames"
        )


def frame_key(digest: str) -> str:
    """Where the encoded picture of this content digest is, for the tracker's calls."""
    return f"frame/{digest}"


def session_frame_key(digest: str, height: int, width: int) -> str:
    """Where a session's frame is. The size is part of the key: a session of another size cannot bind the frame."""
    return f"frame/{digest}-{width}x{height}"


class StoredFrames(FrameSource):
    """Frames by number, read from the store when asked for; `digests` may grow. FramesMissing for an absent one."""

    def __init__(
        self, store: Store, digests: dict[int, str], count: int, height: int, width: int, max_pixels: int
    ) -> None:
        self._store, self.digests, self._count, self._max_pixels = store, digests, count, max_pixels
        self.height, self.width, self.fps = height, width, STILL_FPS
        # A click looks at its frame and two others three times, a round at each of its frames twice.
        self._decoded: LruCache[str, Frame] = LruCache(_DECODED_BYTES, size=lambda frame: frame.nbytes)

    def __len__(self) -> int:
        return self._count

    def _read(self, index: int) -> Frame:
        digest = self.digests.get(index)
        if digest is None:
            raise FramesMissing([index])
        kept = self._decoded.get(digest)
        if kept is not None:
            return kept.copy()
        with phase("store"):
            data = self._store.get(session_frame_key(digest, self.height, self.width))
        if data is None:
            raise FramesMissing([index])
        with phase("decode"):
            frame = decode_image(data, max_pixels=self._max_pixels, field=self._name(index))
        self._decoded.put(digest, frame)
        return frame.copy()

    def _name(self, index: int) -> str:
        return f"frames[{index}]"
