"""What a job should hold after a round, what to change for it, and the checks before anything is sent."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from siaf.boxes import mask_box
from siaf.cvat.job.clip import JobClip
from siaf.cvat.job.fingerprints import keyframe_mark, shape_mark, track_mark
from siaf.cvat.job.labels import SHAPE_OF, Label, LabelBook, WriteAs
from siaf.cvat.job.ledger import LabeledObject, Ledger, OwnShape, OwnTrack
from siaf.cvat.job.reading import Reading, Spot
from siaf.cvat.server.connection import Action, Json
from siaf.masks import Bitmap, encode_rle, outline
from siaf.session.snapshot import SessionMasks

MAX_BATCH_SHAPES = 500
MAX_BATCH_NUMBERS = 400_000
"""Per request; one bad shape refuses its whole request, and CVAT's limit is 100 MB."""


@dataclass
class Change:
    """One write: shapes or tracks, with what the ledger will know of them."""

    action: Action
    shapes: list[Json] = field(default_factory=list)
    tracks: list[Json] = field(default_factory=list)
    own_shapes: list[OwnShape] = field(default_factory=list)
    own_tracks: list[OwnTrack] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.shapes) + len(self.tracks)

    @property
    def ids(self) -> list[int | None]:
        """Ids of the entries, None for new ones."""
        return [entry.get("id") for entry in (*self.shapes, *self.tracks)]

    def only(self, keys: Collection[str]) -> "Change":
        """The part of it about these shapes and tracks, "s<id>" or "t<id>"."""
        shapes = [i for i, shape in enumerate(self.shapes) if f"s{shape['id']}" in keys]
        tracks = [i for i, track in enumerate(self.tracks) if f"t{track['id']}" in keys]
        return Change(
            self.action,
            [self.shapes[i] for i in shapes],
            [self.tracks[i] for i in tracks],
            [self.own_shapes[i] for i in shapes if self.own_shapes],
            [self.own_tracks[i] for i in tracks if self.own_tracks],
        )


@dataclass(frozen=True)
class Wanted:
    """What decides about writing: the session's results and the human's spots."""

    results: SessionMasks
    objects: Mapping[int, LabeledObject]
    absent: set[Spot]
    human: set[Spot]

    def spots(self, clip: JobClip) -> Iterator[tuple[int, int, Bitmap]]:
        """(task frame, tag, pixels) that siaf should show, frame by frame."""
        for frame in clip.frames:
            if not clip.shows(frame):
                continue
            mask = self.results.mask(clip.to_clip(frame))
            for tag in np.flatnonzero(np.bincount(mask.ravel(), minlength=256)[1:]) + 1:
                spot = (frame, int(tag))
                if int(tag) in self.objects and spot not in self.absent and spot not in self.human:
                    yield frame, int(tag), mask == tag


def plan_changes(
    wanted: Wanted,
    annotations: Json,
    reading: Reading,
    clip: JobClip,
    book: LabelBook,
    ledger: Ledger,
    write_as: WriteAs,
) -> list[Change]:
    """All changes from what the job holds to what it should hold. Only siaf's own shapes and tracks are touched."""
    if write_as == "mask":
        shapes = _mask_changes(wanted, annotations, reading, clip, book, ledger)
        tracks = _no_tracks(reading.tracks, wanted, reading, clip, book, ledger)
    else:
        shapes = _no_shapes(annotations, reading, ledger)
        tracks = _track_changes(wanted, reading, clip, book, ledger, SHAPE_OF[write_as])
    return [change for change in (*shapes, *tracks) if len(change)]


def batches(change: Change) -> Iterator[Change]:
    """The same change in requests of bounded size."""
    start = size = 0
    sizes = [_numbers(entry) for entry in (*change.shapes, *change.tracks)]
    for i, numbers in enumerate(sizes):
        if i > start and (size + numbers > MAX_BATCH_NUMBERS or i - start >= MAX_BATCH_SHAPES):
            yield _part(change, start, i)
            start, size = i, 0
        size += numbers
    yield _part(change, start, len(sizes))


