"""Labels of a job: which one carries scribbles, which ones objects, and where the tag is kept.

A *scribble label* has the attributes `object` (tag), `polarity`, optionally `label` (what the object is) and `used`.
An *object label* has `object`. Without any of them it still works: every label is then one object.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from siaf.cvat.connection import Json
from siaf.errors import InputError
from siaf.masks import MAX_TAG

SCRIBBLE = "scribble"
BACKGROUND = "background"
RUN_TAG = "siaf:run"
"""A tag on any frame with this label asks `siaf cvat watch` for a round."""
OBJECT = "object"
POLARITY = "polarity"
LABEL = "label"
USED = "used"
NO_LABEL = "-"
"""Value of a scribble's `label` attribute that says nothing."""

WriteAs = Literal["mask", "polygon-track", "rectangle-track"]
SHAPE_OF: Mapping[WriteAs, str] = {"mask": "mask", "polygon-track": "polygon", "rectangle-track": "rectangle"}


@dataclass(frozen=True)
class Attribute:
    """A label's attribute."""

    id: int
    name: str
    mutable: bool
    input_type: str
    default: str
    values: tuple[str, ...]

    def accepts(self, value: str) -> bool:
        """Whether CVAT's own interface could have set this value; the server takes any (contract §10)."""
        if len(value) > 4096:
            return False
        if self.input_type in ("select", "radio"):
            return value in self.values
        if self.input_type == "checkbox":
            return value in ("true", "false")
        if self.input_type == "number":
            try:
                low, high, step = (int(v) for v in self.values)
                return low <= int(value) <= high and (int(value) - low) % step == 0
            except ValueError:
                return False
        return True


@dataclass(frozen=True)
class Label:
    """A label of a job."""

    id: int
    name: str
    type: str
    color: str
    attributes: tuple[Attribute, ...]

    @classmethod
    def from_json(cls, label: Json) -> "Label":
        """From GET /api/labels."""
        attributes = tuple(
            Attribute(a["id"], a["name"], a["mutable"], a["input_type"], a["default_value"], tuple(a["values"]))
            for a in label["attributes"]
        )
        return cls(label["id"], label["name"], label["type"], label["color"], attributes)

    def attribute(self, name: str) -> Attribute | None:
        """The attribute of this name."""
        return next((a for a in self.attributes if a.name == name), None)

    def value(self, shape: Json, name: str) -> str | None:
        """What a shape of this label has for the attribute `name`; None if the label has no such attribute."""
        attribute = self.attribute(name)
        if attribute is None:
            return None
        given = {a["spec_id"]: a["value"] for a in shape["attributes"]}
        return str(given.get(attribute.id, attribute.default))

    def holds(self, shape_type: str) -> bool:
        """Whether CVAT's interface lets people draw this type with the label."""
        return self.type in ("any", shape_type)


class LabelBook:
    """The labels of one job."""

    def __init__(self, labels: Iterable[Json]) -> None:
        self._labels = {label["id"]: Label.from_json(label) for label in labels if label.get("parent_id") is None}
        self.scribble = next((la for la in self._labels.values() if la.name == SCRIBBLE), None)
        usual = self.candidates()
        self.objects = [la for la in usual if la.attribute(OBJECT)] or usual

    @property
    def names(self) -> dict[int, str]:
        """Names by label id."""
        return {label.id: label.name for label in self._labels.values()}

    def candidates(self) -> list[Label]:
        """Labels that could be objects: neither scribble nor background, and able to hold what is written."""
        usual = (la for la in self._labels.values() if la.name not in (SCRIBBLE, BACKGROUND))
        return [la for la in usual if any(la.holds(shape) for shape in SHAPE_OF.values())]

    def __getitem__(self, label_id: int) -> Label | None:
        return self._labels.get(label_id)

    def named(self, name: str) -> Label:
        """The object label of this name. Raises InputError if there is none."""
        for label in self.objects:
            if label.name == name:
                return label
        known = ", ".join(repr(label.name) for label in self.objects) or "none"
        raise InputError(f"there is no label {name!r} for objects here (there are: {known})", field="label")

    def is_object(self, label_id: int) -> bool:
        """Whether masks of this label are objects."""
        return any(label.id == label_id for label in self.objects)

    def check_writable(self, name: str, write_as: WriteAs) -> None:
        """Raises InputError if masks, or tracks, of this label could not be opened in CVAT."""
        label = self.named(name)
        if not label.holds(SHAPE_OF[write_as]):
            raise InputError(
                f"label {name!r} is of type {label.type}: it cannot hold a {write_as}; "
                f"make it {SHAPE_OF[write_as]} or any",
                field="as",
            )


def tag_of(value: str | None, field: str) -> int:
    """The tag in an `object` attribute, 0 where it was left open. Raises InputError naming `field`."""
    if value is None or not value.strip():
        return 0
    try:
        tag = int(value)
    except ValueError:
        raise InputError(f"the attribute {OBJECT!r} is {value!r}, not a number", field=field) from None
    if not 0 <= tag <= MAX_TAG:
        raise InputError(f"the attribute {OBJECT!r} is {tag}; objects are numbered 1 to {MAX_TAG}", field=field)
    return tag
