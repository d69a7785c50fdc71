"""Rounds that fill some frames only, and barriers that nothing crosses."""

from typing import Any

import numpy as np
import pytest
from bench import Bench, Pictures, bitmap, check_ledger
from numpy.typing import NDArray

from siaf import Scribble, Session
from siaf.errors import InputError
from siaf.model.loaded import Model
from siaf.session.state_file import parse_session

LINES = ((1, 1, (8.0, 20.0, 20.0, 20.0)), (8, 2, (40.0, 50.0, 50.0, 50.0)))
"""Frame, object and line."""


def draw(bench: Bench, job: int) -> None:
    for frame, tag, line in LINES:
        bench.scribble(job, frame, line, tag=tag, label=("car", "person")[tag - 1])


def shown(bench: Bench, job: int, pictures: Pictures) -> NDArray[np.uint8]:
    found = np.zeros(pictures.shape[:3], np.uint8)
    for (frame, tag), points in bench.masks(job).items():
        found[frame][bitmap(points, pictures)] = tag
    return found


def session(bench: Bench, job: int, model: Model, pictures: Pictures) -> Session:
    place = bench.store.job(bench.server.url, job)
    state = place.state(place.ledger())
    assert state is not None
    return parse_session(state, model, pictures)


def test_only_the_frames_asked_for_are_filled_and_the_rest_by_the_next_sync(bench: Bench, pictures: Pictures) -> None:
    (job,), (other,) = bench.task(pictures), bench.task(pictures)
    for one in (job, other):
        draw(bench, one)
    bench.sync(other)
    full = shown(bench, other, pictures)
    bench.sync(job, frames=(3, 5))
    part = shown(bench, job, pictures)
    filled = {1, 3, 4, 5, 8}
    for frame in range(10):
        np.testing.assert_array_equal(part[frame], full[frame] if frame in filled else 0 * full[frame])
    check_ledger(bench, job)
    assert not bench.sync(job, frames=(3, 5)).changed
    report = bench.sync(job)
    assert (report.round, report.scribbles) == (1, {})
    np.testing.assert_array_equal(shown(bench, job, pictures), full)


def test_barriers_hold_until_they_are_lifted(bench: Bench, pictures: Pictures, tiny_model: Model) -> None:
    (job,), (other,) = bench.task(pictures), bench.task(pictures)
    for one in (job, other):
        draw(bench, one)
    bench.sync(other)
    bench.sync(job, barriers=[5])
    alone = Session(tiny_model, pictures)
    alone.barriers = [5]
    alone.interact({f: [Scribble(tag, np.array(line).reshape(-1, 2))] for f, tag, line in LINES})
    for _ in alone.propagate():
        pass
    apart = shown(bench, job, pictures)
    np.testing.assert_array_equal(apart, [alone.mask(frame) for frame in range(10)])
    assert (apart != shown(bench, other, pictures)).any()
    assert session(bench, job, tiny_model, pictures).barriers == (5,)
    before = bench.everything(job)
    assert not bench.sync(job).changed  # as before
    assert bench.everything(job) == before
    bench.scribble(job, 9, (40, 50, 50, 50), tag=2, label="person")
    bench.sync(job)
    assert session(bench, job, tiny_model, pictures).barriers == (5,)
    bench.sync(job, barriers=[])
    assert session(bench, job, tiny_model, pictures).barriers == ()


def test_frames_and_barriers_are_the_task_s(bench: Bench, pictures: Pictures, tiny_model: Model) -> None:
    _, job = bench.task(pictures, segment=5)
    bench.scribble(job, 6, (40, 50, 50, 50), tag=2, label="person")
    bench.sync(job, frames=(7, 8), barriers=[9])
    assert {frame for frame, _ in bench.masks(job)} == {6, 7, 8}
    found = session(bench, job, tiny_model, pictures[5:])
    assert (found.within, found.barriers) == (range(2, 4), (4,))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frames": (3, 12)}, r"^frames: 3-12 is no range of its frames: the job has 0 to 9"),
        ({"frames": (5, 3)}, r"^frames: 5-3 is no range"),
        ({"barriers": [0]}, r"^barriers: 0 is not one of the job's later frames, 1 to 9"),
        ({"barriers": [3, 10]}, r"^barriers: 10 is not one"),
    ],
)
def test_what_is_not_the_job_s_is_named(
    bench: Bench, pictures: Pictures, options: dict[str, Any], message: str
) -> None:
    (job,) = bench.task(pictures)
    draw(bench, job)
    with pytest.raises(InputError, match=message):
        bench.sync(job, **options)
    assert bench.masks(job) == {}
