"""How frames that are drawn on get masks: what the engine is asked, and how what it makes of it becomes masks."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from siaf.boxes import box_pixels
from siaf.engines.base import Engine
from siaf.frames.source import FrameSource
from siaf.masks import IndexMask
from siaf.model.encodings import Encodings
from siaf.model.probabilities import Probabilities
from siaf.model.request import Footage, InteractionRequest
from siaf.prompts import FramePrompts, Prompts
from siaf.scribbles import Scribble
from siaf.session.annotations import Annotations, Round
from siaf.session.corrections import corrects, keep_elsewhere
from siaf.session.doubts import keep_doubtful
from siaf.session.estimate import estimated_mask, known_mask
from siaf.session.parts import asked_parts
from siaf.session.propagation import Propagator
from siaf.session.refinement import refine
from siaf.session.standing_strokes import standing_on
from siaf.session.stroke_slots import honour_strokes

_CONTEXT_FRAMES = 2
"""Interacted frames that take part when a single frame is looked at."""
_PREVIEWED_FRAMES = 8
"""Frames that were previewed, whose encodings the round may use."""


class Interactor:
    """What one session asks its engine about frames that are drawn on. Nothing of the session changes by it.

    `now` is always what the user's actions have led to. Encodings of frames that were looked at are kept, so that the
    next look, and the round, take less time.
    """

    def __init__(self, propagator: Propagator) -> None:
        self._propagator = propagator
        self._model, self._frames = propagator.model, propagator.frames
        self._context = Encodings(_CONTEXT_FRAMES)
        self._previewed = Encodings(_PREVIEWED_FRAMES)

    def masks(
        self, given: Prompts, now: Annotations, rounds: Sequence[Round], *, close_ups: bool = True
    ) -> dict[int, IndexMask]:
        """Index masks of all frames that a round draws on, after `rounds` before it (Eq. 1); `now` has its objects.

        `close_ups`: as `siaf.session.refinement.refine`.
        """
        drawn, barriers = given.drawn, self._propagator.memory.barriers
        if not drawn:
            return {}
        # Frames of earlier rounds take no part: with the two nearest J&F after three rounds was 0.811 instead of 0.810
        # (DAVIS, one frame a round), for up to three times the frames.
        before = {f: self._start(f, now) if here.mask is None else here.mask for f, here in drawn.items()}
        known = {f: mask for f, mask in before.items() if mask is not None}
        unmasked = {f: here.strokes for f, here in drawn.items() if here.mask is None}
        standing = {f: self.standing(f, now, rounds, strokes) for f, strokes in unmasked.items()}
        found: dict[int, IndexMask] = {}
        for side in barriers.sides(sorted(drawn)):
            asked = {f: drawn[f] for f in side}
            request = InteractionRequest(asked, {f: known[f] for f in side if f in known}, now.objects, standing)
            answer = self._model.interact(self._footage(now), request, self._previewed)
            seen = [f for f in side if f in now.masks]
            masks = to_masks(self._model, answer, request, self._frames, seen, close_ups=close_ups)
            found |= masks if not barriers.at else self._without_strangers(masks, given, now)
        return found

    def preview(self, frame: int, given: FramePrompts, previous: IndexMask | None, now: Annotations) -> Probabilities:
        """As `Session.preview`: what strokes and boxes on one frame give; both may name objects that `now` has not."""
        if previous is None:
            previous = estimated_mask(frame, now, self._propagator)
        shown = () if previous is None else np.unique(previous[previous > 0]).tolist()
        objects = now.objects.copy()
        for tag in sorted(given.drawn_tags.union(shown)):
            objects.add(tag)
        near = set(self._propagator.memory.barriers.same_side(frame, now.interacted))
        others = sorted(near - {frame}, key=lambda f: (abs(f - frame), f))
        known = {f: now.masks[f] for f in others[:_CONTEXT_FRAMES]}
        if previous is not None:
            known[frame] = previous
        request = InteractionRequest({frame: given}, known, objects)
        return self._model.interact(self._footage(now), request, beside_before=self._context)[frame]

    def forget_previews(self) -> None:
        """The round that they were of use for is taken."""
        self._previewed.clear()

    def standing(
        self, frame: int, now: Annotations, rounds: Sequence[Round], new: Sequence[Scribble] = ()
    ) -> list[Scribble]:
        """Strokes of `rounds` that still hold on a frame beside `new` ones."""
        return standing_on(frame, rounds, (self._frames.height, self._frames.width), now.objects.tags, new)

    def _footage(self, now: Annotations) -> Footage:
        running = self._propagator
        return Footage(self._frames, running.encoded.features, lambda frame: running.references(frame, now))

    def _start(self, frame: int, now: Annotations) -> IndexMask | None:
        """What a round on a frame starts from. Objects that come from another clip are looked for in its memory: no
        other frame of this one can tell where they are.
        """
        running = self._propagator
        return (estimated_mask if running.memory.carried else known_mask)(frame, now, running)

    def _without_strangers(self, masks: dict[int, IndexMask], given: Prompts, now: Annotations) -> dict[int, IndexMask]:
        """Masks of one side of a barrier without objects that nobody ever drew on that side."""
        memory = self._propagator.memory
        side = memory.barriers.same_side(min(masks), range(len(self._frames)))
        tags = {tag for f in side for tag in now.annotated_tags.get(f, ())}
        tags |= {tag for f in side if f in given for tag in given[f].tags}
        if side[0] == 0 and memory.carried:
            tags |= set(now.objects.tags)
        return {f: np.where(np.isin(mask, list(tags)), mask, 0).astype(np.uint8) for f, mask in masks.items()}


def to_masks(
    model: Engine,
    answer: Mapping[int, Probabilities],
    request: InteractionRequest,
    frames: FrameSource,
    seen: Collection[int],
    *,
    close_ups: bool = True,
) -> dict[int, IndexMask]:
    """Index masks of the asked frames; what the user drew, or gave as a mask, is in them as it is, and objects that
    nobody spoke about are as they were. On frames that were `seen`, drawn on in an earlier round, so are the others,
    but for what the strokes touch; a propagated mask may be wrong in more places than anybody marks, so there objects
    with positive strokes are drawn anew. On both, what is in doubt stays as it was (`siaf.session.doubts`).
    """
    result = {}
    for number, here in sorted(request.prompts.items()):
        strokes, boxes, before = here.strokes, here.boxes, request.masks.get(number)
        standing = request.standing.get(number, ())
        found = answer[number]
        if model.segmenter is not None:
            drawn = frames[number], found, strokes, boxes, before
            found = refine(model.segmenter, *drawn, standing=standing, close_ups=close_ups)
        mask = honour_strokes(asked_parts(found.likeliest(), strokes, boxes, before), [*standing, *strokes])
        for tag, box in boxes.items():
            if not (mask == tag).any():  # the box itself says at least that much
                mask[box_pixels(box, *mask.shape)] = tag
        if before is not None:
            anew = set(boxes)
            if number not in seen:
                anew |= {stroke.tag for stroke in strokes if stroke.polarity == "positive"}
            redrawn, mask = mask, keep_elsewhere(mask, before, here.drawn_tags, strokes, anew)
            differs = mask != before
            changed = {*np.unique(before[differs]).tolist(), *np.unique(mask[differs]).tolist()} - {0, *boxes}
            corrected = {tag for tag in changed if corrects(tag, redrawn, before, strokes)}
            mask = keep_doubtful(mask, before, found.of, corrected, strokes)
        human = here.mask
        result[number] = mask if human is None else np.where(human > 0, human, mask).astype(np.uint8)
    return result
