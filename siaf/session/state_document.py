"""The JSON document of a state file as pydantic models: what a file from anyone has to say before any of it is used.

Types and ranges are the models' business, `check` knows what must agree with what. Pydantic rather than own code, as a
document has a hundred places where a wrong type would otherwise come up in some later call.
"""

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, FailFast, Field, ValidationError

from siaf.masks import MAX_TAG
from siaf.session.barriers import Barriers
from siaf.session.memory import MAX_TRANSIENT
from siaf.session.objects import MAX_PLACES
from siaf.session.schedule import CARRIED, Chain, Plan

FORMAT = "siaf-state"
VERSION = 2
MASKS_ONLY = "masks only"
"""In place of a model's name: no session can go on from it."""

_MOST_PASSES = 3
"""A plan passes every frame once in a chain, and once in each of the two sweeps of walks."""

Count = Annotated[int, Field(ge=0, lt=2**31)]
Frame = Count
Size = Annotated[int, Field(ge=1, lt=2**20)]
Tag = Annotated[int, Field(ge=1, le=MAX_TAG)]
Tags = Annotated[frozenset[Tag], FailFast()]
_Document = TypeVar("_Document", bound=BaseModel)


class _Part(BaseModel):
    """Strict, and without room for what this version does not know: it would be lost when the session is saved."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class StrokeEntry(_Part):
    """A scribble; `siaf.scribbles.Scribble` checks the rest."""

    tag: Annotated[int, Field(ge=0, le=MAX_TAG)]
    points: Annotated[list[tuple[float, float]], Field(min_length=1), FailFast()]
    width: float
    polarity: Literal["positive", "negative"]


class ObjectEntry(_Part):
    """As `siaf.session.objects.ObjectInfo`."""

    tag: Tag
    label: str | None
    origin: dict[str, str]


class DecoderEntry(_Part):
    """As `siaf.session.adaptation.Decoder`; `change` is a number of tensors, or None where there are none."""

    content: Annotated[str, Field(pattern="^[0-9a-f]{24}$")]
    change: Count | None


class AnnotationsEntry(_Part):
    """As `siaf.session.annotations.Annotations`; `masks` holds numbers of masks. Without adaptation
    there is no `decoder`.
    """

    masks: dict[Frame, Count]
    known: dict[Frame, Tags]
    interacted: dict[Frame, Annotated[int, Field(ge=1, lt=2**31)]]
    human: Annotated[frozenset[Frame], FailFast()]
    adopted: dict[Frame, Tags]
    places: Annotated[list[Tag | None], Field(max_length=MAX_PLACES), FailFast()]
    objects: Annotated[list[ObjectEntry], Field(max_length=MAX_TAG), FailFast()]
    decoder: DecoderEntry | None = None


class RoundEntry(_Part):
    """As `siaf.session.annotations.Round`."""

    scribbles: dict[Frame, Annotated[list[StrokeEntry], FailFast()]]
    references: Annotated[list[Frame], FailFast()]
    before: AnnotationsEntry
    boxes: dict[Frame, dict[Tag, tuple[float, float, float, float]]] = {}
    """Missing where there are none; earlier versions refuse a state that has some."""


ChainEntry = tuple[
    Annotated[int, Field(ge=CARRIED, lt=2**31)], Annotated[list[Frame], Field(min_length=1), FailFast()], Tags
]
"""Source, frames, adopted tags."""
LaneEntry = tuple[Annotated[int, Field(ge=0, le=MAX_TRANSIENT)], Count, Count]
"""Number of transient memories, frames since the last of them, frames taken."""


class PlanEntry(_Part):
    """As `siaf.session.schedule.Plan`, with the chains that run."""

    stages: Annotated[
        list[Annotated[list[ChainEntry], Field(min_length=1), FailFast()]],
        FailFast(),
    ]
    at: Count
    lanes: dict[Count, LaneEntry]
    within: tuple[Count, Count] | None = None
    """First frame that the plan fills, and the one after the last; all are filled where it is missing."""
    barriers: Annotated[tuple[Count, ...], FailFast()] = ()
    """As `siaf.session.barriers.Barriers`; earlier versions refuse a state that has some."""


class Kind(BaseModel):
    """What kind of document it is, of whatever version, and what its memories were made with."""

    format: str
    version: int
    model: Any = None
    weights: Any = None
    short_side: Any = None
    autocast: Any = None
    objects_per_pass: Any = None


class StateDocument(_Part):
    """All of it. `short_side`, `autocast` and `objects_per_pass`, like the weights, say which memories these are; files
    of earlier versions lack them, and `lost`.
    """

    format: str
    version: int
    model: str
    weights: str
    short_side: int | None = None
    autocast: bool | None = None
    objects_per_pass: int | None = None
    frames: Annotated[int, Field(ge=1, lt=2**31)]
    height: Size
    width: Size
    grid: tuple[Size, Size]
    revision: Count
    digests: dict[Frame, str]
    rounds: Annotated[list[RoundEntry], FailFast()]
    now: AnnotationsEntry
    results: dict[Frame, Count]
    confidence: dict[Frame, dict[Tag, float]]
    remembered: dict[Frame, tuple[Count, Annotated[int, Field(ge=1, le=MAX_PLACES)]]]
    plan: PlanEntry
    lost: dict[Frame, dict[Tag, bool]] = {}
    made: dict[Frame, str]
    walked: dict[str, str]

    def masks(self) -> set[int]:
        """Numbers of all masks."""
        used = {number for entry in self.all_annotations() for number in entry.masks.values()}
        return used | set(self.results.values()) | {number for number, _ in self.remembered.values()}

    def decoders(self) -> set[int]:
        """Numbers of all changes of the decoder."""
        found = {entry.decoder.change for entry in self.all_annotations() if entry.decoder is not None}
        return {number for number in found if number is not None}

    def all_annotations(self) -> list[AnnotationsEntry]:
        """The present one, and those before each round."""
        return [self.now, *(past.before for past in self.rounds)]

    def chains(self) -> list[list[Chain]]:
        """The plan's stages."""
        return [[Chain(source, tuple(frames), tags) for source, frames, tags in stage] for stage in self.plan.stages]

    @property
    def in_a_stage(self) -> bool:
        """Whether chains of a stage have begun: from there on its memory is read as it is."""
        plan = Plan(self.chains(), self.plan.at)
        return not plan.finished and plan.next() != (0, 0)


