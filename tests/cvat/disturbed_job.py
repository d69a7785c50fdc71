"""Jobs that are ready for a round, and two ways to run one, for tests that disturb it."""

from typing import Any

from bench import Bench, Pictures

from siaf.cvat.rounds.report import SyncReport

BOX_POINTS = [0.0, 300.0, 30.0, 30.0, 44.0, 49.0]


def first_round(bench: Bench, pictures: Pictures, frames: int = 3, **task: Any) -> int:
    """A job on which two objects were scribbled."""
    (job,) = bench.task(pictures[:frames], **task)
    bench.scribble(job, 0, (8, 20, 20, 20), tag=1, label="car")
    bench.scribble(job, 2, (72, 50, 85, 50), tag=2, label="person")
    return job


def second_round(bench: Bench, pictures: Pictures) -> int:
    """A job in which a human edited a mask, deleted one, drew one and scribbled after the first round."""
    job = first_round(bench, pictures)
    bench.sync(job)
    masks = bench.shapes(job)
    bench.edit(job, next(s for s in masks if (s["frame"], s["group"]) == (0, 1)), points=BOX_POINTS)
    bench.delete(job, next(s for s in masks if (s["frame"], s["group"]) == (2, 1)))
    bench.box_mask(job, 1, (5, 55, 20, 65), "person", tag=3)
    bench.scribble(job, 1, (40, 20, 60, 20), tag=2)
    return job


def as_tracks(bench: Bench, pictures: Pictures) -> int:
    """A job written as masks, to be written as tracks now."""
    job = first_round(bench, pictures, labels=(("car", "any"), ("person", "any")))
    bench.sync(job)
    bench.scribble(job, 1, (40, 20, 60, 20), tag=2)
    return job


def neighbour(bench: Bench, pictures: Pictures) -> int:
    """A job that shares two frames with the one before it, which is synced; something is drawn on it already."""
    first, second = bench.task(pictures[:5], segment=4, overlap=2)
    bench.scribble(first, 0, (8, 20, 20, 20), tag=1, label="car")
    bench.sync(first)
    bench.scribble(second, 4, (72, 50, 85, 50), tag=2, label="person")
    return second


def by_sync(bench: Bench, job: int, **options: Any) -> SyncReport:
    """A round; what it did."""
    return bench.sync(job, **options)


def by_carry(bench: Bench, job: int, **options: Any) -> SyncReport:
    """Masks carried over from the job before; what that did."""
    (report,) = bench.carry(from_job=job - 1, to_job=job, **options)
    return report
