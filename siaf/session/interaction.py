"""How what an engine makes of a round's strokes and boxes becomes masks."""

from collections.abc import Mapping

import numpy as np

from siaf.boxes import box_pixels
from siaf.engines.base import Engine
from siaf.frames.source import FrameSource
from siaf.masks import IndexMask
from siaf.model.probabilities import Probabilities
from siaf.model.request import InteractionRequest
from siaf.session.parts import asked_parts
from siaf.session.refinement import refine
from siaf.session.stroke_slots import honour_strokes
from siaf.session.untouched import keep_untouched


def to_masks(
    model: Engine,
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
