"""What the interaction network is asked in a round, and how its answer becomes masks (AFI's side of a session)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from siaf.boxes import Box, box_pixels, fill_boxes, surround
from siaf.masks import IndexMask
from siaf.network import Model
from siaf.objects import ObjectTable
from siaf.prompting import honour_strokes, previous_slots, stroke_slots
from siaf.refinement import refine_mask
from siaf.scribbles import Scribble
from siaf.video import FrameSource


@dataclass(frozen=True)
class Question:
    """Strokes and boxes by frame, every object; `known`: masks by frame, what the asked ones start from."""

    strokes: Mapping[int, Sequence[Scribble]]
    boxes: Mapping[int, Mapping[int, Box]]
    known: Mapping[int, IndexMask]
    objects: ObjectTable


@dataclass(frozen=True)
class Answer:
    """Frames ascending, probabilities float f×(1 + objects)×H×W, and the tag of every channel."""

    frames: list[int]
    probabilities: Tensor
    tags: NDArray[np.uint8]


def ask(model: Model, frames: FrameSource, question: Question) -> Answer:
    """AFI on all frames with strokes (Eq. 1).

    Frames of earlier rounds take no part: with the two nearest of them J&F after three rounds was 0.811 instead of
    0.810, for up to three times the time.
    """
    whole = frames.height, frames.width
    size = model.interaction_size(*whole)
    strokes, known, objects = question.strokes, question.known, question.objects
    numbers = sorted(strokes)
    drawn, before = [], []
    for number in numbers:
        marks, start = list(strokes[number]), known.get(number)
        framed = question.boxes.get(number)
        if framed:
            start = fill_boxes(np.zeros(whole, np.uint8) if start is None else start, framed)
            marks = [*surround(framed, start, whole[0] / size[0]), *marks]
        drawn.append(stroke_slots(marks, objects, size, whole))
        before.append(previous_slots(start, marks, objects, size))
    slots, tags = objects.channels()
    pictures = [frames[number] for number in numbers]
    return Answer(numbers, model.interact(pictures, np.stack(drawn, axis=1), np.stack(before, axis=1), slots), tags)


def masks_of(
    answer: Answer, question: Question, frames: FrameSource, given: Mapping[int, IndexMask]
) -> dict[int, IndexMask]:
    """Index masks of the asked frames; what the user drew, or gave as a mask (`given`), is in them as it is."""
    result = {}
    for number, probability in zip(answer.frames, answer.probabilities, strict=True):
        strokes = question.strokes[number]
        refined = refine_mask(frames[number], probability.cpu().numpy(), answer.tags, strokes)
        mask = honour_strokes(refined, strokes)
        for tag, box in question.boxes.get(number, {}).items():
            if not (mask == tag).any():  # the box itself says at least that much
                mask[box_pixels(box, *mask.shape)] = tag
        human = given.get(number)
        result[number] = mask if human is None else np.where(human > 0, human, mask).astype(np.uint8)
    return result
