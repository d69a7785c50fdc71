"""A file written before input sizes were noted in it: its third round is under way, on another clip's memory."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from crafted_states import document_of
from small_rounds import Frames, advance, masks

from siaf import Session
from siaf.errors import StateError
from siaf.model.loaded import Model
from siaf.session.state_file import dump_session, parse_session

DATA = (Path(__file__).parents[2] / "data" / "state-v2.siaf").read_bytes()


@pytest.fixture
def model(tiny_model: Model) -> Model:
    """Its weights were random; later random ones may be others."""
    return replace(tiny_model, digest=document_of(DATA)["weights"])


def test_it_loads_as_it_was_and_goes_on(model: Model, clip: Frames) -> None:
    session = parse_session(DATA, model, clip)
    assert session.objects.tags == [1, 2, 7]
    assert (session.objects[2].label, session.objects[2].origin) == ("car", {"track": "5"})
    assert session.interacted == [0, 3, 8, 10]
    assert [sorted(past.scribbles) for past in session.rounds] == [[0, 3], [10]]
    assert [past.references for past in session.rounds] == [[], [8]]
    assert (session.mask(8)[40:60, 38:58] == 7).all()
    assert len(session.memory.carried) == 1
    twin = parse_session(dump_session(session), model, clip)
    for each in (session, twin):
        advance(each, 99)
    assert session.pending == 0
    assert all(np.array_equal(a, b) for a, b in zip(masks(session), masks(twin), strict=True))
    session.undo()
    session.undo()
    advance(session, 99)
    assert session.objects.tags == [1]


def test_another_clip_inherits_from_it(model: Model, clip: Frames) -> None:
    heir = Session(model, clip[::-1, :, 8:].copy())
    heir.inherit(DATA)
    advance(heir, 99)
    assert heir.objects.tags == [1, 2, 7]


def test_another_input_size_is_refused(model: Model, clip: Frames) -> None:
    with pytest.raises(StateError, match="grid"):
        parse_session(DATA, replace(model, short_side=97), clip)
