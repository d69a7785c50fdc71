"""Objects that are somebody else from a frame on: two swapped, two merged, one split. All that a session knows follows.

The masks change at once and nothing is propagated. Two frames are pinned besides, the last before the change and the
first after it: they become interacted frames with the masks they have. Otherwise the next round would start a chain
before the change and carry the old identities across it. Memories are made anew from the changed masks when the next
round reads them.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from siaf.arguments import frame_number
from siaf.errors import InputError
from siaf.masks import MAX_TAG, IndexMask
from siaf.scribbles import Scribble
from siaf.session.annotations import Annotations, Round
from siaf.session.confidence import Confidence
from siaf.session.mask_store import MaskStore
from siaf.session.objects import ObjectTable
from siaf.session.schedule import Plan
from siaf.session.snapshot import SessionMasks, SessionSnapshot
from siaf.session.standing_strokes import standing_on


@dataclass(frozen=True)
class Edit:
    """From frame `start` on, pixels of a tag in `renamed` are another's. `split_off`: of which object a new tag was."""

    start: int
    renamed: Mapping[int, int]
    split_off: int | None = None

    @property
    def vacated(self) -> frozenset[int]:
        """Tags that have no pixels from then on."""
        return frozenset(self.renamed.keys() - set(self.renamed.values()))

    @property
    def tags(self) -> frozenset[int]:
        """All objects that it is about, a new one too."""
        return frozenset({*self.renamed, *self.renamed.values()})

    def mask(self, mask: IndexMask) -> IndexMask:
        """An index mask after the change."""
        table: NDArray[np.uint8] = np.arange(MAX_TAG + 1, dtype=np.uint8)
        table[list(self.renamed)] = list(self.renamed.values())
        return table[mask]

    def known(self, tags: frozenset[int]) -> frozenset[int]:
        """What a changed mask speaks for; it says that vacated tags are absent."""
        return frozenset(self.renamed.get(tag, tag) for tag in tags) | (tags & self.vacated)

    def stroke(self, stroke: Scribble) -> Scribble:
        """A stroke as it would be drawn now."""
        return replace(stroke, tag=self.renamed.get(stroke.tag, stroke.tag))


def swap(first: int, second: int, start: int) -> Edit:
    """Two objects change places. Raises InputError naming "objects"."""
    _check_two(first, second)
    return Edit(start, {first: second, second: first})


def merge(into: int, other: int, start: int) -> Edit:
    """`other` becomes `into`. Raises InputError naming "objects"."""
    _check_two(into, other)
    return Edit(start, {other: into})


def split(tag: int, start: int, new: int) -> Edit:
    """The object becomes a new one, whose tag is free so far."""
    return Edit(start, {tag: new}, split_off=tag)


def free_tag(taken: Collection[int]) -> int:
    """The lowest tag that is not taken. Raises InputError if all are."""
    for tag in range(1, MAX_TAG + 1):
        if tag not in taken:
            return tag
    raise InputError(f"all {MAX_TAG} tags are in use", field="object")


def apply(snapshot: SessionSnapshot, edit: Edit, digest: Callable[[int], str], keep: Collection[int] = ()) -> None:
    """Make the change in a session's data, as a round of its own; frames in `keep` stay as they are.

    `digest` gives the content digest of a frame. Raises InputError, with nothing changed, if the propagation is not
    finished, naming "round", or if nothing would change, naming "objects" or "from_frame".
    """
    running, before = snapshot.propagation, snapshot.annotations
    _check(snapshot, edit)
    changed = [
        frame
        for frame in range(edit.start, snapshot.frames)
        if frame not in keep and _shows(edit, _mask(before.masks, running.results, frame))
    ]
    if not changed:
        raise InputError(_nothing(edit, keep), field="from_frame")
    pins = {
        frame: digest(frame)
        for frame in (edit.start - 1, edit.start)
        if frame not in before.interacted and frame in running.results and (frame < edit.start or frame not in keep)
    }
    after = before.copy()
    _open_new(after.objects, edit)
    speaking = [frame for frame in after.masks if frame >= edit.start and frame not in keep]
    for frame in speaking:
        after.masks[frame] = edit.mask(after.masks[frame])
        after.annotated_tags[frame] = edit.known(after.annotated_tags[frame])
        if frame in after.adopted:
            after.adopted[frame] = frozenset(edit.renamed.get(tag, tag) for tag in after.adopted[frame])
    if edit.split_off is not None:  # where the whole was, its later part was not
        new = edit.renamed[edit.split_off]
        for frame, tags in after.annotated_tags.items():
            if edit.split_off in tags:
                after.annotated_tags[frame] = tags | {new}
    for frame in [frame for frame in running.results if frame >= edit.start and frame not in keep]:
        mask = running.results[frame]
        running.results[frame] = edit.mask(mask)
        if frame in running.confidence:
            running.confidence[frame] = _scores(running.confidence[frame], edit, mask)
    for frame in pins:
        after.masks[frame] = running.results[frame]
        after.interacted[frame] = len(snapshot.rounds) + 1
        after.annotated_tags[frame] = frozenset(after.objects.tags)
        running.confidence.pop(frame, None)
    _forget_emptied(after, running.results, edit)
    snapshot.digests = dict(sorted({**snapshot.digests, **pins}.items()))
    strokes = _strokes(snapshot, edit, keep)  # with their old tags, none stands any longer
    snapshot.rounds.append(Round(strokes, sorted({*pins, *strokes}), before))
    snapshot.annotations = after
    snapshot.revision += 1
    running.plan, running.lanes, running.lost = Plan(within=running.plan.within), {}, {}
    for frame in [frame for frame in running.made if frame >= edit.start or frame in pins]:
        del running.made[frame]


