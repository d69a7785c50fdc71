"""Clicks and boxes on one frame of a session: which objects are meant, and their masks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from siaf.boxes import Box, box_pixels
from siaf.errors import InputError
from siaf.masks import MAX_TAG, Bitmap, IndexMask, decode_rle, encode_rle
from siaf.model.probabilities import Probabilities
from siaf.scribbles import Polarity, Scribble, check_scribbles
from siaf.session.parts import asked_parts
from siaf.session.refinement import SHARE, guess_from, refine
from siaf.session.session import Session
from siaf.session.stroke_slots import honour_strokes

Points = npt.NDArray[np.float64]

_JOIN = 0.02
"""Clicks that follow each other within this share of the frame's long side are meant as one stroke."""
_SHOWN_WIDTH = 10.0
"""How wide the network sees a click, in its own pixels; narrower ones tell it less (measured on DAVIS 2016)."""
_PASSES = 3
"""The network corrects its own first answer so often: a first click's mask gains a third in IoU."""
_SAME_BOX = 0.5
"""IoU from which a box and a known object are the same."""


@dataclass(frozen=True, eq=False)
class Clicks:
    """What a labeler clicked on one frame: N×2 (x, y) in pixels, on the object and beside it, and boxes.

    Without boxes all clicks mean one object; with several, a click belongs to the nearest box.
    """

    positive: Points
    negative: Points
    boxes: tuple[Box, ...] = ()


@dataclass(frozen=True, eq=False)
class Segment:
    """One object on the clicked frame, of `size` (rows, columns). `confidence`, 0 to 1: its pixels' mean probability.

    `rle`: its run lengths as of `siaf.masks.encode_rle`, None if it has no pixel. Bitmaps of many objects on a large
    frame would be gigabytes, so each is made when it is looked at.
    """

    tag: int
    rle: list[int] | None
    confidence: float
    size: tuple[int, int]

    @property
    def mask(self) -> Bitmap:
        """Its pixels, bool H×W."""
        height, width = self.size
        return np.zeros(self.size, bool) if self.rle is None else decode_rle(self.rle, height=height, width=width)


def segment_clicks(
    session: Session,
    frame: int,
    clicks: Clicks,
    *,
    earlier: Mapping[int, Sequence[int]] | None = None,
    threshold: float | None = None,
) -> list[Segment]:
    """Masks of the clicked objects; the session stays as it is.

    An object that the session knows at that place keeps its tag, others get free ones. All that the session
    knows (other interacted frames, its across-round memory) takes part. `earlier`: run lengths by tag, what fewer of
    these clicks gave: where they have all the clicked objects, the model's segmenter goes on from them alone. A pixel
    belongs to an object where it is the likeliest, or where its probability reaches `threshold`; parts that no click
    asked for go (`siaf.session.parts`). Raises InputError naming `positive` or `negative`.
    """
    if not len(clicks.positive) and not clicks.boxes:
        raise InputError("needs at least one point, or a box", field="positive")
    size = {"height": session.height, "width": session.width}
    for points, field in ((clicks.positive, "positive"), (clicks.negative, "negative")):
        if len(points):
            check_scribbles([Scribble(0, points)], **size, field=field)
    known = session.estimate_mask(frame)
    wholes = _objects(clicks, known, session.objects.tags)
    long_side = max(size.values())
    strokes = [s for whole in wholes for s in join_clicks(whole.points, whole.tag, long_side)]
    for whole in wholes:
        strokes += join_clicks(clicks.negative, whole.tag, long_side, polarity="negative")
    scale = session.height / session.model.interaction_size(**size)[0]
    drawn = [replace(stroke, width=min(1000.0, _SHOWN_WIDTH * scale)) for stroke in strokes]

    says_something = session.interacted or session.memory.carried or earlier
    previous = _over(known, earlier or {}) if says_something else None
    answered = set(earlier or ())

    def segments_in(found: Probabilities, *, scored: bool = False) -> list[Segment]:
        likeliest = found.likeliest()
        segments = []
        for whole in wholes:  # one at a time: each takes some bitmaps of the frame's size
            inside = likeliest == whole.tag if threshold is None else found.of(whole.tag) >= threshold
            mask = _mask(whole, inside, strokes, known)
            score = _mean(found.of(whole.tag), mask) if scored else 0.0
            segments.append(Segment(whole.tag, encode_rle(mask) if mask.any() else None, score, known.shape))
        return segments

    segmenter, share = session.model.segmenter, SHARE
    closer: set[int] = set()  # one click says too little of where its object ends
    if segmenter is not None and previous is not None and answered >= {whole.tag for whole in wholes}:
        tags = sorted({*np.unique(previous[previous > 0]).tolist(), *answered})
        probabilities, share, closer = guess_from(previous, tags, segmenter), 1.0, answered
    else:
        for _ in range(1 if earlier else _PASSES):
            shown = answered & set(() if previous is None else np.unique(previous).tolist())
            boxes = {w.tag: w.box for w in wholes if w.box is not None and w.tag not in shown}
            probabilities = session.preview(frame, drawn, boxes, previous)
            found = {one.tag: one.rle or () for one in segments_in(probabilities)}
            previous, answered = _over(known, found), set(found)
    if segmenter is not None:
        boxes = {w.tag: w.box for w in wholes if w.box is not None}
        probabilities = refine(
            segmenter,
            session.frames[frame],
            probabilities,
            strokes,
            boxes,
            previous,
            share,
            closer=closer | boxes.keys(),
        )
    return segments_in(probabilities, scored=True)


