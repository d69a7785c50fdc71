"""What is in a job now: siaf's own shapes, human masks, scribbles; and what is gone."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from siaf.cvat.job.clip import JobClip
from siaf.cvat.job.fingerprints import keyframe_mark, shape_mark, track_mark
from siaf.cvat.job.labels import BACKGROUND, OBJECT, RIGHT_TAG, STROKES, Label, LabelBook
from siaf.cvat.job.ledger import Ledger, OwnTrack
from siaf.cvat.job.rectangles import Rectangle, read_rectangle
from siaf.cvat.job.settling import settle
from siaf.cvat.job.strokes import Stroke, area_of, keyframe_shape, read_stroke, shape_name
from siaf.cvat.server.connection import Json
from siaf.errors import InputError
from siaf.masks import Bitmap

_FOREIGN = "automatic masks of other programs are left alone"
_PART = "parts of a skeleton are neither masks nor strokes"
_TYPE = "of a type that is neither a mask nor a stroke"

Spot = tuple[int, int]
"""A task frame and a tag."""


@dataclass(frozen=True)
class HumanMask:
    """A mask or polygon that a human drew or changed, or a keyframe that a human set outside (then `figure` is None).

    `tag` 0 = the label's only object. `order` sorts masks of a frame from bottom to top.
    """

    key: str
    frame: int
    tag: int
    label: str
    mark: str
    figure: Json | None
    order: tuple[int, int]

    def bitmap(self, clip: JobClip) -> Bitmap:
        """Its pixels. Raises InputError naming the shape."""
        if self.figure is None:
            return np.zeros((clip.height, clip.width), bool)
        return area_of(self.figure, clip)


@dataclass
class Reading:
    """A job's annotations, sorted out. Frames are the task's; deleted frames and other jobs' are left out.

    `own` are ids of siaf's unchanged shapes, `hidden` those on deleted frames; `tracks` those of siaf's tracks as
    found, also where a human changed a keyframe. `covered`: spots that a human's track shows. `missing`: spots whose
    mask a human deleted; `gone`: objects that lost all masks. `relabelled`: new labels that a human gave to siaf's
    masks, by tag. `lost`: automatic masks with a tag, as siaf writes them, of which the ledger knows nothing. `kept`:
    by own track, the frames whose keyframes a human set. `right`: frames that a tag calls right. `ignored`: what is not
    used, by reason.
    """

    strokes: list[Stroke] = field(default_factory=list)
    rectangles: list[Rectangle] = field(default_factory=list)
    human: dict[str, HumanMask] = field(default_factory=dict)
    own: set[int] = field(default_factory=set)
    hidden: set[int] = field(default_factory=set)
    tracks: dict[int, Json] = field(default_factory=dict)
    kept: dict[int, set[int]] = field(default_factory=dict)
    covered: set[Spot] = field(default_factory=set)
    missing: set[Spot] = field(default_factory=set)
    gone: set[int] = field(default_factory=set)
    relabelled: dict[int, set[str]] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)
    right: set[int] = field(default_factory=set)
    ignored: dict[str, list[str]] = field(default_factory=dict)

    def human_at(self) -> set[Spot]:
        """Spots that belong to a human: siaf writes nothing there."""
        return {(mask.frame, mask.tag) for mask in self.human.values()} | self.covered

    def ignore(self, name: str, reason: str) -> None:
        """Note something that is not used."""
        self.ignored.setdefault(reason, []).append(name)


def read_job(annotations: Json, clip: JobClip, book: LabelBook, ledger: Ledger) -> Reading:
    """Sort out a job's annotations. A pending write is settled first, in `ledger`.

    Raises InputError naming a shape or track that contradicts itself.
    """
    _settle(annotations, book, ledger)
    reading = Reading()
    for shape in annotations["shapes"]:
        label = book[shape["label_id"]]
        if label is not None and clip.shows(shape["frame"]):
            _read_shape(shape, label, book, ledger, reading)
        elif shape["id"] in ledger.shapes:
            reading.hidden.add(shape["id"])
        else:
            reading.ignore(shape_name(shape), _PART if label is None else _unseen(shape["frame"], clip))
    for track in annotations["tracks"]:
        label = book[track["label_id"]]
        if label is None:
            reading.ignore(f"track {track['id']}", _PART)
        elif not _read_drawn_track(track, label, clip, book, ledger, reading):
            _read_track(track, label, clip, ledger, reading)
    right = book.named_tag(RIGHT_TAG)
    if right is not None:
        reading.right = {
            t["frame"] for t in annotations["tags"] if t["label_id"] == right.id and clip.shows(t["frame"])
        }
    _find_missing(annotations, clip, ledger, reading)
    return reading


def marks_of(annotations: Json, book: LabelBook) -> dict[str, object]:
    """What every shape and track looks like, by "s<id>" or "t<id>"."""
    shapes = ((shape, book[shape["label_id"]]) for shape in annotations["shapes"])
    tracks = ((track, book[track["label_id"]]) for track in annotations["tracks"])
    return {
        **{f"s{shape['id']}": shape_mark(shape, label) for shape, label in shapes if label is not None},
        **{f"t{track['id']}": found_track(track, label) for track, label in tracks if label is not None},
    }


def found_track(track: Json, label: Label, tag: int = 0) -> OwnTrack:
    """A track's marks as they are in the job."""
    marks = {keyframe["frame"]: keyframe_mark(keyframe, label) for keyframe in track["shapes"]}
    return OwnTrack(tag, track_mark(track, label), marks)


