"""A round's request as one run of the interaction network (AFI, paper Eq. 1)."""

from typing import TYPE_CHECKING

import numpy as np

from siaf.boxes import fill_boxes, surround
from siaf.frames.source import FrameSource
from siaf.model.encodings import Encodings, marks_of
from siaf.model.probabilities import Probabilities
from siaf.model.request import InteractionRequest
from siaf.model.stroke_slots import previous_slots, stroke_slots
from siaf.prompts import FramePrompts

if TYPE_CHECKING:
    from siaf.model.loaded import Model


def run_interaction(
    model: "Model",
    frames: FrameSource,
    request: InteractionRequest,
    asked_before: Encodings | None = None,
    beside_before: Encodings | None = None,
) -> dict[int, Probabilities]:
    """AFI on all frames of a request together (Eq. 1): by asked frame, ascending, what it makes of it.

    `asked_before` and `beside_before` keep encodings of the asked frames, and of those that take part beside them. A
    click asks three times with the same two frames beside its own, and the next click once more. What is kept of asked
    frames is made one by one on a CPU: then the bits do not tell with which others a frame was first asked about.
    """
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
    stores = [asked_before if number in asked else beside_before for number in numbers]
    keys = [b"" if store is None else marks_of(drawn[i], before[i]) for i, store in enumerate(stores)]
    known = [None if store is None else store.find(n, key) for n, store, key in zip(numbers, stores, keys, strict=True)]
    encodings = {i: found for i, found in enumerate(known) if found is not None}
    new = [i for i in range(len(numbers)) if i not in encodings]
    at_once = 1 if asked_before is not None and model.device.type == "cpu" else len(numbers)
    for part in (new[first : first + at_once] for first in range(0, len(new), at_once)):
        encoded = model.encode_prompts([frames[numbers[i]] for i in part], strokes[:, part], previous[:, part])
        encodings |= zip(part, encoded, strict=True)
    for i in new:
        if (store := stores[i]) is not None:
            store.keep(numbers[i], keys[i], encodings[i])
    chosen = [i for i, number in enumerate(numbers) if number in asked]
    slots, tags = objects.channels()
    answers = model.decode_masks([encodings[i] for i in range(len(numbers))], strokes, previous, slots, chosen)
    align = model.interaction.config.align_corners
    return {numbers[i]: Probabilities(x, tags, whole, align) for i, x in zip(chosen, answers, strict=True)}
