"""The short form of chaos.py."""

import chaos
import pytest

from siaf.cvat.sessions.base import SessionFactory


@pytest.mark.parametrize("seed", [0, 5, 10, 3, 7])
def test_broken_rounds_end_as_undisturbed_ones(sessions: SessionFactory, seed: int) -> None:
    assert chaos.run_seed(sessions, seed).total() > 0
