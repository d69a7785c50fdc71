"""A run of the interaction network in a round, and how its output becomes masks (AFI's side of a session)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from siaf.boxes import box_pixels, fill_boxes, surround
from siaf.frames.source import FrameSource
from siaf.lru import LruCache
from siaf.masks import IndexMask
from siaf.model.loaded import FrameEncoding, Model
from siaf.model.probabilities import Probabilities
from siaf.prompts import FramePrompts
from siaf.scribbles import Scribble
from siaf.session.objects import ObjectTable
from siaf.session.parts import asked_parts
from siaf.session.refinement import refine
from siaf.session.stroke_slots import honour_strokes, previous_slots, stroke_slots
from siaf.session.untouched import keep_untouched


@dataclass(frozen=True)
class InteractionRequest:
    """Strokes and boxes of the frames to segment, every object.

    `masks`: by frame. These frames start from them; others with a mask take part in across-frame attention.
    `standing`: by frame, strokes of earlier rounds that still hold (`siaf.session.standing_strokes`).
    """

    prompts: Mapping[int, FramePrompts]
    masks: Mapping[int, IndexMask]
    objects: ObjectTable
    standing: Mapping[int, Sequence[Scribble]] = field(default_factory=dict)


Context = LruCache[tuple[int, bytes], FrameEncoding]
"""Encodings of frames that others were asked about beside, by frame and the slots (G×h×w) that it has as its mask.

A click asks three times with the same two frames beside its own, and the next click once more.
"""


def run_interaction(
    model: Model, frames: FrameSource, request: InteractionRequest, context: Context | None = None
) -> dict[int, Probabilities]:
    """AFI on all frames of a request together (Eq. 1): by asked frame, ascending, what it makes of it."""
    whole = frames.height, frames.width
    size = model.interaction_size(*whole)
    asked, masks, objects = request.prompts, request.masks, request.objects
    numbers = sorted({*asked, *masks})
    drawn, before = [], []
    for number in numbers:
        here, start = asked.get(number, FramePrompts()), masks.get(number)
        marks = list(here.strokes)
        if here.boxes:
            start = fill_boxes(np.zeros(whole, np.uint8) if start is None else start, here.boxes)
            marks = [*surround(here.boxes, start, whole[0] / size[0]), *marks]
        drawn.append(stroke_slots(marks, objects, size, whole))
        before.append(previous_slots(start, marks, objects, size))
    strokes, previous = np.stack(drawn, axis=1), np.stack(before, axis=1)
    chosen = [i for i, number in enumerate(numbers) if number in asked]
    beside = {i: number for i, number in enumerate(numbers) if number not in asked}
    context = Context(0) if context is None else context
    keys = {i: (number, before[i].tobytes()) for i, number in beside.items()}
    encodings = {i: found for i, key in keys.items() if (found := context.get(key))}
    new = [i for i in range(len(numbers)) if i not in encodings]
    encoded = model.encode_prompts([frames[numbers[i]] for i in new], strokes[:, new], previous[:, new])
    encodings |= zip(new, encoded, strict=True)
    for i in keys.keys() & new:
        context.put(keys[i], encodings[i])
    slots, tags = objects.channels()
    answers = model.decode_masks([encodings[i] for i in range(len(numbers))], strokes, previous, slots, chosen)
    align = model.interaction.config.align_corners
    return {numbers[i]: Probabilities(x, tags, whole, align) for i, x in zip(chosen, answers, strict=True)}


def to_masks(
    model: Model,
    answer: Mapping[int, Probabilities],
    request: InteractionRequest,
    frames: FrameSource,
) -> dict[int, IndexMask]:
    """Index masks of the asked frames; what the user drew, or gave as a mask, is in them as it is, and objects that
    nobody spoke about are as they were.
    """
    result = {}
    for number, here in sorted(request.prompts.items()):
        strokes, boxes, before = here.strokes, here.boxes, request.masks.get(number)
        standing = request.standing.get(number, ())
        found = answer[number]
        if model.segmenter is not None:
            found = refine(model.segmenter, frames[number], found, strokes, boxes, before, standing=standing)
        mask = honour_strokes(asked_parts(found.likeliest(), strokes, boxes, before), [*standing, *strokes])
        for tag, box in boxes.items():
            if not (mask == tag).any():  # the box itself says at least that much
                mask[box_pixels(box, *mask.shape)] = tag
        if before is not None:
            mask = keep_untouched(mask, before, here.drawn_tags, strokes)
        human = here.mask
        result[number] = mask if human is None else np.where(human > 0, human, mask).astype(np.uint8)
    return result
