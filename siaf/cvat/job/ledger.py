"""The ledger of a job: what siaf wrote there, what people gave, and what was under way when a sync was cut off.

It is the line between siaf's shapes, which may be updated and deleted, and everybody else's, which may not. Before
every write the intention is put down (`pending`), afterwards the ids: whatever is lost in between, the next sync can
tell its own shapes from human ones by their marks (siaf.cvat.job.settling).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from siaf.cvat.server.connection import Action, Json
from siaf.errors import StateError

VERSION = 2
_LATER = ("undone", "overlap", "within", "barriers", "advise", "advised", "right")
"""What earlier versions do not know; it is only written where it says something."""


@dataclass
class OwnShape:
    """A shape that siaf wrote."""

    frame: int
    tag: int
    mark: str


@dataclass
class OwnTrack:
    """A track that siaf wrote, with the mark of each keyframe."""

    tag: int
    mark: str
    keyframes: dict[int, str]


@dataclass
class HumanShape:
    """A mask that a human drew or changed, as it was when a round took it."""

    frame: int
    tag: int
    mark: str


@dataclass
class LabeledObject:
    """An object. `by_label`: its label's only object, drawn without a number. `origin`: the job that handed it over,
    whose label it follows until somebody changes it here.
    """

    label: str
    by_label: bool = False
    origin: int | None = None


@dataclass
class Pending:
    """One write that may or may not have been done. `ids` has None for what is being created; `since` is the time (in
    seconds since the epoch) from which nobody knew.
    """

    action: Action
    ids: list[int | None]
    shapes: list[OwnShape] = field(default_factory=list)
    tracks: list[OwnTrack] = field(default_factory=list)
    since: float = 0.0


@dataclass
class Ledger:
    """`shapes`, `tracks` by CVAT id, which is below 0 for a shape that is known to be gone; `human` by "s<id>" or, for
    keyframes, "t<id>:<frame>"; frames are the task's. `labels`: the job's label names by id, as of the last sync.
    `undecided`: earlier writes that were not answered and could not be seen in the job: CVAT may do them yet.
    `undone`: what the job held that no round had taken when the last round was taken back (siaf.cvat.rounds.undone).
    `overlap`: "once" if masks that an earlier job shows on shared frames are not written. `within`: first frame of the
    session that the last round filled, and the one after the last; [] = all. `barriers`: those that nothing crosses.
    `advise`: how frames to look at next are noted in the job; `advised`: ids of issues or tags by frame. `right`:
    frames that people called right, as rounds took them.
    """

    job: int
    round: int = 0
    state: str | None = None
    propagated: bool = True
    write_as: str = "mask"
    suggest: list[int] = field(default_factory=list)
    objects: dict[int, LabeledObject] = field(default_factory=dict)
    labels: dict[int, str] = field(default_factory=dict)
    strokes: dict[str, int] = field(default_factory=dict)
    shapes: dict[int, OwnShape] = field(default_factory=dict)
    tracks: dict[int, OwnTrack] = field(default_factory=dict)
    human: dict[str, HumanShape] = field(default_factory=dict)
    absent: set[tuple[int, int]] = field(default_factory=set)
    pending: Pending | None = None
    undecided: list[Pending] = field(default_factory=list)
    carried: dict[int, str] = field(default_factory=dict)
    data_version: str = ""
    digests: dict[int, str] = field(default_factory=dict)
    remote: dict[str, str] = field(default_factory=dict)
    undone: list[str] = field(default_factory=list)
    overlap: str = "both"
    within: list[int] = field(default_factory=list)
    barriers: list[int] = field(default_factory=list)
    advise: str = "none"
    advised: dict[int, int] = field(default_factory=dict)
    right: list[int] = field(default_factory=list)

    @property
    def empty(self) -> bool:
        """Whether no sync ever did anything here."""
        return self.state is None and not self.shapes and not self.tracks and not self.pending and not self.undecided

    def dump(self) -> bytes:
        """As JSON."""
        document = asdict(self)
        document["absent"] = sorted(self.absent)
        for name in _LATER:
            if document[name] == getattr(Ledger(0), name):  # earlier versions can then read the rest
                del document[name]
        return json.dumps({"version": VERSION, **document}).encode()

    @classmethod
    def parse(cls, data: bytes, name: str) -> "Ledger":
        """The inverse of `dump`. Raises StateError naming `name`."""
        try:
            document: dict[str, Any] = json.loads(data)
            version = document.pop("version")
            if version != VERSION:  # in 1, marks covered attributes at their defaults: all shapes would look changed
                age = "a newer" if version > VERSION else "an older"
                raise StateError(f"written by {age} siaf (version {version}; this one reads {VERSION})", field=name)
            pending = document["pending"]
            return cls(
                **{
                    **document,
                    "objects": _numbered(document["objects"], LabeledObject),
                    "labels": {int(k): v for k, v in document["labels"].items()},
                    "shapes": _numbered(document["shapes"], OwnShape),
                    "tracks": {int(k): _track(v) for k, v in document["tracks"].items()},
                    "human": {k: HumanShape(**v) for k, v in document["human"].items()},
                    "absent": {(frame, tag) for frame, tag in document["absent"]},
                    "carried": {int(k): v for k, v in document["carried"].items()},
                    "digests": {int(k): v for k, v in document["digests"].items()},
                    "pending": pending and _pending(pending),
                    "advised": {int(k): v for k, v in document.get("advised", {}).items()},
                    "undecided": [_pending(write) for write in document.get("undecided", [])],
                }
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            if isinstance(error, StateError):
                raise
            raise StateError(f"damaged: {type(error).__name__}: {error}", field=name) from None

    def follow_labels(self, names: Mapping[int, str]) -> None:
        """Take over the job's label names by id: objects of a label that was renamed have its new name."""
        renamed = {old: names[number] for number, old in self.labels.items() if number in names}
        self.objects = {
            t: replace(known, label=renamed.get(known.label, known.label)) for t, known in self.objects.items()
        }
        self.labels = dict(names)

    # -- writes ---------------------------------------------------------------------------------------------------

    def done(self, ids: Sequence[int]) -> None:
        """The pending write was answered; `ids` are the server's, in the order sent."""
        pending, self.pending = self.pending, None
        if pending is None:
            return
        for number, shape in zip(ids, pending.shapes, strict=False):
            self.shapes[number] = shape
        for number, track in zip(ids, pending.tracks, strict=False):
            self.tracks[number] = track
        if pending.action == "delete":
            for number in ids:
                (self.shapes if pending.shapes else self.tracks).pop(number, None)


def _numbered(entries: Mapping[str, Json], kind: type[Any]) -> dict[int, Any]:
    return {int(key): kind(**value) for key, value in entries.items()}


def _track(value: Json) -> OwnTrack:
    return OwnTrack(value["tag"], value["mark"], {int(f): m for f, m in value["keyframes"].items()})


def _pending(value: Json) -> Pending:
    shapes, tracks = [OwnShape(**s) for s in value["shapes"]], [_track(t) for t in value["tracks"]]
    return Pending(value["action"], value["ids"], shapes, tracks, value.get("since", 0.0))
