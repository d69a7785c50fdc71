"""CVAT shapes and keyframes under a scribble label, or lines under an object label, as siaf's scribbles."""

from collections.abc import Container
from dataclasses import dataclass

import cv2
import numpy as np

from siaf.cvat.job.clip import JobClip
from siaf.cvat.job.fingerprints import stroke_mark
from siaf.cvat.job.labels import BACKGROUND, LABEL, NO_LABEL, POLARITY, STROKES, USED, Label, LabelBook
from siaf.cvat.server.connection import Json
from siaf.errors import InputError
from siaf.masks import Bitmap, decode_rle, distance_to_outside, from_polygon
from siaf.scribbles import Polarity, Scribble, check_scribbles

LINES = ("polyline", "points")
_BRUSH_COVER = 0.98
_MAX_DISCS = 200


@dataclass(frozen=True)
class Stroke:
    """A scribble as drawn in CVAT, or a keyframe of one that was drawn as a track; `track` is then the whole of it.

    `tag` 0 = left open, unless it is background; `label` = the object label that it names, if any. `polarity` None:
    it says something that siaf does not know. `marks`: what it may be known by to the ledger; the first is written.
    """

    frame: int
    tag: int
    label: str | None
    background: bool
    polarity: Polarity | None
    marks: tuple[str, str]
    shape: Json
    track: Json | None = None

    def used(self, taken: Container[str]) -> bool:
        """Whether it is among the marks of strokes that rounds have taken."""
        return any(mark in taken for mark in self.marks)

    def has_pixels(self, clip: JobClip) -> bool:
        """Whether it is anything but an area without a pixel in the frame."""
        return self.shape["type"] in LINES or bool(self._area(clip).any())

    def scribbles(self, tag: int, clip: JobClip) -> list[Scribble]:
        """The strokes, for the object `tag`. Raises InputError naming the shape if it cannot be one."""
        polarity = self.polarity or "positive"
        points = np.asarray(self.shape["points"], np.float64)
        try:
            if self.shape["type"] not in LINES:
                strokes = brush_strokes(self._area(clip), tag, polarity)
            elif self.shape["type"] == "points":
                strokes = [Scribble(tag, xy[None], polarity=polarity) for xy in points.reshape(-1, 2)]
            else:
                strokes = [Scribble(tag, points.reshape(-1, 2), polarity=polarity)]
            check_scribbles(strokes, height=clip.height, width=clip.width)
        except InputError as error:
            raise InputError(error.message, field=shape_name(self.shape)) from None
        return strokes

    def _area(self, clip: JobClip) -> Bitmap:
        """The pixels of a brush mask or polygon."""
        return area_of(self.shape, clip)


def area_of(shape: Json, clip: JobClip) -> Bitmap:
    """The pixels of a mask or polygon, cut off at the frame. Raises InputError naming the shape."""
    name = shape_name(shape)
    if shape["type"] == "mask":
        return decode_rle(shape["points"], height=clip.height, width=clip.width, clip=True, field=name)
    corners = np.asarray(shape["points"], np.float64).reshape(-1, 2)
    return from_polygon(corners, height=clip.height, width=clip.width, field=name)


def keyframe_shape(track: Json, keyframe: Json) -> Json:
    """A keyframe as a shape, with what it has from its track; its id is the track's."""
    common = {key: track[key] for key in ("id", "label_id", "group", "source")}
    return {**keyframe, **common, "attributes": [*track["attributes"], *keyframe["attributes"]], "of_track": True}


def shape_name(shape: Json) -> str:
    """How errors name a shape, so that a labeler finds it."""
    track = "of track " if shape.get("of_track") else ""
    return f"{shape['type']} {track}{shape['id']} on frame {shape['frame']}"


def read_stroke(shape: Json, label: Label, book: LabelBook, track: Json | None = None) -> Stroke | None:
    """A shape as a scribble, or None if it is something else. Raises InputError naming a shape that contradicts itself.

    Under the scribble label and under "background": polylines, points, polygons and brush masks. Under an object's own
    label: polylines and points, for that label's object. `track`: what the shape is a keyframe of.
    """
    carrier = book.scribble is not None and label.id == book.scribble.id
    background = label.name == BACKGROUND
    if shape["type"] not in STROKES:
        return None
    if not (carrier or background or (book.is_object(label.id) and shape["type"] in LINES)):
        return None
    tag = 0 if background else label.tag(shape, shape_name(shape))
    said = label.value(shape, POLARITY) or "positive"
    named = label.value(shape, LABEL) if carrier else label.name
    if named in (None, "", NO_LABEL) or background:
        named = None
    if carrier and tag == 0 and said == "negative" and named is None:
        background = True
    known: dict[str, Polarity] = {"positive": "positive", "negative": "negative"}
    return Stroke(
        frame=shape["frame"],
        tag=tag,
        label=named,
        background=background,
        polarity="positive" if background else known.get(said),
        marks=(
            stroke_mark(shape, label, ignore=(USED,)),
            stroke_mark(shape, label, ignore=(USED,), renamed_too=True),
        ),
        shape=shape,
        track=track,
    )


def brush_strokes(mask: Bitmap, tag: int, polarity: Polarity) -> list[Scribble]:
    """A brush mask as discs that lie inside it and cover it, largest first. Raises InputError for an empty mask."""
    left = mask.astype(np.uint8)
    total = int(left.sum())
    if total == 0:
        raise InputError("the mask is empty", field="mask")
    distance = distance_to_outside(np.pad(mask, 1))[1:-1, 1:-1]
    strokes: list[Scribble] = []
    while left.sum() > (1 - _BRUSH_COVER) * total and len(strokes) < _MAX_DISCS:
        y, x = np.unravel_index(np.argmax(distance * left), left.shape)
        radius = float(distance[y, x])
        strokes.append(Scribble.click(tag, float(x), float(y), radius=max(radius - 0.5, 0.5)))
        cv2.circle(left, (int(x), int(y)), max(1, round(radius)), 0, -1)
    if polarity == "negative":
        strokes = [Scribble(tag, s.points, s.width, "negative") for s in strokes]
    return strokes
