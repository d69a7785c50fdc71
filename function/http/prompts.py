"""A round's body as what a session takes, and index masks as what bodies hold."""

from collections.abc import Sequence

from function.http.messages import impossible
from function.http.schemas import MaskModel, RoundRequest, Stroke
from function.runtime.timing import phase
from siaf.boxes import as_box
from siaf.errors import InputError
from siaf.masks import IndexMask, index_mask_to_rles, rles_to_index_mask
from siaf.prompts import Prompts
from siaf.scribbles import Scribble


def prompts_of(body: RoundRequest, *, frames: int, height: int, width: int) -> Prompts:
    """What a round gives, for a video of so many frames of this size.

    Raises ApiError or InputError naming the field.
    """
    given = Prompts()
    for i, drawn in enumerate(body.scribbles):
        given.at(drawn.frame).strokes += scribbles_of(drawn.strokes, f"scribbles[{i}].strokes")
    for i, framed in enumerate(body.boxes):
        boxes = given.at(framed.frame).boxes
        if framed.tag in boxes:
            raise impossible(f"object {framed.tag} has two boxes on frame {framed.frame}", f"boxes[{i}].tag")
        boxes[framed.tag] = as_box(framed.box, height=height, width=width, field=f"boxes[{i}].box")
    for i, frame in enumerate(body.references):
        here = given.at(frame.frame)
        here.about = None if frame.about is None else frozenset(frame.about)
        try:
            rles = {mask.tag: mask.rle for mask in frame.masks}
            here.mask = rles_to_index_mask(rles, height=height, width=width)
        except InputError as error:
            raise InputError(error.message, field=f"references[{i}].{error.field}") from None
    unknown = sorted(f for f in given if f >= frames)
    if unknown:
        raise impossible(f"frame {unknown[0]} is not in the video (0 to {frames - 1})", "frame")
    return given


def scribbles_of(strokes: Sequence[Stroke], name: str) -> list[Scribble]:
    """Strokes as the library's. Raises InputError naming `name`[i] and what is wrong of it."""
    found = []
    for i, stroke in enumerate(strokes):
        try:
            found.append(Scribble(**stroke.model_dump()))
        except InputError as error:
            raise InputError(error.message, field=f"{name}[{i}].{error.field}") from None
    return found


def masks_of(mask: IndexMask) -> list[MaskModel]:
    """The objects of an index mask."""
    with phase("encode"):
        return [MaskModel(tag=tag, rle=rle) for tag, rle in index_mask_to_rles(mask).items()]
