"""A job as people leave it before its first round and before its second."""

from bench import Bench, Pictures


def drawn(bench: Bench, pictures: Pictures) -> int:
    """A job of five frames on which two objects were scribbled."""
    (job,) = bench.task(pictures[:5])
    bench.scribble(job, 0, (8, 20, 20, 20), tag=1, label="car")
    bench.scribble(job, 3, (72, 50, 85, 50), tag=2, label="person")
    return job


def corrected(bench: Bench, job: int) -> None:
    """Somebody changes a mask that a round wrote, and draws two more objects."""
    frame, tag = next(spot for spot in sorted(bench.masks(job)) if spot[0] in (1, 2, 4))
    shape = next(s for s in bench.shapes(job) if (s["frame"], s["group"]) == (frame, tag))
    bench.edit(job, shape, points=[0.0, 300.0, 30.0, 30.0, 44.0, 49.0])
    bench.scribble(job, 4, (10, 60, 20, 60), tag=3, label="person")
    bench.draw(job, 4, "rectangle", (30, 40, 51, 61), "person", object=4)
