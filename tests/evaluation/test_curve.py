"""The summary of an interactive evaluation is davisinteractive's."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from siaf.errors import InputError
from siaf.evaluation.curve import RoundScore, summarise

OFFICIAL: list[dict[str, Any]] = json.loads((Path(__file__).parent / "data" / "curve.json").read_text())


def score(seconds: float, *quality: float) -> RoundScore:
    return RoundScore(seconds, np.array(quality), np.array(quality))


@pytest.mark.parametrize("case", OFFICIAL)
def test_agrees_with_davisinteractive(case: dict[str, Any]) -> None:
    samples = [
        [RoundScore(r["seconds"], np.array(r["jaccard"]), np.array(r["boundary"])) for r in sample]
        for sample in case["samples"]
    ]
    summary = summarise(samples, seconds_per_object=case["seconds_per_object"])
    np.testing.assert_allclose(summary.curve_seconds, case["curve_seconds"], atol=1e-9)
    np.testing.assert_allclose(summary.curve_quality, case["curve_quality"], atol=1e-9)
    assert summary.auc == pytest.approx(case["auc"], abs=1e-9)
    assert summary.at_threshold == pytest.approx(case["at_60s"], abs=1e-9)


def test_objects_count_equally_and_a_sample_that_ended_keeps_its_scores() -> None:
    summary = summarise([[score(10, 0.2, 0.4), score(20, 0.6, 0.8)], [score(30, 0.9)]])
    np.testing.assert_allclose(summary.j_and_f, [0.5, (0.6 + 0.8 + 0.9) / 3])
    np.testing.assert_allclose(summary.seconds, [20, 10])


def test_rounds_later_than_the_granted_time_lengthen_the_curve() -> None:
    summary = summarise([[score(100, 0.5), score(100, 1.0)]], seconds_per_object=60)
    assert summary.curve_seconds.tolist() == [0, 100, 200, 200]
    assert summary.at_threshold == pytest.approx(0.3)
    assert summary.auc == pytest.approx((25 + 75) / 200)


def test_nothing_to_summarise_is_refused() -> None:
    with pytest.raises(InputError, match="samples"):
        summarise([])
    with pytest.raises(InputError, match=r"samples\[1\]"):
        summarise([[score(1, 0.5)], []])
