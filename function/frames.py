"""A session's frames: uploaded bytes in the store, under the digest of their pixels."""

from http import HTTPStatus

from function.http import ApiError
from function.store import Store
from function.timing import phase
from siaf.images import decode_image
from siaf.video import STILL_FPS, Frame, FrameSource


class FramesMissing(ApiError):
    """Frames that are needed were not uploaded, or were forgotten."""

    def __init__(self, frames: list[int]) -> None:
        shown = ", ".join(map(str, frames[:10])) + (" …" if len(frames) > 10 else "")
        super().__init__(
            HTTPStatus.CONFLICT, "frames_missing", f"{len(frames)} must be uploaded first: {shown}", "frames"
        )


def frame_key(digest: str) -> str:
    """Where the encoded frame of this content digest is."""
    return f"frame/{digest}"


class StoredFrames(FrameSource):
    """Frames by number, read from the store when asked for; `digests` may grow. FramesMissing for an absent one."""

    def __init__(
        self, store: Store, digests: dict[int, str], count: int, height: int, width: int, max_pixels: int
    ) -> None:
        self._store, self.digests, self._count, self._max_pixels = store, digests, count, max_pixels
        self.height, self.width, self.fps = height, width, STILL_FPS

    def __len__(self) -> int:
        return self._count

    def _read(self, index: int) -> Frame:
        digest = self.digests.get(index)
        with phase("store"):
            data = self._store.get(frame_key(digest)) if digest else None
        if data is None:
            raise FramesMissing([index])
        with phase("decode"):
            return decode_image(data, max_pixels=self._max_pixels, field=self._name(index))

    def _name(self, index: int) -> str:
        return f"frames[{index}]"
