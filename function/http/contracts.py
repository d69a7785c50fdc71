"""What CVAT sends to `POST /` and what it takes for an answer, as JSON (CVAT's lambda manager, 2.0 to 2.80)."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

MAX_SHAPES = 255  # one tag each
MAX_CLICKS = 2000

_Image = Annotated[str, Field(description="base64 of the frame's file")]
# One wrong pair is enough: a million of them would be a million explanations.
_Pairs = Annotated[list[Annotated[list[float], Field(min_length=2, max_length=2)]], Field(fail_fast=True)]


class _Contract(BaseModel):
    """Keys that a newer CVAT may add are ignored; numbers are numbers."""

    model_config = ConfigDict(extra="ignore", strict=True, allow_inf_nan=False)


class InteractorRequest(_Contract):
    """All clicks and boxes of a labeler on one frame so far. `obj_bbox` has two corners per box."""

    image: _Image
    pos_points: _Pairs | None = None
    neg_points: _Pairs | None = None
    obj_bbox: _Pairs | None = None
    threshold: Annotated[float, Field(gt=0, le=1)] | None = None


class TrackerRequest(_Contract):
    """Shapes to start tracking and states to go on from, index by index; null where there is none.

    A shape is `{"type", "points"}`, or a bare list of points for functions without `supported_shape_types`. Its extra
    keys `tag` and `polarity` make it a scribble or mask of a round (`function.calls.shapes.Shape`).
    """

    image: _Image
    shapes: (
        Annotated[list[dict[str, Any] | list[float] | None], Field(max_length=MAX_SHAPES, fail_fast=True)] | None
    ) = None
    states: Annotated[list[Any], Field(max_length=MAX_SHAPES)] | None = None


class CvatRequest(_Contract):
    """Either of the two, told apart by their keys."""

    image: _Image
    pos_points: _Pairs | None = None
    neg_points: _Pairs | None = None
    obj_bbox: _Pairs | None = None
    threshold: Annotated[float, Field(gt=0, le=1)] | None = None
    shapes: list[dict[str, Any] | list[float] | None] | None = None
    states: list[Any] | None = None


INTERACTOR_REPLY: dict[str, Any] = {
    "type": "object",
    "properties": {
        "mask": {"type": "array", "items": {"type": "array", "items": {"enum": [0, 255]}}},
        "shapes": {"type": "array", "items": {"type": "object", "required": ["type", "points"]}},
    },
}
TRACKER_REPLY: dict[str, Any] = {
    "type": "object",
    "required": ["shapes", "states"],
    "properties": {"shapes": {"type": "array"}, "states": {"type": "array", "items": {"type": "object"}}},
}