def _settle(annotations: Json, book: LabelBook, ledger: Ledger) -> None:
    automatic = {f"s{shape['id']}" for shape in annotations["shapes"] if shape["source"] == "auto"}
    # A track counts keyframe by keyframe: one that somebody edited ("semi-auto") is siaf's but for that keyframe.
    automatic |= {f"t{track['id']}" for track in annotations["tracks"] if track["source"] != "manual"}
    unsure = ledger.pending is not None or bool(ledger.undecided)
    shapes = (
        (shape, book[shape["label_id"]])
        for shape in annotations["shapes"]
        if unsure or (shape["id"] not in ledger.shapes and shape["source"] == "auto")
    )
    tracks = ((track, book[track["label_id"]]) for track in annotations["tracks"])
    settle(
        ledger,
        {shape["id"]: shape_mark(shape, label) for shape, label in shapes if label is not None},
        {track["id"]: found_track(track, label) for track, label in tracks if label is not None},
        automatic,
    )


def _read_shape(shape: Json, label: Label, book: LabelBook, ledger: Ledger, reading: Reading) -> None:
    stroke = read_stroke(shape, label, book)
    if stroke is not None:
        reading.strokes.append(stroke)
        return
    if not book.is_object(label.id):
        reading.ignore(shape_name(shape), _not_for(label, shape["type"], book))
        return
    number, mark = shape["id"], shape_mark(shape, label)
    own, known = ledger.shapes.get(number), ledger.human.get(f"s{number}")
    if own is not None and own.mark == mark:
        reading.own.add(number)
        return
    if shape["type"] == "rectangle":
        _read_rectangle(shape, label, reading)
        return
    if shape["type"] not in ("mask", "polygon"):
        reading.ignore(shape_name(shape), _TYPE)
        return
    tag = label.tag(shape, shape_name(shape))
    if own is None and known is None and _is_foreign(shape, tag, ledger):
        _leave(shape_name(shape), tag, reading)
        return
    before = own.tag if own is not None else known.tag if known is not None else 0
    tag = tag or before  # CVAT resets the attributes when somebody changes the label
    changed = own is not None or (known is not None and known.mark != mark)
    if changed and tag == before and tag in ledger.objects and ledger.objects[tag].label != label.name:
        reading.relabelled.setdefault(tag, set()).add(label.name)
    reading.human[f"s{number}"] = HumanMask(
        f"s{number}", shape["frame"], tag, label.name, mark, shape, (shape.get("z_order", 0), number)
    )


def _read_rectangle(shape: Json, label: Label, reading: Reading) -> None:
    rectangle = read_rectangle(shape, label)
    if shape["source"] == "auto":  # siaf itself writes rectangles as tracks only
        reading.ignore(shape_name(shape), _FOREIGN)
    elif rectangle is None:
        reading.ignore(shape_name(shape), "rectangles are boxes around an object only with a number")
    else:
        reading.rectangles.append(rectangle)


def _leave(name: str, tag: int, reading: Reading) -> None:
    """An automatic mask that this ledger does not know: siaf's kind with a tag, another program's without."""
    if tag:
        reading.lost.append(name)
    else:
        reading.ignore(name, _FOREIGN)


def _unseen(frame: int, clip: JobClip) -> str:
    return "on deleted frames" if frame in clip.deleted else "on frames that the job does not have"


def _not_for(label: Label, kind: str, book: LabelBook) -> str:
    if _carries_strokes(label, book):
        return f"no strokes; with the label {label.name!r}, draw {', '.join(STROKES[:-1])} or a mask, not a {kind}"
    return f"the label {label.name!r} is not for objects: {label.tag_clash or f'it has no attribute {OBJECT!r}'}"


def _carries_strokes(label: Label, book: LabelBook) -> bool:
    return label.name == BACKGROUND or (book.scribble is not None and label.id == book.scribble.id)


def _is_foreign(entry: Json, tag: int, ledger: Ledger) -> bool:
    """Another program's result. One with a tag is siaf's kind: a human touched it, or the ledger is not here."""
    return entry["source"] == "auto" and (not tag or ledger.empty)


