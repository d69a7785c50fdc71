"""The one interface between sessions and what computes for them.

`siaf.model.loaded.Model`, siaf's own networks, is its first implementation. Nothing outside `siaf.model` and
`siaf.engines` knows which one runs.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from siaf.masks import IndexMask
from siaf.model.encodings import Encodings
from siaf.model.identity import Slots
from siaf.model.loaded import Frame, Model, ModelIdentity, StepOutput
from siaf.model.partial_attention import PartialAttention
from siaf.model.probabilities import Probabilities
from siaf.model.propagation import FrameMemory
from siaf.model.request import Footage, InteractionRequest
from siaf.model.segmenter import Segmenter
from siaf.model.trail import Place, Trace

Features: TypeAlias = Any
"""An encoded frame. What it holds is its engine's business; `named()` gives its tensors, `map(f)` others like it."""


class PartialReader(Protocol):
    """Reads a memory part by part, so that what a frame read of some frames is kept while the memory grows."""

    def read(
        self,
        features: Features,
        memories: Sequence[FrameMemory],
        groups: int,
        known: PartialAttention | None = None,
    ) -> PartialAttention:
        """What a frame reads of parts of a memory, joined with what is known of other parts."""
        ...


class Engine(Protocol):
    """What encodes frames, answers prompts, remembers masks and finds them on other frames. It holds no session.

    Objects live in *slots* of *groups*, at most `objects_per_pass` in a group; a memory B×N×C has an entry for every
    group. `segmenter` refines what `interact` answers, if there is one.
    """

    @property
    def name(self) -> str:
        """What users call it."""
        ...

    @property
    def digest(self) -> str:
        """Identifies the weights."""
        ...

    @property
    def identity(self) -> ModelIdentity:
        """Whose memories it can read."""
        ...

    @property
    def device(self) -> torch.device:
        """Where its tensors are."""
        ...

    @property
    def short_side(self) -> int:
        """Input size in pixels of frames for propagation."""
        ...

    @property
    def interaction_short_side(self) -> int:
        """Input size in pixels of frames for interaction."""
        ...

    @property
    def autocast(self) -> bool:
        """Whether it computes in half precision where that is deemed safe."""
        ...

    @property
    def objects_per_pass(self) -> int:
        """How many objects share an entry of a memory."""
        ...

    @property
    def segmenter(self) -> Segmenter | None:
        """What draws the masks of `interact` again."""
        ...

    @property
    def adaptable(self) -> Model | None:
        """The networks whose decoder a session may adapt, None if there are none."""
        ...

    @property
    def memory_gap(self) -> int:
        """A predicted frame enters a chain's transient memory every so many frames; 0 = never."""
        ...

    @property
    def memory_kept(self) -> int:
        """How many predicted frames a chain's transient memory holds at most (`siaf.session.memory.MAX_TRANSIENT`)."""
        ...

    @property
    def partial_reader(self) -> PartialReader | None:
        """What reads parts of a memory, None if a frame must read all of it at once."""
        ...

    @property
    def window_side(self) -> int | None:
        """Side in pixels of the square as which it sees a part of a frame, to follow small objects; None: never."""
        ...

    def adjusted(self, short_side: int | None, interaction_short_side: int | None, autocast: bool) -> "Engine":
        """The same with other input sizes, where they are given, and in half precision if `autocast`. Raises InputError
        naming `short_side` or `interaction_short_side` for a size that it cannot take.
        """
        ...

    # -- frames ---------------------------------------------------------------------------------------------------

    def encode_batch(self, frames: Sequence[Frame]) -> Sequence[Features]:
        """Features of frames of one size: independent of objects, rounds and memory, so they may be kept."""
        ...

    def features_of(self, tensors: Mapping[str, Tensor]) -> Features:
        """Features from their tensors by name; KeyError if one is missing."""
        ...

    # -- a round --------------------------------------------------------------------------------------------------

    def interact(
        self,
        footage: Footage,
        request: InteractionRequest,
        asked_before: Encodings | None = None,
        beside_before: Encodings | None = None,
    ) -> dict[int, Probabilities]:
        """What strokes and boxes say of the asked frames, all objects together; by frame, ascending.

        `asked_before` and `beside_before` keep what the engine encodes of the asked frames, and of those that take part
        beside them.
        """
        ...

    def interaction_size(self, height: int, width: int) -> tuple[int, int]:
        """Size (rows, columns) at which `interact` sees frames of height × width."""
        ...

    # -- memories -------------------------------------------------------------------------------------------------

    def reference_batch(self, features: Sequence[Features], masks: Sequence[NDArray[np.uint8]]) -> list[FrameMemory]:
        """Memories of frames whose masks are known. `masks`, of each: uint8 G×H×W, in each group's slots."""
        ...

    def memory_shapes(self, height: int, width: int) -> list[tuple[tuple[int, int], tuple[int, int]]]:
        """Of a memory of a frame of height × width, per layer: tokens and channels of its keys, and of its values."""
        ...

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """(rows, columns) of the grid on which frames of height × width are remembered."""
        ...

    def fit_memory(self, memory: FrameMemory, groups: int, grid: tuple[int, int], own: tuple[int, int]) -> FrameMemory:
        """A memory on the grid `own` for a frame with another grid and other groups of objects."""
        ...

    # -- propagation ----------------------------------------------------------------------------------------------

    def propagate(
        self,
        features: Sequence[Features],
        long: Sequence[FrameMemory],
        short: Sequence[FrameMemory],
        slots: Slots,
        size: tuple[int, int],
        known: PartialAttention | None = None,
        trails: Sequence[Any] = (),
        tags: NDArray[np.uint8] | None = None,
        places: Sequence[Place] = (),
    ) -> list[StepOutput]:
        """One step on each of several chains, all objects at once; masks at `size` = (rows, columns).

        `long`: of each chain, the memories that it reads, joined along their tokens; `places` say where those are.
        `short`: memory of the frame before. `known`: what `partial_reader` gave for a part of `long`, which then holds
        the rest.
        `trails`: what each chain knows of the frames that it passed. `tags`: the tag of every merged channel.
        """
        ...

    def trail(self, features: Features, mask: IndexMask) -> Trace | None:
        """What a chain knows that starts at a frame with this index mask, uint8 H×W; None where nothing is of use."""
        ...

    def trail_of(self, tensors: Mapping[str, Tensor], height: int, width: int, groups: int) -> Trace:
        """A trail from its tensors, for frames of height × width; ValueError, naming the tensor, for a misfit."""
        ...
