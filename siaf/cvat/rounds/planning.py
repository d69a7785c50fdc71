"""From what a job holds to one round of interaction: new strokes, corrected frames, objects and their labels."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from siaf.boxes import Box
from siaf.cvat.job.clip import JobClip
from siaf.cvat.job.labels import LABEL, RIGHT_TAG, LabelBook
from siaf.cvat.job.ledger import HumanShape, LabeledObject, Ledger
from siaf.cvat.job.reading import HumanMask, Reading
from siaf.cvat.job.rectangles import Rectangle
from siaf.cvat.job.strokes import Stroke, shape_name
from siaf.cvat.rounds.questions import find_questions
from siaf.errors import InputError
from siaf.masks import MAX_TAG, IndexMask
from siaf.prompts import Prompts

_NOT_FILLED = "no round has filled the job, so nobody can have seen that masks are right"


@dataclass
class RoundInput:
    """What the job has that no round took yet. Frames are the session's, from 0.

    `prompts` have whole index masks of the corrected frames, with the pixels that a human drew, and the objects that
    they speak for. `objects` is the whole table as it will be. `used` and `human` go into the ledger once the round is
    done, and so do `right`, the frames of the task that people called right. `ignored`: what cannot be used, by reason;
    `questions`: what should not be done unasked.
    """

    prompts: Prompts = field(default_factory=Prompts)
    objects: dict[int, LabeledObject] = field(default_factory=dict)
    removed: set[int] = field(default_factory=set)
    absent: set[tuple[int, int]] = field(default_factory=set)
    used: list[str] = field(default_factory=list)
    human: dict[str, HumanShape] = field(default_factory=dict)
    right: list[int] = field(default_factory=list)
    relabelled: list[int] = field(default_factory=list)
    ignored: dict[str, list[str]] = field(default_factory=dict)
    questions: list[str] = field(default_factory=list)

    @property
    def draws(self) -> bool:
        """Whether it says where something is, or is not."""
        return bool(self.prompts)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do but to write."""
        return not (self.draws or self.removed or self.relabelled)


def plan_round(
    reading: Reading,
    clip: JobClip,
    book: LabelBook,
    ledger: Ledger,
    current: Callable[[int], IndexMask],
    carried: Mapping[int, IndexMask] | None = None,
) -> RoundInput:
    """What is new. `current(frame)` is the session's mask of its frame; `carried` are references from another job.

    A corrected frame becomes a whole reference: what the human changed, and around it what siaf had there, which the
    human saw and let stand. So does a frame that was called right. Raises InputError naming the shape or the object
    that cannot be understood.
    """
    naming = _Naming(book, ledger, reading)
    result = RoundInput(removed=reading.gone & ledger.objects.keys())
    naming.forget(result.removed)
    naming.rename(reading.relabelled)
    masks = [
        replace(mask, tag=mask.tag if _taken_before(mask, ledger) else naming.of_mask(mask))
        for mask in reading.human.values()
    ]
    new_strokes = [stroke for stroke in reading.strokes if not stroke.used(ledger.strokes)]
    new_strokes = _usable(new_strokes, clip, book, naming, result.ignored)
    tags = naming.of_strokes(new_strokes)
    for stroke, tag in zip(new_strokes, tags, strict=True):
        result.prompts.at(clip.to_clip(stroke.frame)).strokes.extend(stroke.scribbles(tag, clip))
        result.used.append(stroke.marks[0])
    for rectangle in reading.rectangles:
        if rectangle.mark not in ledger.strokes:
            naming.of_rectangle(rectangle)
            here = result.prompts.at(clip.to_clip(rectangle.frame)).boxes
            box = rectangle.box(clip)
            here[rectangle.tag] = _around(box, here.get(rectangle.tag, box))
            result.used.append(rectangle.mark)

    drawn = {
        (clip.to_task(frame), tag)
        for frame, here in result.prompts.items()
        for tag in {stroke.tag for stroke in here.strokes if stroke.polarity == "positive"} | here.boxes.keys()
    }
    taken = {(mask.frame, mask.tag) for mask in masks}
    result.absent = {(f, tag) for f, tag in (ledger.absent | reading.missing) - drawn - taken if tag in naming.objects}
    result.human = {mask.key: HumanShape(mask.frame, mask.tag, mask.mark) for mask in masks}
    changed = {mask.frame for mask in masks if ledger.human.get(mask.key) != result.human[mask.key]}
    changed |= {frame for frame, tag in result.absent - ledger.absent}
    filled = bool(ledger.round) and ledger.propagated
    new = reading.right.difference(ledger.right)
    if new and not filled:
        result.ignored[_NOT_FILLED] = [f"tag {RIGHT_TAG!r} on frame {frame}" for frame in sorted(new)]
    result.right = sorted(reading.right if filled else reading.right.intersection(ledger.right))
    changed |= new if filled else set()
    handed = {clip.to_task(frame): mask for frame, mask in (carried or {}).items()}
    seen = set(ledger.objects) - result.removed if filled else set()
    for frame in changed | handed.keys():
        at = clip.to_clip(frame)
        base = handed[frame] if frame in handed else current(at)
        whole, fixed = _corrected(frame, masks, result, clip, base)
        corrected = result.prompts.at(at)
        corrected.mask, corrected.fixed = whole, None if frame in handed else fixed
        decided = {tag for f, tag in taken | result.absent if f == frame}
        known = set(naming.objects) if frame in handed else seen
        corrected.about = frozenset(decided | known | {int(tag) for tag in np.unique(whole) if tag})
    result.objects = naming.objects
    result.questions = find_questions(reading, masks, clip, book, current)
    result.relabelled = sorted(tag for tag in reading.relabelled if tag in naming.objects)
    return result


