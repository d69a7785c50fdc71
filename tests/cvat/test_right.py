"""The tag `siaf:right`: what people say of a frame without drawing there."""

import numpy as np
import pytest
from bench import Bench, Pictures
from controlled_job import control

from siaf.cvat import commands
from siaf.session.state_file import read_masks

LABELS = (("car", "mask"), ("person", "any"), ("siaf:right", "tag"))


@pytest.fixture
def filled(bench: Bench, pictures: Pictures) -> int:
    """A job with two objects on every frame, after a round."""
    (job,) = bench.task(pictures, labels=LABELS)
    bench.scribble(job, 0, (8, 20, 20, 20), tag=1, label="car")
    bench.scribble(job, 0, (72, 50, 85, 50), tag=2, label="person")
    bench.sync(job)
    return job


def call_right(bench: Bench, job: int, frame: int) -> int:
    return bench.server.create_tag(
        job, {"frame": frame, "label_id": bench.label_id(job, "siaf:right"), "source": "manual"}
    )


def untag(bench: Bench, job: int) -> None:
    bench.server.delete_tags(job, bench.server.annotations(job)["tags"])


def state(bench: Bench, job: int) -> bytes:
    jobs = bench.store.job(bench.server.url, job)
    found = jobs.state(jobs.ledger())
    assert found is not None
    return found


def test_a_frame_that_is_called_right_is_kept_as_somebody_saw_it(bench: Bench, filled: int) -> None:
    seen = read_masks(state(bench, filled)).mask(4)
    call_right(bench, filled, 4)
    report = bench.sync(filled)
    assert (report.references, report.round) == ([4], 2)
    bench.scribble(filled, 7, (40, 60, 60, 60), tag=1, label="car")
    bench.sync(filled)
    after = read_masks(state(bench, filled))
    assert 4 in after.interacted
    assert np.array_equal(after.mask(4), seen)


def test_it_counts_once_and_again_when_it_is_set_anew(bench: Bench, filled: int) -> None:
    call_right(bench, filled, 4)
    bench.sync(filled)
    assert not bench.sync(filled).references
    untag(bench, filled)
    assert not bench.sync(filled).references
    bench.scribble(filled, 4, (40, 60, 60, 60), tag=1, label="car")
    bench.sync(filled)
    call_right(bench, filled, 4)
    assert bench.sync(filled).references == [4]


def test_the_network_may_learn_from_it(bench: Bench, filled: int) -> None:
    """Nobody has seen what strokes gave; a mask that is called right is verified."""
    bench.scribble(filled, 2, (8, 20, 20, 20), tag=1, label="car")
    assert any(note.startswith("not adapted: a mask that somebody") for note in bench.sync(filled, adapt=True).notes)
    call_right(bench, filled, 4)
    assert any(note.startswith("adapted to the masks") for note in bench.sync(filled, adapt=True).notes)


def test_nobody_can_have_seen_what_no_round_made(bench: Bench, pictures: Pictures) -> None:
    (job,) = bench.task(pictures, labels=LABELS)
    bench.scribble(job, 0, (8, 20, 20, 20), tag=1, label="car")
    call_right(bench, job, 4)
    report = bench.sync(job)
    assert report.references == []
    (reason,) = report.ignored
    assert "no round has filled the job" in reason
    assert report.ignored[reason] == ["tag 'siaf:right' on frame 4"]
    assert bench.sync(job).references == [4], "it is there now, and was looked at again"


def test_a_round_that_is_taken_back_takes_it_back_too(bench: Bench, filled: int) -> None:
    before = bench.contents(filled)
    call_right(bench, filled, 4)
    bench.sync(filled)
    control(bench, filled, "undo")
    assert 4 not in read_masks(state(bench, filled)).interacted
    assert any("was taken back" in note for note in bench.sync(filled).notes)
    untag(bench, filled)
    assert bench.contents(filled) == before


def test_setup_adds_the_label_where_it_is_asked_for(bench: Bench, pictures: Pictures) -> None:
    (job,) = bench.task(pictures[:2])
    task = bench.server.job(job)["task_id"]
    assert "siaf:right" not in commands.setup(bench.client, task=task).how_to
    plan = commands.setup(bench.client, task=task, right_tag=True, apply=True)
    assert plan.changes == ["new label 'siaf:right', a tag"]
    again = commands.setup(bench.client, task=task, right_tag=True)
    assert (again.changes, "siaf:right" in again.how_to) == ([], True)
