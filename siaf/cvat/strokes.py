"""CVAT shapes under a scribble label, or lines under an object label, as siaf's scribbles."""

from dataclasses import dataclass

import cv2
import numpy as np

from siaf.cvat.connection import Json
from siaf.cvat.jobs import JobClip
from siaf.cvat.labels import BACKGROUND, LABEL, NO_LABEL, OBJECT, POLARITY, USED, Label, LabelBook, tag_of
from siaf.cvat.marks import stroke_mark
from siaf.errors import InputError
from siaf.masks import Bitmap, decode_rle
from siaf.scribbles import Polarity, Scribble, check_scribbles

LINES = ("polyline", "points")
_BRUSH_COVER = 0.98
_MAX_DISCS = 200


@dataclass(frozen=True)
class Stroke:
    """A scribble as drawn in CVAT.

    `tag` 0 = left open, unless it is background; `label` = the object label that it names, if any.
    """

    id: int
    frame: int
    tag: int
    label: str | None
    background: bool
    polarity: Polarity
    mark: str
    shape: Json

    def scribbles(self, tag: int, clip: JobClip) -> list[Scribble]:
        """The strokes, for the object `tag`. Raises InputError naming the shape if it cannot be one."""
        field = shape_name(self.shape)
        points = np.asarray(self.shape["points"], np.float64)
        try:
            if self.shape["type"] == "mask":
                bitmap = decode_rle(self.shape["points"], height=clip.height, width=clip.width, clip=True)
                strokes = brush_strokes(bitmap, tag, self.polarity)
            elif self.shape["type"] == "points":
                strokes = [Scribble(tag, xy[None], polarity=self.polarity) for xy in points.reshape(-1, 2)]
            else:
                strokes = [Scribble(tag, points.reshape(-1, 2), polarity=self.polarity)]
            check_scribbles(strokes, height=clip.height, width=clip.width)
        except InputError as error:
            raise InputError(error.message, field=field) from None
        return strokes


def shape_name(shape: Json) -> str:
    """How errors name a shape, so that a labeler finds it."""
    return f"{shape['type']} {shape['id']} on frame {shape['frame']}"


def read_stroke(shape: Json, label: Label, book: LabelBook) -> Stroke | None:
    """A shape as a scribble, or None if it is something else. Raises InputError naming a shape that contradicts itself.

    Under the scribble label and under "background": polylines, points and brush masks. Under an object's own label:
    polylines and points, for that label's object.
    """
    carrier = book.scribble is not None and label.id == book.scribble.id
    background = label.name == BACKGROUND
    if shape["type"] not in (*LINES, "mask"):
        return None
    if not (carrier or background or (book.is_object(label.id) and shape["type"] in LINES)):
        return None
    field = shape_name(shape)
    tag = 0 if background else tag_of(label.value(shape, OBJECT), field)
    negative = label.value(shape, POLARITY) == "negative"
    named = label.value(shape, LABEL) if carrier else label.name
    if named in (None, "", NO_LABEL) or background:
        named = None
    if carrier and tag == 0 and negative and named is None:
        background = True
    return Stroke(
        id=shape["id"],
        frame=shape["frame"],
        tag=tag,
        label=named,
        background=background,
        polarity="positive" if background or not negative else "negative",
        mark=stroke_mark(shape, label, ignore=(USED,)),
        shape=shape,
    )


def brush_strokes(mask: Bitmap, tag: int, polarity: Polarity) -> list[Scribble]:
    """A brush mask as discs that lie inside it and cover it, largest first. Raises InputError for an empty mask."""
    left = mask.astype(np.uint8)
    total = int(left.sum())
    if total == 0:
        raise InputError("the mask is empty", field="mask")
    distance = cv2.distanceTransform(np.pad(left, 1), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    strokes: list[Scribble] = []
    while left.sum() > (1 - _BRUSH_COVER) * total and len(strokes) < _MAX_DISCS:
        y, x = np.unravel_index(np.argmax(distance * left), left.shape)
        radius = float(distance[y, x])
        strokes.append(Scribble.click(tag, float(x), float(y), radius=max(radius - 0.5, 0.5)))
        cv2.circle(left, (int(x), int(y)), max(1, round(radius)), 0, -1)
    if polarity == "negative":
        strokes = [Scribble(tag, s.points, s.width, "negative") for s in strokes]
    return strokes
