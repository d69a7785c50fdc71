"""What becomes of scribbles that rounds have taken: they stay, are marked, or are removed."""

from collections.abc import Sequence
from typing import Literal

from siaf.cvat.connection import Json
from siaf.cvat.labels import USED, Attribute, LabelBook
from siaf.cvat.strokes import Stroke
from siaf.cvat.writing import Change, as_sent

Scribbles = Literal["keep", "mark", "remove"]


def plan_tidying(used: Sequence[Stroke], wish: Scribbles, book: LabelBook) -> tuple[Change | None, int]:
    """What to do with used scribbles (None for "keep"), and how many cannot be marked for want of the attribute."""
    if wish == "keep":
        return None, 0
    if wish == "remove":
        return Change("delete", [as_sent(stroke.shape) for stroke in used]), 0
    change = Change("update")
    unmarkable = 0
    for stroke in used:
        label = book[stroke.shape["label_id"]]
        attribute = label.attribute(USED) if label is not None else None
        if label is None or attribute is None:
            unmarkable += 1
        elif label.value(stroke.shape, USED) != "true":
            change.shapes.append(_marked(stroke.shape, attribute))
    return change, unmarkable


def _marked(shape: Json, used: Attribute) -> Json:
    values = {a["spec_id"]: a["value"] for a in shape["attributes"]} | {used.id: "true"}
    return {**as_sent(shape), "attributes": [{"spec_id": k, "value": v} for k, v in values.items()]}
