"""A session comes back from its file as it was."""

from pathlib import Path

import numpy as np
import pytest
from small_rounds import Frames, advance, masks

from siaf import Session
from siaf.model.loaded import Model
from siaf.session.state_file import dump_session, parse_session


@pytest.mark.parametrize("steps", [0, 1, 4, 7, 99])
def test_a_session_saved_anywhere_goes_on_to_the_identical_result(
    session: Session, tiny_model: Model, clip: Frames, tmp_path: Path, steps: int
) -> None:
    advance(session, steps)
    session.save(tmp_path / "s.siaf")
    twin = Session.load(tmp_path / "s.siaf", tiny_model, clip)
    assert twin.revision == session.revision
    assert twin.pending == session.pending
    advance(session, 99)
    advance(twin, 99)
    assert all(np.array_equal(a, b) for a, b in zip(masks(session), masks(twin), strict=True))
    assert twin.confidence == session.confidence
    assert twin.objects[2].label == "car"


def test_undo_works_after_loading(session: Session, tiny_model: Model, clip: Frames, tmp_path: Path) -> None:
    session.save(tmp_path / "s.siaf")
    twin = Session.load(tmp_path / "s.siaf", tiny_model, clip)
    for each in (session, twin):
        each.undo()
        advance(each, 99)
    assert twin.objects.tags == [1]
    assert all(np.array_equal(a, b) for a, b in zip(masks(session), masks(twin), strict=True))


def test_rounds_come_back_with_their_strokes(session: Session, tiny_model: Model, clip: Frames) -> None:
    twin = parse_session(dump_session(session), tiny_model, clip)
    assert [r.scribbles for r in twin.rounds] == [r.scribbles for r in session.rounds]


def test_saving_does_not_change_the_session(session: Session) -> None:
    assert dump_session(session) == dump_session(session)
