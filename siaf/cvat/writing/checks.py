"""Checks of everything that is about to be sent: the server itself checks almost nothing (contract §10)."""

import math

from siaf.cvat.job.clip import JobClip
from siaf.cvat.job.labels import Label, LabelBook
from siaf.cvat.server.connection import Json
from siaf.cvat.writing.changes import Change
from siaf.errors import InputError
from siaf.masks import decode_rle

_LEAST_POINTS = {"polygon": 6, "polyline": 4, "points": 2}


def check_change(change: Change, clip: JobClip, book: LabelBook) -> None:
    """Raises InputError naming the first shape that CVAT could not show, or would break an export with."""
    for i, shape in enumerate(change.shapes):
        name = f"{change.action} shape {i} (frame {shape['frame']})"
        label = _label(shape, book, name)
        _check_figure(shape, label, clip, name)
        _check_attributes(shape, label, None, change, name)
        if not 0 <= shape.get("score", 1) <= 1:
            raise InputError(f"the score {shape['score']} is not 0 to 1", field=name)
        if change.action == "create" and "id" in shape:
            raise InputError("a new shape has no id", field=name)
    for i, track in enumerate(change.tracks):
        name = f"{change.action} track {i}"
        label = _label(track, book, name)
        _check_attributes(track, label, False, change, name)
        _check_keyframes(track, label, clip, change, name)


def _label(entry: Json, book: LabelBook, name: str) -> Label:
    label = book[entry["label_id"]]
    if label is None:
        raise InputError(f"label {entry['label_id']} is not the job's", field=name)
    return label


def _check_keyframes(track: Json, label: Label, clip: JobClip, change: Change, name: str) -> None:
    frames = [keyframe["frame"] for keyframe in track["shapes"]]
    if not frames:
        raise InputError("a track without keyframes", field=name)
    if frames != sorted(set(frames)) or track["frame"] != frames[0]:
        raise InputError("keyframes must ascend from the track's first frame", field=name)
    for keyframe in track["shapes"]:
        if keyframe["type"] == "mask":
            raise InputError("CVAT cannot show tracks of masks", field=name)
        where = f"{name} (frame {keyframe['frame']})"
        _check_figure(keyframe, label, clip, where)
        _check_attributes(keyframe, label, True, change, where)


def _check_figure(shape: Json, label: Label, clip: JobClip, name: str) -> None:
    if shape["frame"] not in clip.frames:
        raise InputError(f"frame {shape['frame']} is not the job's ({clip.start} to {clip.stop})", field=name)
    points = shape["points"]
    if not all(isinstance(value, int | float) and math.isfinite(value) for value in points):
        raise InputError("coordinates must be finite numbers", field=name)
    kind = shape["type"]
    if not label.holds(kind):
        raise InputError(f"label {label.name!r} is for {label.type}, not {kind}", field=name)
    if kind == "mask":
        if not decode_rle(points, height=clip.height, width=clip.width, field=name).any():
            raise InputError("the mask is empty", field=name)
        return
    if kind == "rectangle":
        if len(points) != 4 or points[0] >= points[2] or points[1] >= points[3]:
            shown = ", ".join(f"{value:g}" for value in points)
            raise InputError(f"a rectangle is left, top, right, bottom, not {shown}", field=name)
    elif len(points) < _LEAST_POINTS.get(kind, 0) or len(points) % 2:
        raise InputError(f"a {kind} cannot have {len(points)} numbers", field=name)
    outside = min(points) < 0 or max(points[::2]) > clip.width or max(points[1::2]) > clip.height
    if outside and kind in ("rectangle", "polygon"):
        raise InputError(f"leaves the {clip.width}×{clip.height} frame", field=name)


def _check_attributes(entry: Json, label: Label, mutable: bool | None, change: Change, name: str) -> None:
    """What the job has already may be a value whose option was renamed: CVAT keeps it, and so does siaf."""
    known = {a.id: a for a in label.attributes if mutable in (None, a.mutable)}
    for value in entry["attributes"]:
        attribute = known.get(value["spec_id"])
        if attribute is None:
            raise InputError(f"attribute {value['spec_id']} is not one of label {label.name!r}", field=name)
        ours = change.action == "create" or attribute is label.tag_attribute
        if ours and value["value"] != attribute.default and not attribute.accepts(value["value"]):
            raise InputError(f"{value['value']!r} is no value of attribute {attribute.name!r}", field=name)