class _Drawn(BaseModel):
    masks: dict[Frame, Count]
    objects: list[ObjectEntry] = []
    decoder: DecoderEntry | None = None


class MasksDocument(BaseModel):
    """What every document says of masks, be it a session's or one of masks alone, which has little else."""

    model: str
    weights: str | None = None
    frames: Annotated[int, Field(ge=1, lt=2**31)]
    height: Size
    width: Size
    digests: dict[Frame, str] = {}
    rounds: list[object] = []
    now: _Drawn
    results: dict[Frame, Count]
    confidence: dict[Frame, dict[Tag, float]]

    @classmethod
    def read(cls, text: str) -> "MasksDocument":
        """ValueError, one line that names the place, for a document that is wrong."""
        return _validated(cls, text)


def read_text(text: str) -> StateDocument:
    """A document that is sound in itself. ValueError, one line that names the place, for any other."""
    document = _validated(StateDocument, text)
    check(document)
    return document


def _validated(kind: type[_Document], text: str) -> _Document:
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        where = ".".join(str(part)[:40] for part in first["loc"]) or "document"
        raise ValueError(f"{where}: {first['msg']}") from None


def check(document: StateDocument) -> None:
    """ValueError unless the parts of a document agree with each other."""
    _check_frames(document)
    for name, annotations in [
        ("now", document.now),
        *((f"rounds.{i}.before", past.before) for i, past in enumerate(document.rounds)),
    ]:
        _check_annotations(name, annotations)
    _require(document.digests.keys() == document.now.interacted.keys(), "digests: not those of the interacted frames")
    _check_plan(document)


