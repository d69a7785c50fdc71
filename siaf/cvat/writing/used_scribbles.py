"""What becomes of scribbles that rounds have taken: they stay, are marked, or are removed."""

from collections.abc import Container, Sequence
from typing import Literal

from siaf.cvat.job.labels import USED, Attribute, LabelBook
from siaf.cvat.job.strokes import Stroke
from siaf.cvat.server.connection import Json
from siaf.cvat.writing.changes import Change, as_sent

Scribbles = Literal["keep", "mark", "remove"]


def plan_tidying(
    strokes: Sequence[Stroke], taken: Container[str], wish: Scribbles, book: LabelBook
) -> tuple[Change | None, int]:
    """What to do with used scribbles (None for "keep"), and how many cannot be marked for want of the attribute.

    `taken`: marks of strokes that rounds took. A track goes, or is marked, once all its strokes were taken.
    """
    if wish == "keep":
        return None, 0
    change = Change("delete" if wish == "remove" else "update")
    open_tracks = {s.track["id"] for s in strokes if s.track is not None and not s.used(taken)}
    done: set[int] = set()
    unmarkable = 0
    for stroke in strokes:
        if not stroke.used(taken):
            continue
        entries, entry = change.shapes, stroke.shape
        if stroke.track is not None:
            entries, entry = change.tracks, stroke.track
            if entry["id"] in open_tracks | done:
                continue
            done.add(entry["id"])
        label = book[stroke.shape["label_id"]]
        attribute = label.attribute(USED) if label is not None else None
        if wish == "remove":
            entries.append(as_sent(entry))
        elif label is None or attribute is None:
            unmarkable += 1
        elif label.value(stroke.shape, USED) != "true":
            entries.append(_marked(entry, attribute))
    return change, unmarkable


def plan_return(strokes: Sequence[Stroke], taken: Container[str], book: LabelBook) -> Change:
    """Marked scribbles that no round took (any more) lose their mark."""
    change = Change("update")
    done: set[int] = set()
    for stroke in strokes:
        label = book[stroke.shape["label_id"]]
        attribute = label.attribute(USED) if label is not None else None
        if stroke.used(taken) or label is None or attribute is None or label.value(stroke.shape, USED) != "true":
            continue
        if stroke.track is None:
            change.shapes.append(_marked(stroke.shape, attribute, "false"))
        elif stroke.track["id"] not in done:
            done.add(stroke.track["id"])
            change.tracks.append(_marked(stroke.track, attribute, "false"))
    return change


def _marked(entry: Json, used: Attribute, value: str = "true") -> Json:
    """A shape or track with its attribute set; a track's keyframes have those that may change on the way."""
    if used.mutable and "shapes" in entry:
        return {**as_sent(entry), "shapes": [_marked(keyframe, used, value) for keyframe in entry["shapes"]]}
    values = {a["spec_id"]: a["value"] for a in entry["attributes"]} | {used.id: value}
    return {**as_sent(entry), "attributes": [{"spec_id": k, "value": v} for k, v in values.items()]}
