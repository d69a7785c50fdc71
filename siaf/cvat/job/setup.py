"""`siaf cvat setup`: give a project or task the label and the attributes that scribbles and tags need."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from textwrap import fill

from siaf.cvat.job.guide import check_link, with_link
from siaf.cvat.job.labels import (
    LABEL,
    NO_LABEL,
    OBJECT,
    OTHER_OBJECT,
    OTHER_SCRIBBLE,
    POLARITY,
    RIGHT_TAG,
    RUN_TAG,
    SCRIBBLE,
    SHAPE_OF,
    USED,
    Label,
    LabelBook,
)
from siaf.cvat.server.connection import Json, Server
from siaf.errors import InputError
from siaf.tags import MAX_TAG

_COLOR = "#ffdd00"

_NUMBER = 'In the object\'s panel, set "{tag}" to a number. Use the same number for the same object on all frames.'
_WHAT = 'If the panel offers "label", choose what the object is.'
_OWN = (
    "Choose an object's own label ({own}) and the polyline tool, and draw a line inside the object. Points work too. "
    + _NUMBER
)
_OTHERS = (
    'The type of {others} allows no lines. There, choose the label "{scribble}" and the polyline tool (no other tool '
    f'offers it), draw a line, and set its "{{tag}}". {_WHAT}'
)
_SCRIBBLE = (
    'Choose the label "{scribble}" and the polyline tool (no other tool offers it), and draw a line inside an object. '
    f"{_NUMBER} {_WHAT}"
)
_REST = (
    'To say "this is not that object", draw with the label "{scribble}" and "polarity: negative". With {tag} 0 it '
    'means "this is background".',
    "Draw on several objects and several frames before you ask.",
    "Save, then run: siaf cvat sync --job N",
    "Where a mask is wrong, correct it or draw more lines. Where the object is not visible, delete its mask. Save, and "
    "sync again.",
    'To tell objects apart, set "Color by: Group" under Appearance: siaf\'s masks have their number as their group.',
)
_RIGHT = (
    f'Where all masks of a frame are right, give the frame the tag "{RIGHT_TAG}": the next round keeps them, and '
    "learns from them."
)


@dataclass
class SetupPlan:
    """What setup would change, in words and as label entries for CVAT; empty `changes` = all is there already.

    `guide` is the annotation guide's new text, if that changes; `guide_id` None = there is none yet. `scribble` and
    `tag` are the names of the label and the attribute that scribbles have. `own`: object labels that can hold lines,
    and the attribute of their number; `others`: those that cannot. `says_right`: frames can be called right.
    """

    owner: str
    changes: list[str] = field(default_factory=list)
    labels: list[Json] = field(default_factory=list)
    project: int | None = None
    task: int | None = None
    scribble: str = SCRIBBLE
    tag: str = OBJECT
    guide: str | None = None
    guide_id: int | None = None
    own: dict[str, str] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)
    says_right: bool = False

    @property
    def how_to(self) -> str:
        """What to tell labelers; the way with the fewest clicks comes first."""
        steps = [_OWN, *([_OTHERS] if self.others else [])] if self.own else [_SCRIBBLE]
        own, others = ", ".join(self.own), ", ".join(self.others)
        lines = ["How to ask for masks:"]
        for i, step in enumerate((*steps, *_REST, *[_RIGHT] * self.says_right), 1):
            tag = " or ".join(dict.fromkeys(self.own.values())) if step is _OWN else self.tag
            told = step.format(scribble=self.scribble, tag=tag, own=own, others=others)
            lines.append(fill(told, 110, initial_indent=f" {i}. ", subsequent_indent="    "))
        return "\n".join(lines)


def plan_setup(
    server: Server,
    *,
    project: int | None = None,
    task: int | None = None,
    labels: Sequence[str] | None = None,
    run_tag: bool = False,
    right_tag: bool = False,
    studio: str | None = None,
) -> SetupPlan:
    """What a project, or a task and its project, lacks.

    `labels`: object labels by name, by default all that can hold masks. `run_tag`: also the label with which labelers
    ask `siaf cvat watch` for a round. `right_tag`: also the one with which they say that a frame's masks are right.
    `studio`: an address that the annotation guide leads to. Raises InputError if neither or both owners are named, or a
    label is missing.
    """
    if (project is None) == (task is None):
        raise InputError("give --project N or --task N", field="project")
    if studio is not None:
        check_link(studio)
    owner: Json = {}
    if task is not None:
        owner = server.task(task)
        project = owner.get("project_id")
    if project is not None:
        owner = server.project(project)
        plan = SetupPlan(f"project {project}", project=project)
        found = server.labels(project_id=project)
    else:
        plan = SetupPlan(f"task {task}", task=task)
        found = server.labels(task_id=int(task or 0))
    book = LabelBook(found)
    chosen = _chosen(book, labels)
    for label in chosen:
        if label.tag_clash:
            plan.changes.append(f"label {label.name!r}: {label.tag_clash}, so siaf adds {OTHER_OBJECT!r}")
        _want(plan, label, {_tag_name(label): _number(default="0")})
        if label.holds("polyline"):
            plan.own[label.name] = _tag_name(label)
        else:
            plan.others.append(label.name)
    names = [label.name for label in chosen]
    plan.tag = OBJECT if book.scribble is None else _tag_name(book.scribble)
    wanted = {plan.tag: _number(default="1"), POLARITY: _select("radio", ["positive", "negative"])}
    if len(names) > 1:
        wanted[LABEL] = _select("select", [NO_LABEL, *names])
    wanted[USED] = {"mutable": False, "input_type": "checkbox", "default_value": "false", "values": ["false"]}
    if book.scribble_clash:
        plan.scribble = OTHER_SCRIBBLE
        plan.changes.append(f"label {SCRIBBLE!r}: {book.scribble_clash}, so siaf adds {OTHER_SCRIBBLE!r}")
    if book.scribble is None:
        plan.changes.append(f"new label {plan.scribble!r}, a polyline, with the attributes {', '.join(wanted)}")
        attributes = [{"name": name, **form} for name, form in wanted.items()]
        plan.labels.append({"name": plan.scribble, "type": "polyline", "color": _COLOR, "attributes": attributes})
    else:
        plan.scribble = book.scribble.name
        if not book.scribble.attributes:
            plan.changes.append(
                f"label {plan.scribble!r} exists already; siaf will read what you draw with it as scribbles"
                f" (if you use it for something else, add a label {OTHER_SCRIBBLE!r} first)"
            )
        _want(plan, book.scribble, wanted)
    for name, wished in ((RUN_TAG, run_tag), (RIGHT_TAG, right_tag)):
        if wished and all(label["name"] != name for label in found):
            plan.changes.append(f"new label {name!r}, a tag")
            plan.labels.append({"name": name, "type": "tag", "color": _COLOR, "attributes": []})
    plan.says_right = right_tag or any(label["name"] == RIGHT_TAG for label in found)
    if studio is not None:
        _want_link(plan, server, owner.get("guide_id"), studio)
    return plan


def apply_setup(server: Server, plan: SetupPlan) -> None:
    """Make the changes; none if there are none."""
    if plan.labels:
        server.change_labels(plan.labels, project=plan.project, task=plan.task)
    if plan.guide is not None:
        server.write_guide(plan.guide, number=plan.guide_id, project=plan.project, task=plan.task)


def _want_link(plan: SetupPlan, server: Server, guide: int | None, url: str) -> None:
    before = "" if guide is None else str(server.guide(guide)["markdown"])
    after = with_link(before, url)
    if after != before:
        plan.changes.append(f"annotation guide: a link to the studio at {url}")
        plan.guide, plan.guide_id = after, guide


def _chosen(book: LabelBook, names: Sequence[str] | None) -> list[Label]:
    if names is not None:
        every = {label.name: label for label in book.candidates()}
        for name in names:
            if name not in every:
                raise InputError(
                    f"there is no label {name!r}; there are: {', '.join(map(repr, every))}", field="labels"
                )
        return [every[name] for name in names]
    chosen = book.candidates()
    if not chosen:
        types = " or ".join(SHAPE_OF.values())
        raise InputError(f"there is no label for objects; add one of type mask, any, {types}", field="labels")
    return chosen


def _want(plan: SetupPlan, label: Label, wanted: dict[str, Json]) -> None:
    entries = []
    for name, form in wanted.items():
        old = label.attribute(name)
        if old is None:
            plan.changes.append(f"label {label.name!r}: new attribute {name!r}")
            entries.append({"name": name, **form})
        elif name in (LABEL, POLARITY) and old.input_type != "text" and not set(form["values"]) <= set(old.values):
            values = [*old.values, *(v for v in form["values"] if v not in old.values)]
            plan.changes.append(f"label {label.name!r}: attribute {name!r} gets the options it lacks")
            kept = {"mutable": old.mutable, "input_type": old.input_type, "default_value": old.default}
            entries.append({"id": old.id, "name": name, **kept, "values": values})
    if entries:
        plan.labels.append({"id": label.id, "name": label.name, "color": label.color, "attributes": entries})


def _tag_name(label: Label) -> str:
    if label.tag_attribute is not None:
        return label.tag_attribute.name
    return OTHER_OBJECT if label.tag_clash else OBJECT


def _number(default: str) -> Json:
    values = ["0", str(MAX_TAG), "1"]
    return {"mutable": False, "input_type": "number", "default_value": default, "values": values}


def _select(kind: str, values: list[str]) -> Json:
    return {"mutable": False, "input_type": kind, "default_value": values[0], "values": values}