def _read_drawn_track(
    track: Json, label: Label, clip: JobClip, book: LabelBook, ledger: Ledger, reading: Reading
) -> bool:
    """A track whose keyframes are strokes or boxes; False for one that may be an object's masks."""
    if track["id"] in ledger.tracks:
        return False
    carries = _carries_strokes(label, book)
    if not carries and not book.is_object(label.id):
        reading.ignore(f"track {track['id']}", _not_for(label, "track", book))
        return True
    if not carries and any(keyframe["type"] in ("mask", "polygon") for keyframe in track["shapes"]):
        return False
    for keyframe in track["shapes"]:
        shape = keyframe_shape(track, keyframe)
        if keyframe["outside"]:
            continue
        if not clip.shows(keyframe["frame"]):
            reading.ignore(shape_name(shape), _unseen(keyframe["frame"], clip))
            continue
        stroke = read_stroke(shape, label, book, track)
        if stroke is not None:
            reading.strokes.append(stroke)
        elif carries:
            reading.ignore(shape_name(shape), _not_for(label, shape["type"], book))
        elif keyframe["type"] == "rectangle":
            _read_rectangle(shape, label, reading)
        else:
            reading.ignore(shape_name(shape), _TYPE)
    return True


def _read_track(track: Json, label: Label, clip: JobClip, ledger: Ledger, reading: Reading) -> None:
    number, own = track["id"], ledger.tracks.get(track["id"])
    tag = label.tag(track, f"track {number}")
    found = found_track(track, label)
    if own is None:
        if _is_foreign(track, tag, ledger):
            _leave(f"track {number}", tag, reading)
            return
        reading.covered |= {(frame, tag) for frame in track_frames(track, clip)}
    else:
        if tag not in (0, own.tag):
            raise InputError(
                f"its {OBJECT!r} was changed from {own.tag} to {tag}, but a track stays with its object; "
                f"change it back, or delete the track and scribble object {tag}",
                field=f"track {number}",
            )
        tag = own.tag
        reading.tracks[number] = track
        known = ledger.objects.get(tag)  # None: the object was removed, and an unanswered write came after that
        if known is not None and known.label != label.name and found.mark != own.mark:
            reading.relabelled.setdefault(tag, set()).add(label.name)
    for keyframe in track["shapes"]:
        frame = keyframe["frame"]
        if not clip.shows(frame) or (own is not None and own.keyframes.get(frame) == found.keyframes[frame]):
            continue
        if own is not None:
            reading.kept.setdefault(number, set()).add(frame)
        shape = keyframe_shape(track, keyframe)
        if keyframe["type"] not in ("mask", "polygon") and not keyframe["outside"]:
            reading.covered.add((frame, tag))
            rectangle = read_rectangle(shape, label, tag) if keyframe["type"] == "rectangle" else None
            if rectangle is not None:
                reading.rectangles.append(rectangle)
            else:
                reading.ignore(shape_name(shape), _TYPE)
            continue
        key = f"t{number}:{frame}"
        figure = None if keyframe["outside"] else shape
        order = (keyframe.get("z_order", 0), number)
        reading.human[key] = HumanMask(key, frame, tag, label.name, found.keyframes[frame], figure, order)


def track_frames(track: Json, clip: JobClip) -> set[int]:
    """Frames on which CVAT shows a track: from each keyframe to the next, unless it is outside."""
    frames: set[int] = set()
    keyframes = sorted(track["shapes"], key=lambda k: int(k["frame"]))
    ends = [*(k["frame"] for k in keyframes[1:]), clip.stop + 1]
    for keyframe, end in zip(keyframes, ends, strict=True):
        if not keyframe["outside"]:
            frames |= {f for f in range(keyframe["frame"], end) if clip.shows(f)}
    return frames


def _find_missing(annotations: Json, clip: JobClip, ledger: Ledger, reading: Reading) -> None:
    """Masks that were there and are gone: a human deleted them, siaf's or human ones alike."""
    shapes = {shape["id"] for shape in annotations["shapes"]}
    tracks = {track["id"]: {k["frame"] for k in track["shapes"]} for track in annotations["tracks"]}
    gone = {(s.frame, s.tag) for number, s in ledger.shapes.items() if number not in shapes}
    gone |= {(h.frame, h.tag) for key, h in ledger.human.items() if not _still_there(key, shapes, tracks)}
    lost = {track.tag for number, track in ledger.tracks.items() if number not in tracks}
    lost |= {tag for _, tag in gone}
    left = {(ledger.shapes[number].frame, ledger.shapes[number].tag) for number in reading.own | reading.hidden}
    left |= {(mask.frame, mask.tag) for mask in reading.human.values()}
    kept = {tag for _, tag in left} | {ledger.tracks[number].tag for number in reading.tracks}
    reading.gone = lost - kept
    reading.missing = {(f, tag) for f, tag in gone - left if clip.shows(f) and tag not in reading.gone}


def _still_there(key: str, shapes: set[int], tracks: Mapping[int, set[int]]) -> bool:
    if key[0] == "s":
        return int(key[1:]) in shapes
    number, frame = (int(part) for part in key[1:].split(":"))
    return frame in tracks.get(number, ())
