"""Labels of a job: which one carries scribbles, which ones objects, and where the tag is kept.

A *scribble label* has the attributes `object` (tag), `polarity`, optionally `label` (what the object is) and `used`.
An *object label* has `object`. Without any of them it still works: every label is then one object. Where somebody has
a label "scribble" or an attribute "object" for something else, siaf's are called "siaf:scribble" and "siaf:object".
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from siaf.cvat.server.connection import Json
from siaf.errors import InputError
from siaf.tags import MAX_TAG

SCRIBBLE, OTHER_SCRIBBLE = "scribble", "siaf:scribble"
BACKGROUND = "background"
RUN_TAG = "siaf:run"
"""A tag on any frame with this label asks `siaf cvat watch` for a round."""
RIGHT_TAG = "siaf:right"
"""A tag on a frame with this label says that all of the frame's masks are right."""
OBJECT, OTHER_OBJECT = "object", "siaf:object"
POLARITY = "polarity"
LABEL = "label"
USED = "used"
NO_LABEL = "-"
"""Value of a scribble's `label` attribute that says nothing."""

WriteAs = Literal["mask", "polygon-track", "rectangle-track"]
STROKES = ("polyline", "points", "polygon", "mask")
"""Types of shapes that can be strokes."""
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
            return self.offers(value)
        if self.input_type == "checkbox":
            return value in ("true", "false")
        if self.input_type == "number":
            try:
                low, high, step = (int(v) for v in self.values)
                return low <= int(value) <= high and (int(value) - low) % step == 0
            except ValueError:
                return False
        return True

    def offers(self, value: str) -> bool:
        """Whether it has this option; one that has no options takes any value."""
        return self.input_type not in ("select", "radio") or value in self.values

    def __str__(self) -> str:
        """What it is, for people."""
        if self.input_type == "number" and len(self.values) == 3:
            return f"a number {self.values[0]} to {self.values[1]}"
        return f"a {self.input_type}" + (f" ({', '.join(self.values)})" if len(self.values) > 1 else "")


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

    @property
    def tag_attribute(self) -> Attribute | None:
        """The attribute that holds the tag."""
        own = self.attribute(OBJECT)
        return self.attribute(OTHER_OBJECT) or (own if own is not None and _holds_tags(own) else None)

    @property
    def tag_clash(self) -> str | None:
        """What is in the way of the tag, if it is: an attribute "object" that means something else."""
        own = self.attribute(OBJECT)
        if own is None or self.tag_attribute is not None:
            return None
        return f"its attribute {OBJECT!r} is {own}, not a number 1 to {MAX_TAG}"

    def value(self, shape: Json, name: str) -> str | None:
        """What a shape of this label has for the attribute `name`; None if the label has no such attribute."""
        return _value(shape, self.attribute(name))

    def tag(self, shape: Json, field: str) -> int:
        """The tag that a shape of this label has, 0 where it was left open. Raises InputError naming `field`."""
        attribute = self.tag_attribute
        value = _value(shape, attribute)
        if attribute is None or value is None or not value.strip():
            return 0
        try:
            tag = int(value)
        except ValueError:
            raise InputError(f"the attribute {attribute.name!r} is {value!r}, not a number", field=field) from None
        if not 0 <= tag <= MAX_TAG:
            raise InputError(
                f"the attribute {attribute.name!r} is {tag}; objects are numbered 1 to {MAX_TAG}", field=field
            )
        return tag

    def holds(self, shape_type: str) -> bool:
        """Whether CVAT's interface lets people draw this type with the label."""
        return self.type in ("any", shape_type)


