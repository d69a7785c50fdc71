"""The short form of chaos.py."""

import chaos
import pytest

from siaf.cvat.engines.base import EngineFactory


@pytest.mark.parametrize("seed", [0, 5, 10, 3, 7])
def test_broken_rounds_end_as_undisturbed_ones(engines: EngineFactory, seed: int) -> None:
    assert chaos.run_seed(engines, seed).total() > 0
