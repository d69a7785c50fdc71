"""Another clip's session goes on from the memory in a state file."""

import numpy as np
import pytest
from small_rounds import Frames, advance, masks, stroke

from siaf import Session
from siaf.errors import InputError, StateError
from siaf.model.loaded import Model
from siaf.session.state_file import dump_session, parse_session


def test_another_clip_inherits_objects_and_memory(session: Session, tiny_model: Model, clip: Frames) -> None:
    advance(session, 99)
    heir = Session(tiny_model, clip[::-1, :, 8:].copy())
    heir.inherit(dump_session(session))
    assert heir.objects.tags == session.objects.tags
    assert heir.objects[2].label == "car"
    assert heir.pending == 12
    advance(heir, 5)
    twin = parse_session(dump_session(heir), tiny_model, heir.frames)
    for each in (heir, twin):
        advance(each, 99)
        each.interact({0: [stroke(2, 20, 50)]})
        advance(each, 99)
    assert all(np.array_equal(a, b) for a, b in zip(masks(heir), masks(twin), strict=True))


def test_an_inherited_memory_changes_what_is_found(session: Session, tiny_model: Model, clip: Frames) -> None:
    advance(session, 99)
    state = dump_session(session)
    session.undo()
    advance(session, 99)
    heirs = [Session(tiny_model, clip) for _ in range(2)]
    for heir, data in zip(heirs, (state, dump_session(session)), strict=True):
        heir.inherit(data)
        advance(heir, 99)
    assert any((heirs[0].mask(f) != heirs[1].mask(f)).any() for f in range(12))


def test_objects_beyond_ten_may_join_an_inherited_memory(session: Session, tiny_model: Model, clip: Frames) -> None:
    advance(session, 99)
    heir = Session(tiny_model, clip)
    heir.inherit(dump_session(session))
    heir.interact({4: [stroke(100 + i, 5 + 5 * i, 5 + 5 * i) for i in range(10)]})
    advance(heir, 99)
    assert heir.objects.groups() == 2
    assert heir.pending == 0


def test_a_state_that_was_never_propagated_has_nothing_to_inherit(tiny_model: Model, clip: Frames) -> None:
    fresh = Session(tiny_model, clip)
    fresh.interact({3: [stroke(1, 20, 20)]})
    with pytest.raises(StateError, match="holds no memory"):
        Session(tiny_model, clip).inherit(dump_session(fresh))


def test_only_a_session_without_objects_can_inherit(session: Session) -> None:
    advance(session, 99)
    with pytest.raises(InputError, match="without objects"):
        session.inherit(dump_session(session))
