"""Marks of shapes: equal marks = nobody changed anything that matters.

A mark covers type, frame, label, points, attributes, group, z-order and the flags that the interface offers; not the
id (an update by somebody else may keep it), nor source and score. Attributes count where they are not at their
default, so that a label may get further ones between two rounds: its shapes then have their defaults. So does a value
that is no option any more: CVAT keeps what shapes had when somebody renames an option, the default one too.
"""

import hashlib
import json
from collections.abc import Sequence

from siaf.cvat.job.labels import Label
from siaf.cvat.server.connection import Json


def shape_mark(shape: Json, label: Label) -> str:
    """Mark of a shape as sent or as read: attributes left out count with their defaults, as in CVAT."""
    return _digest([shape["label_id"], shape.get("group", 0), *_figure(shape), _values(shape, label, None)])


def stroke_mark(shape: Json, label: Label, *, ignore: Sequence[str], renamed_too: bool = False) -> str:
    """Mark of a scribble: only what says which stroke it is; the attributes of these names are left out.

    `renamed_too`: the mark that it had as long as all its values were options.
    """
    return _digest([shape["label_id"], *_figure(shape)[:3], _values(shape, label, None, ignore, renamed_too)])


def track_mark(track: Json, label: Label) -> str:
    """Mark of what a track's keyframes have in common."""
    return _digest([track["label_id"], track.get("group", 0), _values(track, label, False)])


def keyframe_mark(keyframe: Json, label: Label) -> str:
    """Mark of one keyframe of a track of this label."""
    return _digest([*_figure(keyframe), _values(keyframe, label, True)])


def _figure(shape: Json) -> list[object]:
    return [
        shape["type"],
        shape["frame"],
        [round(float(value), 3) for value in shape["points"]],
        bool(shape.get("occluded")),
        bool(shape.get("outside")),
        shape.get("z_order", 0),
        float(shape.get("rotation", 0)),
    ]


def _values(
    shape: Json, label: Label, mutable: bool | None, ignore: Sequence[str] = (), renamed_too: bool = False
) -> list[list[object]]:
    given = {a["spec_id"]: a["value"] for a in shape.get("attributes", [])}
    wanted = (a for a in label.attributes if mutable in (None, a.mutable) and a.name not in ignore)
    changed = ((a, given[a.id]) for a in wanted if given.get(a.id, a.default) != a.default)
    return [[a.id, value] for a, value in changed if renamed_too or a.offers(value)]


def _digest(content: list[object]) -> str:
    return hashlib.blake2b(json.dumps(content).encode(), digest_size=12).hexdigest()
