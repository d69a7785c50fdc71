"""Masks and polygons of a job as drawn, and why other annotations are none."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from siaf.cvat.job.clip import JobClip
from siaf.cvat.job.labels import BACKGROUND, Label, LabelBook
from siaf.cvat.job.strokes import area_of, keyframe_shape, shape_name
from siaf.cvat.server.connection import Json
from siaf.errors import InputError
from siaf.masks import MAX_TAG, Bitmap

_STROKE = "strokes say where masks should be, and are none"
_BOX = "a box is no mask"
_TYPE = "of a type that is no mask"
_PART = "parts of a skeleton are no masks"
_BETWEEN = "between keyframes that differ, CVAT alone knows the shape: make these frames keyframes"
_NO_PIXEL = "no pixel of it is in the frame"


@dataclass(frozen=True)
class Region:
    """A mask or polygon on a frame of the task, or a keyframe that shows one there. `tag` 0: it has no number."""

    clip: JobClip
    frame: int
    tag: int
    label: str
    shape: Json

    @property
    def name(self) -> str:
        """How reports name it."""
        return shape_name(self.shape)

    @property
    def human(self) -> bool:
        """Whether somebody drew or changed it."""
        return bool(self.shape["source"] != "auto")

    @property
    def order(self) -> tuple[int, int, int]:
        """Sorts a frame's regions from bottom to top."""
        return (self.shape.get("z_order", 0), self.clip.id, self.shape["id"])

    def bitmap(self) -> Bitmap:
        """Its pixels, cut off at the frame; there is at least one."""
        return area_of(self.shape, self.clip)


@dataclass
class JobRegions:
    """What a job holds. `ignored`: names of everything that is no region, by reason."""

    regions: list[Region] = field(default_factory=list)
    ignored: dict[str, list[str]] = field(default_factory=dict)

    def ignore(self, name: str, reason: str) -> None:
        """Note something that is not exported."""
        self.ignored.setdefault(reason, []).append(name)


def read_regions(annotations: Json, clip: JobClip, book: LabelBook) -> JobRegions:
    """Sort out a job's annotations; nothing is refused, what is wrong with a shape is its reason."""
    found = JobRegions()
    for shape in annotations["shapes"]:
        label = book[shape["label_id"]]
        reason = _PART if label is None else _not_a_region(label, shape["type"], book)
        if label is None or reason is not None:
            found.ignore(shape_name(shape), reason or _PART)
        else:
            _add(shape, shape["frame"], label, clip, found)
    for track in annotations["tracks"]:
        label = book[track["label_id"]]
        reasons = {_PART if label is None else _not_a_region(label, k["type"], book) for k in track["shapes"]}
        if label is None or reasons != {None}:
            found.ignore(f"track {track['id']}", next(reason for reason in reasons if reason is not None))
        else:
            _read_track(track, label, clip, found)
    return found


def _not_a_region(label: Label, kind: str, book: LabelBook) -> str | None:
    carrier = book.scribble is not None and label.id == book.scribble.id
    if carrier or label.name == BACKGROUND or kind in ("polyline", "points"):
        return _STROKE
    if not book.is_object(label.id):
        return f"the label {label.name!r} is not for objects"
    if kind == "rectangle":
        return _BOX
    return None if kind in ("mask", "polygon") else _TYPE


def _add(shape: Json, frame: int, label: Label, clip: JobClip, found: JobRegions) -> None:
    """`frame` may be a later one than the shape's own, of a keyframe that stays."""
    if not clip.shows(frame):
        found.ignore(shape_name(shape), _unseen(frame, clip))
        return
    try:
        region = Region(clip, frame, _number(shape, label), label.name, shape)
        empty = not region.bitmap().any()
    except InputError as error:  # CVAT stores numbers and run lengths unchecked
        found.ignore(shape_name(shape), error.message)
        return
    if empty:
        found.ignore(shape_name(shape), _NO_PIXEL)
    else:
        found.regions.append(region)


def _number(shape: Json, label: Label) -> int:
    """The object's number; siaf keeps it in the group too, where a label has no attribute for it."""
    tag = label.tag(shape, shape_name(shape))
    if tag or label.tag_attribute is not None:
        return tag
    group = int(shape.get("group") or 0)
    if group > MAX_TAG:
        raise InputError(f"its group is {group}; objects are numbered 1 to {MAX_TAG}", field=shape_name(shape))
    return group


def _unseen(frame: int, clip: JobClip) -> str:
    return "on deleted frames" if frame in clip.deleted else "on frames that the job does not have"


def _read_track(track: Json, label: Label, clip: JobClip, found: JobRegions) -> None:
    """A keyframe stays until one that differs; between such two CVAT moves the corners, in its own way."""
    keyframes = sorted(track["shapes"], key=lambda keyframe: int(keyframe["frame"]))
    for keyframe, following in zip(keyframes, [*keyframes[1:], None], strict=True):
        if keyframe["outside"]:
            continue
        shape = keyframe_shape(track, keyframe)
        _add(shape, keyframe["frame"], label, clip, found)
        between = list(_shown_between(keyframe, following, clip))
        if following is None or following["points"] == keyframe["points"]:
            for frame in between:
                _add(shape, frame, label, clip, found)
        elif between:
            found.ignore(f"track {track['id']} on frames {between[0]} to {between[-1]}", _BETWEEN)


def _shown_between(keyframe: Json, following: Json | None, clip: JobClip) -> Iterator[int]:
    end = clip.stop + 1 if following is None else following["frame"]
    return (frame for frame in range(keyframe["frame"] + 1, end) if clip.shows(frame))
