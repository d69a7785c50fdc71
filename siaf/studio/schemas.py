"""Bodies of the studio's calls that `/v1` has not."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from function.http.schemas import BoxModel, Frame, FrameMasks, RevisionRequest, Stroke, Tag

TabId = Annotated[str, Field(min_length=1, max_length=64, description="what a tab of the page calls itself")]


class _Body(BaseModel):
    """Strict, as those of `/v1`."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class HoldRequest(_Body):
    """A tab asks for the desk; with `take` it gets it from another one."""

    tab: TabId
    take: bool = False


class ShownRequest(_Body):
    """A frame is looked at."""

    frame: Frame


class PreviewRequest(_Body):
    """What is drawn on a frame and not committed yet; `elsewhere`: tags of what is drawn on other frames.

    `sketch`: the answer may be coarser than a round's, if it comes sooner for it.
    """

    frame: Frame
    strokes: Annotated[list[Stroke], Field(fail_fast=True)] = []
    boxes: Annotated[list[BoxModel], Field(fail_fast=True)] = []
    elsewhere: Annotated[list[Tag], Field(max_length=255)] = []
    sketch: bool = False


class PreviewReply(FrameMasks):
    """`sketch`: a round may give finer masks; asked again without `sketch`, so does a preview."""

    sketch: bool


class ObjectsRequest(RevisionRequest):
    """A change of objects. "name": `label` or `color` of one; "swap", "merge" (the second becomes the first) and
    "split" (`label` and `color` are the new one's) count from `from_frame` on.
    """

    do: Literal["name", "remove", "swap", "merge", "split"]
    tags: Annotated[list[Tag], Field(min_length=1, max_length=2)]
    from_frame: Frame | None = None
    label: Annotated[str, Field(max_length=200)] | None = None
    color: Annotated[str, Field(pattern="^#[0-9a-f]{6}$")] | None = None
