"""Our propagation gives what the official AOT and DeAOT code gave for the same weights and the same clip.

tests/data/parity.json holds statistics of the official code's answers, written by
`siaf weights parity --official CHECKOUT --record tests/data/parity.json --variants …`.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from siaf.evaluation.parity import Ours, digest, make_clip, summary, walk
from siaf.model.config import PROPAGATION

RECORDED = json.loads((Path(__file__).parent.parent / "data" / "parity.json").read_text())["variants"]


@pytest.mark.parametrize("variant", sorted(RECORDED))
def test_logits_are_those_of_the_official_code(variant: str) -> None:
    recorded = RECORDED[variant]
    clip = make_clip(align_corners=PROPAGATION[variant].align_corners)
    ours = Ours(variant)
    state = ours.net.state_dict()
    assert digest([clip.images, clip.labels]) == recorded["clip"]
    assert digest(state[name] for name in sorted(state)) == recorded["weights"]
    answers = summary(walk(ours, clip))
    assert len(answers) == len(recorded["frames"])
    for found, official in zip(answers, recorded["frames"], strict=True):
        assert found["shape"] == official["shape"]
        for key in ("mean", "std", "samples", "probabilities"):
            assert np.allclose(found[key], official[key], rtol=0, atol=2e-4), key
