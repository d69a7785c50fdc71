"""A session as plain data: what a state file holds, and what can be read of one without a model."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from siaf.masks import IndexMask
from siaf.model.loaded import ModelIdentity
from siaf.model.propagation import FrameMemory
from siaf.session.annotations import Annotations, Round
from siaf.session.barriers import Barriers
from siaf.session.confidence import Confidence
from siaf.session.mask_store import MaskStore
from siaf.session.memory import ChainMemory
from siaf.session.objects import ObjectInfo
from siaf.session.schedule import Plan
from siaf.session.shrinking import areas, losses


@dataclass(kw_only=True)
class PropagationSnapshot:
    """Where propagation stands. By frame: `results` (propagated masks), their `confidence`, `memory` (of interacted
    frames), `remembered` (packed mask and number of groups that it was made from), `made` (fingerprints of what masks
    were made from), `lost` (`siaf.session.shrinking.losses`). `carried`: memories of another clip. `lanes`: running
    chains by their number in the plan's stage. `walked`: fingerprints by walk.
    """

    results: MaskStore
    confidence: dict[int, Confidence]
    memory: dict[int, FrameMemory]
    carried: list[FrameMemory]
    remembered: dict[int, tuple[bytes, int]]
    plan: Plan
    lanes: dict[int, ChainMemory]
    lost: dict[int, dict[int, bool]]
    made: dict[int, str]
    walked: dict[str, str]
    barriers: Barriers


@dataclass(kw_only=True)
class SessionSnapshot:
    """A session. `model` says whose memories these are, `grid` (rows, columns) is that of the memories; `digests` are
    content digests of the interacted frames.
    """

    model: ModelIdentity
    frames: int
    height: int
    width: int
    grid: tuple[int, int]
    revision: int
    digests: dict[int, str]
    rounds: list[Round]
    annotations: Annotations
    propagation: PropagationSnapshot


@dataclass(frozen=True, kw_only=True)
class StateSummary:
    """What a state says of itself: the model and weights that it was made with (None: masks alone), its clip, content
    digests of the interacted frames, its objects and how many rounds there were. `adapted`: whether the session has a
    decoder of its own; False where a trial did harm, None where nothing was tried.
    """

    model: str
    weights: str | None
    frames: int
    height: int
    width: int
    digests: dict[int, str]
    objects: list[ObjectInfo]
    rounds: int
    adapted: bool | None


@dataclass(frozen=True, kw_only=True)
class SessionMasks:
    """All masks of a session of `frames` frames. `confidence` is by frame and tag, of propagated frames; `interacted`
    are the frames that a user scribbled on or gave a mask for, ascending.
    """

    masks: MaskStore
    interacted: list[int]
    confidence: dict[int, Confidence]
    frames: int

    @property
    def height(self) -> int:
        """Of every mask, in pixels."""
        return self.masks.height

    @property
    def width(self) -> int:
        """Of every mask, in pixels."""
        return self.masks.width

    def __contains__(self, frame: int) -> bool:
        return frame in self.masks

    def mask(self, frame: int) -> IndexMask:
        """Index mask of a frame, uint8 H×W; background where nothing was propagated."""
        return self.masks[frame] if frame in self.masks else np.zeros((self.height, self.width), np.uint8)

    def score(self, frame: int, tag: int) -> float:
        """Confidence of an object on a frame, 0 to 1; 1 on interacted frames."""
        return min(1.0, max(0.0, self.confidence.get(frame, {}).get(tag, 1.0)))

    def lost_since(self, before: "SessionMasks", tags: Collection[int]) -> dict[int, dict[int, bool]]:
        """By propagated frame, which of these objects lost most of what they had there
        (`siaf.session.shrinking.losses`).
        """
        found = {}
        for frame in before.masks:
            if frame in self.interacted or frame not in self.masks:
                continue
            if before.masks.packed(frame) == self.masks.packed(frame):
                continue
            had = {tag: size for tag, size in areas(before.masks[frame]).items() if tag in tags}
            lost = losses(had, areas(self.masks[frame]), self.height * self.width)
            if lost:
                found[frame] = lost
        return found