def apply_to_masks(masks: SessionMasks, edit: Edit, keep: Collection[int] = ()) -> SessionMasks:
    """As `apply`, on masks without a session; the frames that are pinned count as interacted.

    Raises InputError naming "from_frame" if nothing would change.
    """
    store, confidence = masks.masks.copy(), dict(masks.confidence)
    changed = [f for f in store if f >= edit.start and f not in keep and _shows(edit, store[f])]
    if not changed:
        raise InputError(_nothing(edit, keep), field="from_frame")
    for frame in changed:
        before = store[frame]
        store[frame] = edit.mask(before)
        if frame in confidence:
            confidence[frame] = _scores(confidence[frame], edit, before)
    pins = {f for f in (edit.start - 1, edit.start) if f in store and (f < edit.start or f not in keep)}
    return replace(masks, masks=store, confidence=confidence, interacted=sorted({*masks.interacted, *pins}))


def _nothing(edit: Edit, keep: Collection[int]) -> str:
    which = " and ".join(map(str, sorted(edit.renamed)))
    rest = " that may be changed" if keep else ""
    return f"there is no mask of {which} from frame {edit.start} on{rest}"


def _check_two(first: int, second: int) -> None:
    if first == second:
        raise InputError(f"needs two objects, not {first} twice", field="objects")


def _check(snapshot: SessionSnapshot, edit: Edit) -> None:
    frame_number(edit.start, snapshot.frames, "from_frame")
    if not snapshot.propagation.plan.finished:
        raise InputError("the last round is not finished: propagate first", field="round")
    new = set() if edit.split_off is None else {edit.renamed[edit.split_off]}
    for tag in sorted(edit.tags - new):
        if tag not in snapshot.annotations.objects:
            raise InputError(f"there is no object {tag}", field="objects")
    for tag in new & set(snapshot.annotations.objects.tags):
        raise InputError(f"{tag} is another object already", field="objects")


def _mask(masks: MaskStore, results: MaskStore, frame: int) -> IndexMask | None:
    store = masks if frame in masks else results
    return store[frame] if frame in store else None  # noqa: SIM401 – a store is no mapping


def _shows(edit: Edit, mask: IndexMask | None) -> bool:
    return mask is not None and bool(np.isin(mask, list(edit.renamed)).any())


def _open_new(objects: ObjectTable, edit: Edit) -> None:
    if edit.split_off is not None:
        whole = objects[edit.split_off]
        objects.add(edit.renamed[edit.split_off], whole.label, dict(whole.origin))


def _scores(scores: Confidence, edit: Edit, mask: IndexMask) -> Confidence:
    """A frame's confidence by tag; of two that become one, that of the one which was there."""
    moved = {
        edit.renamed[tag]: score
        for tag, score in scores.items()
        if tag in edit.renamed and (edit.renamed[tag] not in scores or edit.renamed[tag] in edit.renamed or tag in mask)
    }
    return {tag: score for tag, score in scores.items() if tag not in edit.vacated} | moved


def _strokes(snapshot: SessionSnapshot, edit: Edit, keep: Collection[int]) -> dict[int, list[Scribble]]:
    """All strokes that stand on the frames that change, with their new tags, where one of them has any."""
    drawn = {frame for past in snapshot.rounds for frame in past.scribbles if frame >= edit.start and frame not in keep}
    size, tags = (snapshot.height, snapshot.width), snapshot.annotations.objects.tags
    standing = {frame: standing_on(frame, snapshot.rounds, size, tags) for frame in sorted(drawn)}
    return {
        frame: [edit.stroke(stroke) for stroke in strokes]
        for frame, strokes in standing.items()
        if any(stroke.tag in edit.renamed for stroke in strokes)
    }


def _forget_emptied(after: Annotations, results: MaskStore, edit: Edit) -> None:
    """A vacated object that is on no frame any more is none."""
    for tag in edit.vacated:
        if any(tag in store[frame] for store in (after.masks, results) for frame in store):
            continue
        after.forget(tag)