def _mask_changes(
    wanted: Wanted, annotations: Json, reading: Reading, clip: JobClip, book: LabelBook, ledger: Ledger
) -> list[Change]:
    existing = {shape["id"]: shape for shape in annotations["shapes"] if shape["id"] in reading.own}
    by_spot: dict[Spot, list[int]] = {}
    for number in sorted(existing):
        own = ledger.shapes[number]
        by_spot.setdefault((own.frame, own.tag), []).append(number)
    create, update, delete = Change("create"), Change("update"), Change("delete")
    kept = set()
    for frame, tag, bitmap in wanted.spots(clip):
        label = book.named(wanted.objects[tag].label)
        shape = _shape(frame, tag, label, encode_rle(bitmap), wanted.results.score(clip.to_clip(frame), tag))
        own = OwnShape(frame, tag, shape_mark(shape, label))
        numbers = by_spot.get((frame, tag), [])
        if not numbers:
            create.shapes.append(shape)
            create.own_shapes.append(own)
            continue
        kept.add(numbers[0])
        if ledger.shapes[numbers[0]].mark != own.mark:
            update.shapes.append({**shape, "id": numbers[0]})
            update.own_shapes.append(own)
    for number, shape in existing.items():
        if number not in kept:
            delete.shapes.append(as_sent(shape))
            delete.own_shapes.append(ledger.shapes[number])
    return [delete, update, create]


def _no_shapes(annotations: Json, reading: Reading, ledger: Ledger) -> list[Change]:
    own = [shape for shape in annotations["shapes"] if shape["id"] in reading.own]
    return [Change("delete", shapes=[as_sent(s) for s in own], own_shapes=[ledger.shapes[s["id"]] for s in own])]


def _no_tracks(
    numbers: Collection[int], wanted: Wanted, reading: Reading, clip: JobClip, book: LabelBook, ledger: Ledger
) -> list[Change]:
    """These own tracks go; where a human set keyframes of one, these stay and the others go."""
    update, delete = Change("update"), Change("delete")
    for number in numbers:
        own, old = ledger.tracks[number], reading.tracks[number]
        if own.tag in reading.relabelled:
            continue  # a human did that just now: the next round takes it
        if number not in reading.kept or own.tag not in wanted.objects:
            delete.tracks.append(as_sent(old))
            delete.own_tracks.append(own)
            continue
        label = book.named(wanted.objects[own.tag].label)
        human = _human_keyframes(old, reading, clip)
        track = _track(own.tag, label, old["shapes"][0]["type"], {}, human, clip, old)
        _update_track(update, track, old, own.tag, label, human)
    return [delete, update]


def _track_changes(
    wanted: Wanted, reading: Reading, clip: JobClip, book: LabelBook, ledger: Ledger, kind: str
) -> list[Change]:
    figures: dict[int, dict[int, list[float]]] = {}
    for frame, tag, bitmap in wanted.spots(clip):
        corners = outline(bitmap).ravel().tolist() if kind == "polygon" else list(mask_box(bitmap))
        figures.setdefault(tag, {})[frame] = corners
    existing: dict[int, Json] = {}
    doubled = []  # by a write that was done twice; the one that a human worked on is the one to keep
    for number in sorted(reading.tracks, key=lambda number: (number not in reading.kept, number)):
        if existing.setdefault(ledger.tracks[number].tag, reading.tracks[number])["id"] != number:
            doubled.append(number)
    create, update, delete = Change("create"), Change("update"), Change("delete")
    for tag in sorted((figures.keys() | existing.keys()) - reading.relabelled.keys()):  # these the next round takes
        old = existing.get(tag)
        human = _human_keyframes(old, reading, clip) if old is not None else {}
        if tag not in wanted.objects or not (figures.get(tag) or human):
            if old is not None:
                delete.tracks.append(as_sent(old))
                delete.own_tracks.append(ledger.tracks[old["id"]])
            continue
        label = book.named(wanted.objects[tag].label)
        track = _track(tag, label, kind, figures.get(tag, {}), human, clip, old)
        if old is None:
            create.tracks.append(track)
            create.own_tracks.append(_own_track(track, tag, label, human))
        else:
            _update_track(update, track, old, tag, label, human)
    return [*_no_tracks(doubled, wanted, reading, clip, book, ledger), delete, update, create]


