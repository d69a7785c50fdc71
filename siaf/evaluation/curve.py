"""Quality against wall-clock time: an interactive evaluation summarised as davisinteractive 1.0.4 does."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from siaf.errors import InputError

SECONDS_PER_OBJECT = 240.0
"""What the DAVIS 2020 challenge grants a sample, times its number of objects."""
THRESHOLD_SECONDS = 60.0


@dataclass(frozen=True, eq=False)
class RoundScore:
    """One round of one sample (a sequence with its first scribbles).

    `seconds`: from handing out the scribbles to taking the masks. `jaccard`, `boundary`: float64 K, one value
    per object, mean over all frames of the sequence.
    """

    seconds: float
    jaccard: NDArray[np.float64]
    boundary: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Summary:
    """Means over samples, float64 R for R rounds, and the curve through them, float64 R + 2.

    `seconds` is the mean length of a round. The curve starts at (0, 0), has a point per round at the time
    that the rounds took so far, and runs flat to its end. `auc` is the area under it over its length,
    `at_threshold` its height at the threshold.
    """

    seconds: NDArray[np.float64]
    jaccard: NDArray[np.float64]
    boundary: NDArray[np.float64]
    curve_seconds: NDArray[np.float64]
    curve_quality: NDArray[np.float64]
    auc: float
    at_threshold: float

    @property
    def j_and_f(self) -> NDArray[np.float64]:
        return (self.jaccard + self.boundary) / 2


def summarise(
    samples: Sequence[Sequence[RoundScore]],
    *,
    seconds_per_object: float = SECONDS_PER_OBJECT,
    threshold: float = THRESHOLD_SECONDS,
) -> Summary:
    """J, F and J&F per round, J&F at `threshold` seconds and the area under the J&F curve.

    Quality is averaged over all objects of all samples, so that a sample weighs by its objects; time is
    averaged over samples. A sample that ended early repeats its last scores in 0 seconds. The curve ends at
    `seconds_per_object` times the mean number of objects, or with the last round if that is later
    (davisinteractive refuses such late masks). Raises InputError if there is no sample, or one has no round
    or no object.
    """
    if not samples:
        raise InputError("there is no sample to summarise", field="samples")
    for i, sample in enumerate(samples):
        if not sample or sample[0].jaccard.size == 0:
            raise InputError("has no round or no object", field=f"samples[{i}]")
    rounds = max(len(sample) for sample in samples)
    seconds = np.array([[r.seconds for r in sample] + [0.0] * (rounds - len(sample)) for sample in samples])
    last = [[sample[min(r, len(sample) - 1)] for sample in samples] for r in range(rounds)]
    jaccard = np.array([np.concatenate([score.jaccard for score in scores]).mean() for scores in last])
    boundary = np.array([np.concatenate([score.boundary for score in scores]).mean() for scores in last])

    quality = (jaccard + boundary) / 2
    elapsed = seconds.mean(axis=0).cumsum()
    granted = seconds_per_object * float(np.mean([sample[0].jaccard.size for sample in samples]))
    curve_seconds = np.array([0.0, *elapsed, max(granted, elapsed[-1])])
    curve_quality = np.array([0.0, *quality, quality[-1]])
    length = curve_seconds[-1]
    return Summary(
        seconds.mean(axis=0),
        jaccard,
        boundary,
        curve_seconds,
        curve_quality,
        auc=float(np.trapezoid(curve_quality, curve_seconds)) / length if length else 0.0,
        at_threshold=float(np.interp(threshold, curve_seconds, curve_quality)),
    )