def _usable(
    strokes: list[Stroke], clip: JobClip, book: LabelBook, naming: "_Naming", ignored: dict[str, list[str]]
) -> list[Stroke]:
    """Those that can be taken; what is wrong with the others is noted, and does not stop a round."""
    usable = []
    names = {label.name for label in book.objects}
    for stroke in strokes:
        if not stroke.has_pixels(clip):
            reason = "no pixel of it is in the frame"
        elif stroke.polarity is None:
            reason = "their polarity is neither positive nor negative: was an option renamed? (siaf cvat setup adds it)"
        elif stroke.label is None or stroke.label in names:
            usable.append(stroke)
            continue
        elif stroke.tag in naming.objects or len(names) == 1:
            usable.append(replace(stroke, label=None))  # an option that was renamed; which object it is, is clear
            continue
        else:
            reason = f"{LABEL!r} is {stroke.label!r}, but no label for objects has that name (any more); set it again"
        ignored.setdefault(reason, []).append(shape_name(stroke.shape))
    return usable


def _around(one: Box, other: Box) -> Box:
    """The box around two boxes."""
    return (min(one[0], other[0]), min(one[1], other[1]), max(one[2], other[2]), max(one[3], other[3]))


def _taken_before(mask: HumanMask, ledger: Ledger) -> bool:
    known = ledger.human.get(mask.key)
    return known is not None and known.mark == mask.mark


def _corrected(
    frame: int, masks: list[HumanMask], result: RoundInput, clip: JobClip, base: IndexMask
) -> tuple[IndexMask, IndexMask]:
    """A frame's whole index mask, `base` after the human's corrections, and the human's part of it alone."""
    here = sorted((mask for mask in masks if mask.frame == frame), key=lambda mask: mask.order)
    decided = {mask.tag for mask in here} | {tag for f, tag in result.absent if f == frame} | result.removed
    whole = base.copy()
    whole[np.isin(whole, list(decided))] = 0
    fixed = np.zeros_like(whole)
    for mask in here:
        fixed[mask.bitmap(clip)] = mask.tag
    return np.where(fixed > 0, fixed, whole), fixed


class _Naming:
    """Which tag and which label each shape means."""

    def __init__(self, book: LabelBook, ledger: Ledger, reading: Reading) -> None:
        self.objects = dict(ledger.objects)
        self._book = book
        self._former: dict[int, LabeledObject] = {}
        self._spoken_for = {stroke.tag for stroke in reading.strokes} | {mask.tag for mask in reading.human.values()}
        self._spoken_for |= {rectangle.tag for rectangle in reading.rectangles}

    def forget(self, tags: set[int]) -> None:
        self._former = {tag: self.objects.pop(tag) for tag in tags}

    def rename(self, relabelled: Mapping[int, set[str]]) -> None:
        for tag, labels in relabelled.items():
            if len(labels) > 1:
                names = " and ".join(sorted(map(repr, labels)))
                raise InputError(f"has several labels: {names}; choose one", field=f"object {tag}")
            if tag in self.objects:
                self.objects[tag] = LabeledObject(next(iter(labels)))

    def of_mask(self, mask: HumanMask) -> int:
        tag = mask.tag or self._of_label(mask.label)
        name = shape_name(mask.figure) if mask.figure is not None else f"keyframe on frame {mask.frame}"
        self._call(tag, mask.label, name)
        return tag

    def of_rectangle(self, rectangle: Rectangle) -> None:
        self._call(rectangle.tag, rectangle.label, shape_name(rectangle.shape))

    def of_strokes(self, strokes: list[Stroke]) -> list[int]:
        """Tags of strokes; one that names its object's label speaks for the others of that object."""
        for stroke in strokes:
            if stroke.tag and stroke.label:
                self._call(stroke.tag, stroke.label, shape_name(stroke.shape))
        tags = []
        for stroke in strokes:
            if stroke.background:
                tags.append(0)
            elif stroke.tag:
                if stroke.tag not in self.objects:
                    self._call(stroke.tag, self._only_label(stroke), shape_name(stroke.shape))
                tags.append(stroke.tag)
            else:
                tags.append(self._of_label(stroke.label or self._only_label(stroke)))
        return tags

    def _call(self, tag: int, label: str, where: str) -> None:
        known = self.objects.get(tag)
        if known is None:
            self.objects[tag] = LabeledObject(self._book.named(label).name)
        elif known.label != label:
            raise InputError(
                f"object {tag} is a {known.label!r}, but a {label!r} here; use another number, "
                f"or change the label of one of its masks",
                field=where,
            )

    def _of_label(self, label: str) -> int:
        """The tag of a label's only object."""
        for tag, known in self.objects.items():
            if known.by_label and known.label == label:
                return tag
        tag = next(t for t in range(1, MAX_TAG + 2) if t not in self.objects and t not in self._spoken_for)
        if tag > MAX_TAG:
            raise InputError(f"there are more than {MAX_TAG} objects", field="object")
        self.objects[tag] = LabeledObject(self._book.named(label).name, by_label=True)
        return tag

    def _only_label(self, stroke: Stroke) -> str:
        if stroke.tag in self._former:
            return self._former[stroke.tag].label
        if len(self._book.objects) == 1:
            return self._book.objects[0].name
        names = ", ".join(repr(label.name) for label in self._book.objects) or "none"
        which = f"object {stroke.tag}" if stroke.tag else "the object"
        raise InputError(
            f"which label has {which}? Set the attribute {LABEL!r} of the {self._book.scribble_name} (labels: {names})",
            field=shape_name(stroke.shape),
        )
