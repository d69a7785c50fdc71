"""CVAT shapes as prompts."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from function.http.messages import bad_request, impossible, too_large
from function.state.tracked_shape import Kind
from siaf.boxes import as_box
from siaf.errors import InputError
from siaf.interactive.clicks import join_clicks
from siaf.masks import MAX_TAG, Bitmap, decode_rle, encode_rle, from_polygon
from siaf.prompts import FramePrompts, ObjectPrompt
from siaf.scribbles import DEFAULT_WIDTH, Scribble, check_scribbles

KINDS = ("rectangle", "polygon", "mask", "polyline", "points")
MAX_FRAMES = 10**6
_FAR = 1e100


@dataclass(frozen=True)
class Shape:
    """A shape as it came. `bare`: a list of points, as functions without `supported_shape_types` get them.

    The others are keys that survive CVAT. `tag` is set if the shape is part of a round: an object's, 0 for background.
    `frame` is the frame's number in a job of `frames`. `read` asks for the object instead of drawing it, `remove`
    forgets it. `reference` draws nothing either: it says that the frame's masks are a human's, be it that there are
    none, and, with `about`, which tags they speak for (by default all).
    """

    kind: Kind
    points: list[float]
    bare: bool = False
    tag: int | None = None
    polarity: Literal["positive", "negative"] = "positive"
    width: float = DEFAULT_WIDTH
    frame: int | None = None
    frames: int | None = None
    read: bool = False
    remove: bool = False
    reference: bool = False
    about: list[int] | None = None

    @property
    def draws(self) -> bool:
        """Whether it says by its points where something is."""
        return not (self.read or self.remove or self.reference)


def read_shape(raw: dict[str, Any] | list[float], name: str, max_points: int) -> Shape:
    """A shape of a tracker call. Raises ApiError or InputError naming it."""
    if isinstance(raw, list):
        if len(raw) != 4 and (len(raw) < 6 or len(raw) % 2):
            raise bad_request(f"4 numbers of a rectangle are expected, not {len(raw)}", name)
        _check_count(raw, max_points, name)
        return Shape("rectangle" if len(raw) == 4 else "polygon", raw, bare=True)
    kind = raw.get("type")
    if kind not in KINDS:
        raise impossible(f"type {str(kind)[:40]!r} cannot be tracked; known: {', '.join(KINDS)}", f"{name}.type")
    points = raw.get("points")
    if not isinstance(points, list) or not all(type(p) in (int, float) for p in points):
        raise bad_request("a flat list of numbers is expected", f"{name}.points")
    if not all(abs(p) < _FAR for p in points):  # NaN too
        raise bad_request("not all numbers are finite", f"{name}.points")
    if kind != "mask":
        _check_count(points, max_points, f"{name}.points")
        if not points or len(points) % 2:
            raise bad_request(f"{len(points)} numbers are no x, y pairs", f"{name}.points")
    return Shape(kind, points, **_extra(raw, kind, name))


def _check_count(points: list[float], max_points: int, name: str) -> None:
    if len(points) > 2 * max_points:
        raise too_large(f"{len(points) // 2} points, at most {max_points}", name)


def _extra(raw: dict[str, Any], kind: str, name: str) -> dict[str, Any]:
    """The keys of a shape that are the function's own."""
    for key, most in (("tag", MAX_TAG), ("frame", MAX_FRAMES), ("frames", MAX_FRAMES)):
        value = raw.get(key)
        if value is not None and not (type(value) is int and 0 <= value <= most):
            raise bad_request(f"must be a whole number, 0 to {most}", f"{name}.{key}")
    if raw.get("tag") == 0 and kind not in ("polyline", "points", "mask"):
        raise bad_request("a box cannot be background", f"{name}.tag")
    if raw.get("polarity", "positive") not in ("positive", "negative"):
        raise bad_request('must be "positive" or "negative"', f"{name}.polarity")
    if raw.get("polarity") == "negative" and kind not in ("polyline", "points"):
        raise bad_request("only a polyline or points can be negative", f"{name}.polarity")
    width = raw.get("width", DEFAULT_WIDTH)
    if type(width) not in (int, float) or not abs(width) < _FAR:  # NaN too
        raise bad_request("must be a number", f"{name}.width")
    if (raw.get("frame") is None) != (raw.get("frames") is None):
        raise bad_request("frame and frames go together", f"{name}.frame")
    if raw.get("tag") is not None and raw.get("frame") is None:
        raise bad_request("a shape with a tag belongs to a round: it needs frame and frames", f"{name}.frame")
    about = raw.get("about")
    if about is not None and not (isinstance(about, list) and all(type(t) is int and 1 <= t <= MAX_TAG for t in about)):
        raise bad_request(f"must be a list of whole numbers, 1 to {MAX_TAG}", f"{name}.about")
    flags = {key: raw.get(key) is True for key in ("read", "remove", "reference")}
    if any(flags.values()) and raw.get("frame") is None:
        raise bad_request("read, remove and reference need a numbered frame", f"{name}.frame")
    numbers = {key: raw.get(key) for key in ("tag", "frame", "frames", "about")}
    strokes = {"polarity": raw.get("polarity", "positive"), "width": float(width)}
    return {**numbers, **strokes, **flags}


def as_prompt(shape: Shape, tag: int, height: int, width: int, name: str) -> ObjectPrompt:
    """A shape as what the tracker understands. Raises InputError naming points, width or polarity of `name`."""
    field = f"{name}.points"
    try:
        if shape.kind == "rectangle":
            return ObjectPrompt(tag, box=as_box(shape.points, height=height, width=width, field=field))
        if shape.kind == "mask":
            mask = decode_rle(shape.points, height=height, width=width, clip=True)
            return ObjectPrompt(tag, rle=_packed(mask, field))
        points = np.array(shape.points, np.float64).reshape(-1, 2)
        if shape.kind == "polygon":
            return ObjectPrompt(tag, rle=_packed(from_polygon(points, height=height, width=width), field))
        if shape.kind == "polyline":
            strokes = [Scribble(tag, points, shape.width, shape.polarity)]
        elif shape.tag is None:
            strokes = join_clicks(points, tag, max(height, width))
        else:
            strokes = [Scribble(tag, point[None], shape.width, shape.polarity) for point in points]
        check_scribbles(strokes, height=height, width=width)
        return ObjectPrompt(tag, strokes=tuple(strokes))
    except InputError as error:
        own = error.field in ("width", "polarity")
        raise InputError(error.message, field=f"{name}.{error.field}" if own else field) from None


def add_shape(here: FramePrompts, shape: Shape, height: int, width: int, name: str) -> None:
    """Take a shape of a round into what is given on its frame. Raises InputError naming `name`.points."""
    if shape.reference:
        here.own_mask(height, width)
        if shape.about is not None:
            here.about = (here.about or frozenset()).union(shape.about)
    else:
        here.add(as_prompt(shape, shape.tag or 0, height, width, name), height, width)


def _packed(mask: Bitmap, field: str) -> list[int]:
    if not mask.any():
        raise InputError("has no pixel in the frame", field=field)
    return encode_rle(mask)
