"""A round's request to an engine: what people gave on which frames, and what there is to look at beside it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from siaf.frames.source import FrameSource
from siaf.masks import IndexMask
from siaf.model.config import MAX_TAGS
from siaf.model.propagation import FrameMemory
from siaf.prompts import FramePrompts
from siaf.scribbles import Scribble


class Places(Protocol):
    """Where every object lives in the passes of an engine (`siaf.session.objects.ObjectTable`)."""

    def groups(self, per_pass: int = MAX_TAGS) -> int:
        """How many passes of so many objects there are."""
        ...

    def slots(self, group: int, per_pass: int = MAX_TAGS) -> dict[int, int]:
        """Of one pass, slot → tag."""
        ...

    def channels(self, per_pass: int = MAX_TAGS) -> tuple[list[list[int]], NDArray[np.uint8]]:
        """Slots in use by group, and the tag of every merged channel, 0 first."""
        ...


@dataclass(frozen=True)
class InteractionRequest:
    """Strokes and boxes of the frames to segment, every object.

    `masks`: by frame. These frames start from them; others with a mask take part in across-frame attention.
    `standing`: by frame, strokes of earlier rounds that still hold (`siaf.session.standing_strokes`).
    """

    prompts: Mapping[int, FramePrompts]
    masks: Mapping[int, IndexMask]
    objects: Places
    standing: Mapping[int, Sequence[Scribble]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Reference:
    """An interacted frame of an earlier round: its number, its memory, and the tags that its mask speaks for."""

    frame: int
    memory: FrameMemory
    tags: frozenset[int]


@dataclass(frozen=True, eq=False)
class Footage:
    """What an engine may look at in a round. `features`: encoded frames, by number. `references`: interacted frames of
    earlier rounds that a frame, by number, may be compared with, nearest ones; they are made when they are asked for.
    """

    frames: FrameSource
    features: Callable[[Sequence[int]], list[Any]]
    references: Callable[[int], list[Reference]]
