"""Rectangles that people draw under an object's label: boxes around the object."""

import math
from dataclasses import dataclass

from siaf.boxes import Box, as_box
from siaf.cvat.job.clip import JobClip
from siaf.cvat.job.fingerprints import stroke_mark
from siaf.cvat.job.labels import Label
from siaf.cvat.job.strokes import shape_name
from siaf.cvat.server.connection import Json


@dataclass(frozen=True)
class Rectangle:
    """A rectangle, or a keyframe of one, with an object's number."""

    frame: int
    tag: int
    label: str
    mark: str
    shape: Json

    def box(self, clip: JobClip) -> Box:
        """The part of it in the frame; around a turned one. Raises InputError naming one that is empty or outside."""
        points = _upright(self.shape["points"], self.shape.get("rotation") or 0)
        return as_box(points, height=clip.height, width=clip.width, field=shape_name(self.shape))


def read_rectangle(shape: Json, label: Label, tag: int = 0) -> Rectangle | None:
    """A rectangle under an object's label as a box, None if it has no number. `tag`: if it is known without."""
    tag = tag or label.tag(shape, shape_name(shape))
    mark = stroke_mark(shape, label, ignore=())
    return Rectangle(shape["frame"], tag, label.name, mark, shape) if tag else None


def _upright(points: list[float], degrees: float) -> list[float]:
    """CVAT keeps a turned rectangle as it was before, and the angle about its centre."""
    if not degrees:
        return points
    left, top, right, bottom = points
    sine, cosine = abs(math.sin(math.radians(degrees))), abs(math.cos(math.radians(degrees)))
    width, height = right - left, bottom - top
    across, down = width * cosine + height * sine, width * sine + height * cosine
    x, y = (left + right) / 2, (top + bottom) / 2
    return [x - across / 2, y - down / 2, x + across / 2, y + down / 2]
