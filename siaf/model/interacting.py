"""A round's request as one run of the interaction network (AFI, paper Eq. 1)."""

from typing import TYPE_CHECKING

import numpy as np

from siaf.boxes import fill_boxes, surround
from siaf.frames.source import FrameSource
from siaf.model.probabilities import Probabilities
from siaf.model.request import Context, InteractionRequest
from siaf.model.stroke_slots import previous_slots, stroke_slots
from siaf.prompts import FramePrompts

if TYPE_CHECKING:
    from siaf.model.loaded import Model


def run_interaction(
    model: "Model", frames: FrameSource, request: InteractionRequest, context: Context | None = None
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
