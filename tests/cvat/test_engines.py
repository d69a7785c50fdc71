"""A sync with another engine: the same rounds on a job, and one that goes on with a session of another."""

import numpy as np
import pytest

pytest.importorskip("transformers")

from bench import Bench, Pictures
from small_sam2 import small_engine

from siaf.cvat.sessions.local import local_sessions

LINE_1 = (8.0, 20.0, 20.0, 20.0)
LINE_2 = (40.0, 20.0, 50.0, 20.0)


def test_two_rounds_of_another_engine_on_a_job(bench: Bench, pictures: Pictures) -> None:
    bench.sessions = local_sessions(lambda: small_engine("edgetam"))
    (job,) = bench.task(pictures[:5])
    bench.scribble(job, 0, LINE_1, tag=1, label="car")
    assert bench.sync(job).created > 0
    first = bench.masks(job)
    bench.scribble(job, 3, LINE_2, tag=1, label="car")
    report = bench.sync(job)
    assert report.scribbles == {3: 1} and bench.masks(job) != first


def test_a_session_of_siafs_networks_begins_again_with_another_engine(bench: Bench, pictures: Pictures) -> None:
    (job,) = bench.task(pictures[:5])
    bench.scribble(job, 0, LINE_1, tag=1, label="car")
    bench.sync(job)
    drawn = bench.masks(job)[0, 1]
    bench.sessions = local_sessions(lambda: small_engine("edgetam"))
    bench.scribble(job, 3, LINE_2, tag=1, label="car")
    report = bench.sync(job)
    assert any("model" in note for note in report.notes), report.notes
    assert np.array_equal(bench.masks(job)[0, 1], drawn)
