"""The Python API says which argument is wrong, and what it should be."""

import re
from typing import Any

import numpy as np
import pytest

from siaf.errors import InputError
from siaf.frames.source import as_frames
from siaf.model.loaded import Model
from siaf.scribbles import Scribble
from siaf.session.session import Session

FRAMES = np.zeros((4, 20, 30, 3), np.uint8)
STROKE = Scribble(1, np.array([[5.0, 5.0], [9.0, 9.0]]))
MASK = np.ones((20, 30), np.uint8)


@pytest.mark.parametrize(
    ("arguments", "field", "message"),
    [
        ({"scribbles": [STROKE]}, "scribbles", r"must be \{frame: \[Scribble, …\]\}, not a list"),
        ({"scribbles": STROKE}, "scribbles", "not a Scribble"),
        ({"scribbles": {1: STROKE}}, "scribbles[1]", "must be a list of Scribble, not a Scribble"),
        ({"scribbles": {1: [[STROKE]]}}, "scribbles[1][0]", "must be a Scribble, not a list"),
        ({"scribbles": {1: (s for s in [STROKE])}}, "scribbles[1]", "must be a list of Scribble, not a generator"),
        ({"scribbles": {1: MASK}}, "scribbles[1]", "not a ndarray; masks belong in references"),
        ({"scribbles": {"1": [STROKE]}}, "scribbles['1']", r"a frame is a whole number \(0 to 3\), not '1'"),
        ({"scribbles": {1.0: [STROKE]}}, "scribbles[1.0]", "a frame is a whole number"),
        ({"scribbles": {True: [STROKE]}}, "scribbles[True]", "a frame is a whole number"),
        ({"scribbles": {9: [STROKE]}}, "scribbles[9]", "frame 9 is not in the video"),
        ({"references": MASK}, "references", r"must be \{frame: index mask\}, not a ndarray"),
        ({"references": {"1": MASK}}, "references['1']", "a frame is a whole number"),
        ({"references": {1: [STROKE]}}, "references[1]", "2 dimensions"),
        ({"boxes": {1: (1, 2, 3, 4)}}, "boxes[1]", r"must be \{tag: \(left, top, right, bottom\)\}, not a tuple"),
        ({"boxes": {1: {"1": (1, 2, 3, 4)}}}, "boxes[1]['1']", "a tag is a whole number"),
        ({"boxes": {1: {1: (3, 2, 1, 4)}}}, "boxes[1][1]", "inverted or empty"),
    ],
)
def test_a_round_names_what_is_wrong_with_it(
    tiny_model: Model, arguments: dict[str, Any], field: str, message: str
) -> None:
    session = Session(tiny_model, FRAMES)
    with pytest.raises(InputError, match=message) as caught:
        session.interact(**arguments)
    assert caught.value.field == field
    assert session.rounds == []


def test_frame_numbers_of_numpy_count(tiny_model: Model) -> None:
    session = Session(tiny_model, FRAMES)
    session.interact(references={np.int64(1): MASK})
    assert [type(frame) for frame in session.interacted] == [int]


def test_swapped_arguments_are_named(tiny_model: Model, tmp_path: Any) -> None:
    with pytest.raises(InputError, match=re.escape("model: the model comes first: Session(model, frames)")):
        Session(FRAMES, tiny_model)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="path: the path comes first"):
        Session.load(tiny_model, tmp_path / "a.siaf", FRAMES)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=re.escape("not points: Scribble(tag, points)")):
        Scribble(np.zeros((2, 2)), 1)  # type: ignore[arg-type]
    session = Session(tiny_model, FRAMES)
    with pytest.raises(InputError, match="state: must be the bytes of a state file"):
        session.inherit("a.siaf")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="frame: a frame is a whole number"):
        session.mask("1")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="scribbles: must be a list of Scribble, not a Scribble"):
        session.preview(1, STROKE)  # type: ignore[arg-type]


@pytest.mark.parametrize("frames", [(f for f in FRAMES), {0: FRAMES[0]}, 7, None])
def test_frames_that_are_no_sequence_are_refused(frames: Any) -> None:
    with pytest.raises(InputError, match="^frames: must be a list of uint8 H×W×3 arrays"):
        as_frames(frames)
