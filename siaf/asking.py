"""What the interaction network is asked in a round, and how its answer becomes masks (AFI's side of a session)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from siaf.boxes import Box, box_pixels, fill_boxes, surround
from siaf.masks import IndexMask
from siaf.network import Model
from siaf.objects import ObjectTable
from siaf.probabilities import Probabilities
from siaf.prompting import honour_strokes, previous_slots, stroke_slots
from siaf.refinement import refine_mask
from siaf.scribbles import Scribble
from siaf.video import FrameSource


@dataclass(frozen=True)
class Question:
    """Strokes and boxes by frame, every object.

    `known`: masks by frame. Asked frames start from them; others with a mask take part in across-frame attention.
    """

    strokes: Mapping[int, Sequence[Scribble]]
    boxes: Mapping[int, Mapping[int, Box]]
    known: Mapping[int, IndexMask]
    objects: ObjectTable


def ask(model: Model, frames: FrameSource, question: Question) -> dict[int, Probabilities]:
    """AFI on all frames of a question together (Eq. 1): by frame, ascending, what it makes of it."""
    whole = frames.height, frames.width
    size = model.interaction_size(*whole)
    strokes, known, objects = question.strokes, question.known, question.objects
    numbers = sorted({*strokes, *known})
    drawn, before = [], []
    for number in numbers:
        marks, start = list(strokes.get(number, ())), known.get(number)
        framed = question.boxes.get(number)
        if framed:
            start = fill_boxes(np.zeros(whole, np.uint8) if start is None else start, framed)
            marks = [*surround(framed, start, whole[0] / size[0]), *marks]
        drawn.append(stroke_slots(marks, objects, size, whole))
        before.append(previous_slots(start, marks, objects, size))
    slots, tags = objects.channels()
    pictures = [frames[number] for number in numbers]
    found = model.interact(pictures, np.stack(drawn, axis=1), np.stack(before, axis=1), slots)
    align = model.interaction.config.align_corners
    return {number: Probabilities(x, tags, whole, align) for number, x in zip(numbers, found, strict=True)}


def masks_of(
    answer: Mapping[int, Probabilities], question: Question, frames: FrameSource, given: Mapping[int, IndexMask]
) -> dict[int, IndexMask]:
    """Index masks of the asked frames; what the user drew, or gave as a mask (`given`), is in them as it is."""
    result = {}
    for number, strokes in sorted(question.strokes.items()):
        refined = refine_mask(frames[number], answer[number], strokes)
        mask = honour_strokes(refined, strokes)
        for tag, box in question.boxes.get(number, {}).items():
            if not (mask == tag).any():  # the box itself says at least that much
                mask[box_pixels(box, *mask.shape)] = tag
        human = given.get(number)
        result[number] = mask if human is None else np.where(human > 0, human, mask).astype(np.uint8)
    return result
