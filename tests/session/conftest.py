"""A session on the small clip, with random weights."""

import pytest
from small_rounds import Frames

from siaf import Session
from siaf.model.loaded import Model


@pytest.fixture
def session(tiny_model: Model, clip: Frames) -> Session:
    return Session(tiny_model, clip)
