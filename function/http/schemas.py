"""The bodies of `/v1` as pydantic models: what clients send and get, and the source of `docs/openapi.json`."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Frame = Annotated[int, Field(ge=0, description="frame number, from 0")]
Tag = Annotated[int, Field(ge=1, le=255, description="object tag")]
Digest = Annotated[
    str, Field(pattern="^[0-9a-f]{32}$", description="content digest, as siaf.frames.source.frame_digest")
]
Point = Annotated[list[float], Field(min_length=2, max_length=2, description="x, y in pixels")]
Rle = Annotated[
    Sequence[int | float],
    Field(
        min_length=5,
        description="CVAT's mask points: run lengths inside the box, then left, top, right, bottom",
    ),
]


class _Body(BaseModel):
    """Strict: a number is a number, and an unknown key is a mistake that should not pass unnoticed."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class ErrorBody(_Body):
    """What went wrong, for programs (`code`), people (`message`) and forms (`field`)."""

    code: str
    message: str
    field: str | None = None


class ErrorReply(_Body):
    """Every answer with a status of 400 or above."""

    error: ErrorBody


class ObjectModel(_Body):
    """What is known of an object; `origin` is the client's own note."""

    tag: Tag
    label: str | None = None
    origin: dict[str, str] = {}


class ObjectNote(ObjectModel):
    """What a client says of an object."""

    label: Annotated[str, Field(max_length=200)] | None = None


class OpenRequest(_Body):
    """A video: its number of frames and their size in pixels."""

    frames: Annotated[int, Field(ge=1)]
    width: Annotated[int, Field(ge=1)]
    height: Annotated[int, Field(ge=1)]
    name: Annotated[str, Field(max_length=200)] | None = None


class SessionReply(_Body):
    """A session as it stands. `revision` changes with every round, undo, removal and import."""

    id: str
    name: str | None
    frames: int
    width: int
    height: int
    revision: int
    rounds: int
    interacted: list[int] = Field(description="frames that a user scribbled on or gave a mask for")
    objects: list[ObjectModel]
    missing: int = Field(description="frames that were not uploaded yet")
    done: int = Field(description="frames that this round's propagation has finished")
    total: int = Field(description="frames that this round's propagation has to do")


class FrameDigest(_Body):
    """A frame that the client has, by content."""

    frame: Frame
    digest: Digest


class MissingRequest(_Body):
    """Frames whose content the client knows: those that the function holds, from any session, are bound to this one."""

    digests: Annotated[list[FrameDigest], Field(fail_fast=True)] = []


class MissingReply(_Body):
    """Frames that must still be uploaded, ascending."""

    missing: list[int]


class FrameReply(_Body):
    """A frame that was uploaded."""

    frame: int
    digest: str


class Stroke(_Body):
    """One scribble: object `tag`, 0 = background; a negative stroke says "not this object"."""

    tag: Annotated[int, Field(ge=0, le=255)]
    points: Annotated[list[Point], Field(min_length=1, fail_fast=True)]
    width: Annotated[float, Field(gt=0, le=1000, description="pixels")] = 3.0
    polarity: Literal["positive", "negative"] = "positive"


class FrameStrokes(_Body):
    """The strokes on one frame."""

    frame: Frame
    strokes: Annotated[list[Stroke], Field(min_length=1, fail_fast=True)]


class BoxModel(_Body):
    """Where an object is on a frame: left, top, right, bottom edge in pixels."""

    frame: Frame
    tag: Tag
    box: Annotated[list[float], Field(min_length=4, max_length=4)]


class MaskModel(_Body):
    """An object's pixels on a frame."""

    tag: Tag
    rle: Rle


class FrameMasks(_Body):
    """All objects of one frame; one that is not named is absent. Where masks overlap, the later one lies on top."""

    frame: Frame
    masks: list[MaskModel]


class ReferenceMasks(FrameMasks):
    """A human's masks of one frame. `about`: tags that they speak for, be it that those are absent; by default all."""

    about: list[Tag] | None = None