def _check_frames(document: StateDocument) -> None:
    named: dict[str, set[int]] = {
        "digests": set(document.digests),
        "results": set(document.results),
        "confidence": set(document.confidence),
        "remembered": set(document.remembered),
        "lost": set(document.lost),
        "made": set(document.made),
        "now.interacted": set(document.now.interacted),
        "plan.stages": {f for stage in document.plan.stages for source, frames, _ in stage for f in (source, *frames)},
    }
    for i, past in enumerate(document.rounds):
        named[f"rounds.{i}"] = {*past.scribbles, *past.references, *past.boxes, *past.before.interacted}
    for name, frames in named.items():
        beyond = max(frames, default=0)
        _require(beyond < document.frames, f"{name}: frame {beyond} of {document.frames}")


def _check_annotations(name: str, annotations: AnnotationsEntry) -> None:
    frames = annotations.interacted.keys()
    _require(annotations.masks.keys() == frames, f"{name}.masks: not those of the interacted frames")
    _require(annotations.known.keys() == frames, f"{name}.known: not of the interacted frames")
    _require(annotations.human <= frames, f"{name}.human: not among the interacted frames")
    _require(annotations.adopted.keys() <= frames, f"{name}.adopted: not among the interacted frames")
    placed = [tag for tag in annotations.places if tag is not None]
    _require(len(placed) == len(set(placed)), f"{name}.places: a tag has two places")
    tags = sorted(entry.tag for entry in annotations.objects)
    _require(sorted(placed) == tags, f"{name}.objects: not those of places")


def _check_plan(document: StateDocument) -> None:
    now, entry = document.now, document.plan
    steps = sum(len(frames) for stage in entry.stages for _, frames, _ in stage)
    _require(steps <= _MOST_PASSES * document.frames, f"plan.stages: {steps} steps for {document.frames} frames")
    if entry.within is not None:
        _require(entry.within[0] < entry.within[1] <= document.frames, f"plan.within: not of {document.frames} frames")
    at = (0, *entry.barriers)
    _require(list(at) == sorted(set(at)) and at[-1] < document.frames, "plan.barriers: not ascending frames from 1 on")
    barriers = Barriers(entry.barriers)
    for i, stage in enumerate(entry.stages):
        for j, (source, frames, adopts) in enumerate(stage):
            name = f"plan.stages.{i}.{j}"
            _require(source in now.interacted or (source == CARRIED and not adopts), f"{name}: starts nowhere")
            _require(len(barriers.sides((max(source, 0), *frames))) == 1, f"{name}: crosses a barrier")
            _require(not adopts or frames[-1] in now.interacted, f"{name}: a walk that leads nowhere")
    _check_walks(document)
    plan = Plan(document.chains(), 0)
    _require(entry.at <= len(plan.order), f"plan.at: {entry.at} of {len(plan.order)}")
    plan.at = entry.at
    if plan.finished:
        _require(not entry.lanes, "plan.lanes: a finished plan has none")
        return
    turn, step = plan.next()
    for lane, (_, _, taken) in entry.lanes.items():
        _require(lane < len(plan.stage), f"plan.lanes.{lane}: there is no such chain")
        length = len(plan.stage[lane].frames)
        done = min(length, step + (lane < turn))
        # Chains that step in one batch may be one ahead.
        _require(done <= taken <= min(length, done + 1), f"plan.lanes.{lane}: has taken {taken} frames, not {done}")
    if document.in_a_stage:
        _require(document.remembered.keys() == now.interacted.keys(), "remembered: not the interacted frames")


def _check_walks(document: StateDocument) -> None:
    """What a walk takes along is known where it starts, be it that an earlier walk brings it there."""
    known = dict(document.now.known)
    plan = Plan(document.chains(), 0)
    ahead = {number for number, _, _ in plan.order[document.plan.at :]}
    for number in sorted(ahead):
        for chain in plan.stages[number]:
            if chain.adopts:
                _require(chain.adopts <= known[chain.source], f"plan.stages.{number}: takes along what is not known")
                known[chain.frames[-1]] |= chain.adopts


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise ValueError(message)