def _update_track(update: Change, track: Json, old: Json, tag: int, label: Label, human: Mapping[int, Json]) -> None:
    if _own_track(track, tag, label, {}) != _own_track(old, tag, label, {}):
        update.tracks.append({**track, "id": old["id"]})
        update.own_tracks.append(_own_track(track, tag, label, human))


def _human_keyframes(track: Json, reading: Reading, clip: JobClip) -> dict[int, Json]:
    """Keyframes of an own track that a human set: they stay exactly as they are."""
    frames = reading.kept.get(track["id"], set())
    return {k["frame"]: k for k in track["shapes"] if k["frame"] in frames or not clip.shows(k["frame"])}


def _own_track(track: Json, tag: int, label: Label, human: Mapping[int, Json]) -> OwnTrack:
    keyframes = {k["frame"]: keyframe_mark(k, label) for k in track["shapes"] if k["frame"] not in human}
    return OwnTrack(tag, track_mark(track, label), keyframes)


def _track(
    tag: int,
    label: Label,
    kind: str,
    figures: Mapping[int, list[float]],
    human: Mapping[int, Json],
    clip: JobClip,
    old: Json | None,
) -> Json:
    """A track with a keyframe on every frame where the object is, and `outside` where it goes (contract §4.4).

    Group and attributes that a human gave to the track stay.
    """
    numbers = {k["frame"]: k["id"] for k in old["shapes"]} if old is not None else {}
    kept = old if old is not None and old["label_id"] == label.id else None
    keyframes: list[Json] = []
    for frame in clip.frames:
        if frame in human:
            keyframes.append(as_sent(human[frame]))
        elif frame in figures:
            keyframes.append(_keyframe(kind, frame, figures[frame], label, tag))
        elif keyframes and not keyframes[-1]["outside"] and clip.shows(frame):
            keyframes.append({**_keyframe(kind, frame, keyframes[-1]["points"], label, tag), "outside": True})
    for keyframe in keyframes:
        if keyframe["frame"] in numbers:
            keyframe["id"] = numbers[keyframe["frame"]]
    return {
        "frame": keyframes[0]["frame"],
        "label_id": label.id,
        "group": kept["group"] if kept is not None else tag,
        "source": "auto",
        "attributes": attributes_of(label, tag, mutable=False, given=kept["attributes"] if kept is not None else ()),
        "shapes": keyframes,
        "elements": [],
    }


def _keyframe(kind: str, frame: int, points: Sequence[float], label: Label, tag: int) -> Json:
    return {
        "type": kind,
        "frame": frame,
        "points": list(points),
        "occluded": False,
        "outside": False,
        "z_order": 0,
        "rotation": 0.0,
        "attributes": attributes_of(label, tag, mutable=True),
    }


def _shape(frame: int, tag: int, label: Label, points: list[int], score: float) -> Json:
    return {
        "type": "mask",
        "frame": frame,
        "label_id": label.id,
        "points": [float(value) for value in points],
        "group": tag,
        "source": "auto",
        "score": round(score, 4),
        "occluded": False,
        "outside": False,
        "z_order": 0,
        "rotation": 0.0,
        "attributes": attributes_of(label, tag, mutable=None),
        "elements": [],
    }


def attributes_of(label: Label, tag: int, *, mutable: bool | None, given: Sequence[Json] = ()) -> list[Json]:
    """All attributes of a label as `given`, else with their defaults; the tag in its own."""
    values = {a["spec_id"]: a["value"] for a in given}
    return [
        {"spec_id": a.id, "value": str(tag) if a is label.tag_attribute else values.get(a.id, a.default)}
        for a in label.attributes
        if mutable in (None, a.mutable)
    ]


def as_sent(entry: Json) -> Json:
    """A shape, track or keyframe as read, without what the server alone knows."""
    return {key: value for key, value in entry.items() if value is not None}


def _numbers(entry: Json) -> int:
    return sum(len(k["points"]) for k in entry["shapes"]) if "shapes" in entry else len(entry["points"])


def _part(change: Change, start: int, stop: int) -> Change:
    part = slice(start, stop)
    return Change(
        change.action,
        change.shapes[part],
        change.tracks[part],
        change.own_shapes[part],
        change.own_tracks[part],
    )