class LabelBook:
    """The labels of one job."""

    def __init__(self, labels: Iterable[Json]) -> None:
        self._labels = {label["id"]: Label.from_json(label) for label in labels if label.get("parent_id") is None}
        by_name = {label.name: label for label in self._labels.values()}
        first = by_name.get(SCRIBBLE)
        self.scribble_clash = scribble_clash(first) if first is not None and OTHER_SCRIBBLE not in by_name else None
        self.scribble = by_name.get(OTHER_SCRIBBLE) or (first if self.scribble_clash is None else None)
        usual = self.candidates()
        self.objects = [la for la in usual if la.tag_attribute] or usual

    @property
    def names(self) -> dict[int, str]:
        """Names by label id."""
        return {label.id: label.name for label in self._labels.values()}

    def candidates(self) -> list[Label]:
        """Labels that could be objects: neither scribble nor background, and able to hold what is written."""
        usual = (la for la in self._labels.values() if la is not self.scribble and la.name != BACKGROUND)
        return [la for la in usual if any(la.holds(shape) for shape in SHAPE_OF.values())]

    def __getitem__(self, label_id: int) -> Label | None:
        return self._labels.get(label_id)

    def named(self, name: str) -> Label:
        """The object label of this name. Raises InputError if there is none."""
        for label in self.objects:
            if label.name == name:
                return label
        known = ", ".join(repr(label.name) for label in self.objects) or "none"
        raise InputError(f"there is no label {name!r} for objects here (known: {known})", field="label")

    def named_tag(self, name: str) -> Label | None:
        """The label of this name that tags of whole frames may have."""
        return next((la for la in self._labels.values() if la.name == name and la.type in ("tag", "any")), None)

    def is_object(self, label_id: int) -> bool:
        """Whether masks of this label are objects."""
        return any(label.id == label_id for label in self.objects)

    @property
    def scribble_name(self) -> str:
        """What the label for scribbles is called, or will be once it is there."""
        return self.scribble.name if self.scribble is not None else SCRIBBLE

    def check_names(self) -> None:
        """Raises InputError if a label or attribute that siaf needs is there for something else, and no other is."""
        clashes = [(SCRIBBLE, self.scribble_clash, OTHER_SCRIBBLE)]
        if not any(label.tag_attribute for label in self.objects):
            clashes += [(label.name, label.tag_clash, OTHER_OBJECT) for label in self.objects]
        for name, clash, other in clashes:
            if clash is not None:
                raise InputError(f"{clash}; siaf cvat setup adds {other!r} instead", field=f"label {name!r}")

    def check_writable(self, name: str, write_as: WriteAs) -> None:
        """Raises InputError if masks, or tracks, of this label could not be opened in CVAT."""
        label = self.named(name)
        if not label.holds(SHAPE_OF[write_as]):
            raise InputError(
                f"label {name!r} is of type {label.type}: it cannot hold a {write_as}; "
                f"make it {SHAPE_OF[write_as]} or any",
                field="as",
            )


def scribble_clash(label: Label) -> str | None:
    """Why a label that is called "scribble" cannot be siaf's, if so."""
    if not any(label.holds(kind) for kind in STROKES):
        return f"its type, {label.type}, shows that it is used for something else"
    if label.attributes and not label.attribute(OBJECT) and not label.attribute(OTHER_OBJECT):
        names = ", ".join(repr(attribute.name) for attribute in label.attributes)
        return f"its attributes ({names}) show that it is used for something else"
    if label.tag_clash:
        return label.tag_clash
    for name, value in ((POLARITY, None), (LABEL, None), (USED, "true")):
        attribute = label.attribute(name)
        wrong = attribute is not None and (
            attribute.input_type not in ("select", "radio", "text") if value is None else not attribute.accepts(value)
        )
        if wrong:
            return f"its attribute {name!r} is {attribute}, which does not work for siaf"
    return None


def _holds_tags(attribute: Attribute) -> bool:
    return all(attribute.accepts(str(tag)) for tag in (1, 2, MAX_TAG))


def _value(shape: Json, attribute: Attribute | None) -> str | None:
    if attribute is None:
        return None
    given = {a["spec_id"]: a["value"] for a in shape["attributes"]}
    return str(given.get(attribute.id, attribute.default))
