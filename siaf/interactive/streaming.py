"""A session whose frames are not at hand: each arrives when the session's own plan asks for it, and is not kept.

The result is exactly that of a session which has all frames.
"""

from collections.abc import Callable, Mapping

from siaf.engines.base import Engine
from siaf.errors import InputError
from siaf.frames.source import STILL_FPS, Frame, FrameSource
from siaf.masks import IndexMask
from siaf.session.confidence import Confidence
from siaf.session.feature_cache import FeatureCache
from siaf.session.session import Session
from siaf.session.state_file import dump_session, parse_session


class ArrivingFrames(FrameSource):
    """`count` frames: those in `digests` can be had again from `pictures`, and the one that has just arrived."""

    one_at_a_time = True

    def __init__(
        self, count: int, height: int, width: int, digests: Mapping[int, str], pictures: Callable[[str], Frame]
    ) -> None:
        self.height, self.width, self.fps = height, width, STILL_FPS
        self.digests = dict(digests)
        self.arrived: tuple[int, Frame] | None = None
        self._count, self._pictures = count, pictures

    def __len__(self) -> int:
        return self._count

    def _read(self, index: int) -> Frame:
        if self.arrived is not None and self.arrived[0] == index:
            return self.arrived[1]
        if index not in self.digests:
            raise InputError(f"frame {index} has not arrived", field="frame")
        return self._pictures(self.digests[index])

    def _name(self, index: int) -> str:
        return f"frame {index}"


class StreamingSession:
    """Rounds on such a session. Frames that a user works on are kept by the caller (`pictures`), by content digest."""

    def __init__(
        self,
        model: Engine,
        features: FeatureCache,
        frames: ArrivingFrames,
        state: bytes | None = None,
    ) -> None:
        self.frames = frames
        self.session = (
            Session(model, frames, cache=features, digests=frames.digests)
            if state is None
            else parse_session(state, model, frames, cache=features, digests=frames.digests)
        )

    @property
    def next_frame(self) -> int | None:
        """The frame that must arrive next; None if all are done."""
        return next(iter(self.session.plan.remaining_frames), None)

    def arrive(self, picture: Frame) -> tuple[IndexMask | None, Confidence]:
        """Take the next frame's picture: its mask and confidence.

        There is no mask where the frame is only passed, on the way of an object to another frame of the round. Raises
        InputError naming `picture` if no frame is expected, or for one of another size.
        """
        number = self.next_frame
        if number is None:
            raise InputError("all frames of the round are done", field="picture")
        self.frames.arrived = (number, picture)
        before = self.session.plan.results_done
        try:
            next(self.session.propagate())
        finally:
            self.frames.arrived = None
        if self.session.plan.results_done == before:
            return None, {}
        if number in self.session.interacted:
            return self.session.mask(number), {}
        return self.session.pop_propagated_mask(number), self.session.confidence[number]

    def dump(self) -> bytes:
        """All of it as a state file."""
        return dump_session(self.session)