class RoundRequest(_Body):
    """One round: scribbles, boxes and human-made masks on any frames, for any objects, all taken together.

    `revision` is what the client last saw. Sending the same round again is safe: it is answered, not done twice.
    """

    revision: int
    scribbles: Annotated[list[FrameStrokes], Field(fail_fast=True)] = []
    boxes: Annotated[list[BoxModel], Field(fail_fast=True)] = []
    references: Annotated[list[ReferenceMasks], Field(fail_fast=True)] = []
    objects: list[ObjectNote] = Field(default=[], description="labels and origins to remember")


class RoundReply(_Body):
    """Index masks of this round's frames, by tag, and the number of frames to propagate now."""

    revision: int
    round: int
    frames: list[FrameMasks]
    total: int


class PropagateRequest(_Body):
    """Work for at most `budget_s` seconds. `after`: how many finished frames of this round the client has received.

    `adapt`: before a round's first frame, fit the network to the masks that people gave, if they gave one; null: as
    SIAF_ADAPT says. That may take a few calls, which finish no frame.
    """

    budget_s: Annotated[float, Field(gt=0)] | None = None
    after: Annotated[int, Field(ge=0)] | None = None
    adapt: bool | None = None
    revision: int | None = None


class ScoredMask(_Body):
    """An object on a frame: `rle` is null where it is absent; `confidence` is 0 to 1, null where a user worked."""

    tag: Tag
    rle: Rle | None
    confidence: float | None


class PropagatedFrame(_Body):
    """All objects of one finished frame."""

    frame: Frame
    masks: list[ScoredMask]


class ShrunkObject(_Body):
    """An object that the round's propagation made vanish (`gone`) or shrink by more than half on these frames."""

    tag: Tag
    gone: bool
    frames: list[Frame]


class PropagateReply(_Body):
    """Finished frames, in order. Call again with `after` = `done` until `done` equals `total`.

    First come frames of the round that took over an object which was drawn elsewhere: their masks replace earlier ones.
    """

    revision: int
    frames: list[PropagatedFrame]
    done: int
    total: int
    suggest: list[int] = Field(description="frames most worth annotating next; empty until all are done")
    shrunk: list[ShrunkObject] = Field(description="what to look at; empty until all are done")


class LimitsRequest(_Body):
    """Where masks are propagated: `within` is the first frame and the one after the last, null for all; nothing crosses
    `barriers`. They hold until others are set.
    """

    revision: int
    within: Annotated[list[Frame], Field(min_length=2, max_length=2)] | None
    barriers: list[Frame] = Field(description="each the first frame of a new part", max_length=10_000)


class RevisionRequest(_Body):
    """The revision that the client last saw."""

    revision: int


class StateReply(_Body):
    """A state was taken: of this very video ("restored"), or what another clip's session knew ("inherited")."""

    revision: int
    mode: Literal["restored", "inherited"]


class DeleteReply(_Body):
    """The session is forgotten."""

    id: str


class Limits(_Body):
    """What this function refuses to exceed."""

    max_body_bytes: int
    max_pixels: int
    max_frames: int
    max_points: int
    max_budget_s: float
    session_ttl_s: int


class InfoReply(_Body):
    """Who answers: model, weights digest (state files fit the same digest, short side and precision only), limits."""

    name: str
    version: str
    model: str
    weights: str
    device: str
    short_side: int
    interaction_short_side: int
    autocast: bool
    objects_per_pass: int
    limits: Limits


class LiveReply(_Body):
    """The process answers."""

    live: bool


class ReadyReply(_Body):
    """It can work: model loaded, store within reach."""

    ready: bool


class TensorModel(_Body):
    """An input or output, in the Open Inference Protocol's words; -1 in a shape is any length."""

    name: str
    datatype: str
    shape: list[int]


class ModelReply(_Body):
    """The Open Inference Protocol's metadata of a model. Rounds are not among it: they are calls of `/v1`."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorModel]
    outputs: list[TensorModel]