def _mask(whole: "_Whole", inside: Bitmap, strokes: list[Scribble], known: IndexMask) -> Bitmap:
    """An object's pixels as the network gave them: the parts that were asked for, made to honour what was drawn."""
    own = [stroke for stroke in strokes if stroke.tag == whole.tag]
    boxes = {} if whole.box is None else {whole.tag: whole.box}
    asked = asked_parts(np.where(inside, whole.tag, 0).astype(np.uint8), own, boxes, known)
    mask: Bitmap = honour_strokes(asked, strokes) == whole.tag
    denied = any(stroke.polarity == "negative" for stroke in strokes)
    if whole.box is not None and not mask.any() and not denied:
        mask[box_pixels(whole.box, *mask.shape)] = True
    return mask


def _mean(chance: npt.NDArray[np.float32], mask: Bitmap) -> float:
    return float(chance[mask].mean()) if mask.any() else 0.0


def _over(mask: IndexMask, objects: Mapping[int, Sequence[int]]) -> IndexMask:
    """A copy of an index mask with other pixels for some objects: run lengths by tag, empty for none."""
    result = np.where(np.isin(mask, list(objects)), 0, mask).astype(np.uint8)
    for tag, rle in objects.items():
        if rle:
            result[decode_rle(rle, height=mask.shape[0], width=mask.shape[1], field=f"earlier[{tag}]")] = tag
    return result


def join_clicks(points: Points, tag: int, long_side: int, polarity: Polarity = "positive") -> list[Scribble]:
    """Clicks N×2 as strokes of an object: those that follow each other closely as one line, others alone."""
    if not len(points):
        return []
    gaps = np.linalg.norm(np.diff(points, axis=0), axis=1) > _JOIN * long_side
    return [Scribble(tag, part, polarity=polarity) for part in np.split(points, np.flatnonzero(gaps) + 1)]


@dataclass
class _Whole:
    tag: int
    points: Points
    box: Box | None


def _objects(clicks: Clicks, known: IndexMask, tags: list[int]) -> list[_Whole]:
    """Which object every box and click means, and its tag."""
    if clicks.boxes and len(clicks.positive):
        nearest = np.argmin([_distance(clicks.positive, box) for box in clicks.boxes], axis=0)
    else:
        nearest = np.zeros(len(clicks.positive), int)
    wholes: list[_Whole] = []
    for i, box in enumerate(clicks.boxes or (None,)):
        points = clicks.positive[nearest == i]
        tag = _tag_at(points, box, known)
        taken = {*tags, *(w.tag for w in wholes)}
        if tag is None or tag in [w.tag for w in wholes]:
            free = [t for t in range(1, MAX_TAG + 1) if t not in taken]
            if not free:
                raise InputError(f"all {MAX_TAG} tags are in use", field="boxes")
            tag = free[0]
        wholes.append(_Whole(tag, points, box))
    return wholes


def _tag_at(points: Points, box: Box | None, known: IndexMask) -> int | None:
    """The known object that most clicks hit, or that fills the box."""
    height, width = known.shape
    columns = np.clip(points[:, 0].astype(int), 0, width - 1)
    rows = np.clip(points[:, 1].astype(int), 0, height - 1)
    votes = np.bincount(known[rows, columns], minlength=1)
    if votes[1:].any():
        return int(votes[1:].argmax()) + 1
    if box is None or len(points):
        return None
    inside = np.bincount(known[box_pixels(box, height, width)].ravel(), minlength=MAX_TAG + 1)
    total = np.bincount(known.ravel(), minlength=MAX_TAG + 1)
    area = (box[2] - box[0]) * (box[3] - box[1])
    overlap = inside[1:] / np.maximum(total[1:] + area - inside[1:], 1)
    best = int(overlap.argmax())
    return best + 1 if overlap[best] >= _SAME_BOX else None


def _distance(points: Points, box: Box) -> npt.NDArray[np.float64]:
    """How far points lie outside a box, N; 0 inside."""
    low, high = np.array(box[:2]), np.array(box[2:])
    outside = np.maximum(np.maximum(low - points, points - high), 0)
    distance: npt.NDArray[np.float64] = np.hypot(outside[:, 0], outside[:, 1])
    return distance
