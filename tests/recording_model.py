"""A model that notes what it is asked, for tests that count or watch calls."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Self

from numpy.typing import NDArray
from torch import Tensor

from siaf.model.identity import Slots
from siaf.model.loaded import FrameEncoding, Model, StepOutput
from siaf.model.partial_attention import PartialAttention
from siaf.model.propagation import FrameFeatures, FrameMemory


@dataclass(frozen=True, eq=False)
class Call:
    """`count`: of frames, or of memories that are read; `tokens` of these. `slots` as the method got them."""

    method: str
    count: int
    tokens: int = 0
    slots: Slots = field(default_factory=list)
    result: Any = None


@dataclass(frozen=True, eq=False)
class RecordingModel(Model):
    """The model that it is made `of`; `calls` in order. A method named in `failing` raises RuntimeError.

    `in_parts`: whether it may read memories in parts.
    """

    calls: list[Call] = field(default_factory=list)
    failing: set[str] = field(default_factory=set)
    in_parts: bool = True

    @classmethod
    def of(cls, model: Model, *, in_parts: bool = True) -> Self:
        """The same networks."""
        return cls(**{each.name: getattr(model, each.name) for each in fields(Model)}, in_parts=in_parts)

    def counts(self, method: str) -> list[int]:
        """Of every call of a method."""
        return [call.count for call in self.calls if call.method == method]

    @property
    def partial_reader(self) -> Model | None:
        return super().partial_reader if self.in_parts else None

    def encode_batch(self, frames: Sequence[NDArray[Any]]) -> list[FrameFeatures]:
        self._note(Call("encode_batch", len(frames)))
        return super().encode_batch(frames)

    def encode_prompts(self, frames: Sequence[NDArray[Any]], *marks: Any) -> list[FrameEncoding]:
        self._note(Call("encode_prompts", len(frames)))
        return super().encode_prompts(frames, *marks)

    def decode_masks(
        self, encodings: Sequence[FrameEncoding], strokes: Any, previous: Any, slots: Slots, *rest: Any
    ) -> Tensor:
        self._note(Call("decode_masks", len(encodings), slots=slots))
        return super().decode_masks(encodings, strokes, previous, slots, *rest)

    def read(self, features: FrameFeatures, memories: Sequence[FrameMemory], *rest: Any) -> PartialAttention:
        self._note(Call("read", len(memories), sum(memory[0][0].shape[1] for memory in memories)))
        return super().read(features, memories, *rest)

    def propagate(
        self, features: Sequence[FrameFeatures], long: Any, short: Any, slots: Slots, *rest: Any
    ) -> list[StepOutput]:
        result = super().propagate(features, long, short, slots, *rest)
        self._note(Call("propagate", len(features), slots=slots, result=result))
        return result

    def _note(self, call: Call) -> None:
        if call.method in self.failing:
            raise RuntimeError("out of memory")
        self.calls.append(call)
