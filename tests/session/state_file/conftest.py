"""A session that is written to a file."""

import numpy as np
import pytest
from small_rounds import Frames, advance, stroke

from siaf import Scribble, Session
from siaf.model.loaded import Model


@pytest.fixture
def session(tiny_model: Model, clip: Frames) -> Session:
    """In its second round, whose propagation has not begun."""
    session = Session(tiny_model, clip)
    session.interact({3: [stroke(1, 20, 20)]})
    advance(session, 99)
    session.interact({8: [stroke(2, 45, 50), Scribble(1, np.array([[5.0, 60.0]]), polarity="negative")]})
    session.objects[2].label = "car"
    return session
