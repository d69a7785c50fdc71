"""State of other weights, another input size or other pixels: the round begins again, or goes on and says so."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from bench import Bench, Pictures
from drawn_job import drawn
from served_function import Served, use
from standin_media import write_video

from siaf.cvat import commands
from siaf.cvat.sessions.local import local_sessions
from siaf.frames.source import frame_digest
from siaf.model.loaded import Model
from siaf.session.state_file import read_summary, with_digests


def test_new_weights_begin_again_from_the_annotated_frames(
    bench: Bench, serve: Callable[..., Served], pictures: Pictures, tiny_model: Model
) -> None:
    job = drawn(bench, pictures)
    bench.sessions = local_sessions(lambda: tiny_model)  # its digest is not that of the function's file
    bench.sync(job)
    kept = {spot: points for spot, points in bench.masks(job).items() if spot[0] in (0, 3)}
    bench.scribble(job, 4, (40, 60, 50, 60), tag=2)
    use(bench, serve())
    report = bench.sync(job)
    assert report.notes == [
        "the session had another model or input size, so this round started from the annotated frames' masks"
    ]
    assert {spot: points for spot, points in bench.masks(job).items() if spot[0] in (0, 3)} == kept
    assert bench.sync(job).notes == []


@pytest.mark.parametrize("change", [{"short_side": 97}, {"autocast": True}])
def test_another_input_size_begins_again_in_this_process_too(
    bench: Bench, serve: Callable[..., Served], pictures: Pictures, tiny_model: Model, change: dict[str, object]
) -> None:
    job = drawn(bench, pictures)
    bench.sessions = local_sessions(lambda: tiny_model)
    bench.sync(job)
    kept = {spot: points for spot, points in bench.masks(job).items() if spot[0] in (0, 3)}
    bench.scribble(job, 4, (40, 60, 50, 60), tag=2)
    other = replace(tiny_model, **change)
    bench.sessions = local_sessions(lambda: other)
    report = bench.sync(job)
    assert report.notes == [
        "the session had another model or input size, so this round started from the annotated frames' masks"
    ]
    assert {spot: points for spot, points in bench.masks(job).items() if spot[0] in (0, 3)} == kept
    assert bench.sync(job).notes == []


def test_a_function_of_another_input_size_begins_again(
    bench: Bench, serve: Callable[..., Served], pictures: Pictures
) -> None:
    job = drawn(bench, pictures)
    use(bench, serve())
    bench.sync(job)
    bench.scribble(job, 4, (40, 60, 50, 60), tag=2)
    use(bench, serve(short_side=97))
    report = bench.sync(job)
    assert report.notes == [
        "the session had another model or input size, so this round started from the annotated frames' masks"
    ]


def test_a_state_of_a_video_that_was_read_without_exact_rounding_goes_on(
    bench: Bench, serve: Callable[..., Served], clip: Pictures, tmp_path: Path
) -> None:
    """The function has pixels only, and could not tell: whoever has the video says that it is the same."""
    path = tmp_path / "film.mp4"
    noisy = np.clip(clip + np.random.default_rng(0).integers(-40, 40, clip.shape), 0, 255).astype(np.uint8)
    with open(path, "wb+") as file:
        write_video(file, noisy)  # type: ignore[arg-type]
    (job,) = bench.video_task(path)
    bench.scribble(job, 0, (8, 20, 20, 20), tag=1, label="car")
    bench.sync(job)
    first = bench.store.job(bench.server.url, job)
    state = first.state(first.ledger())
    assert state is not None
    (other,) = bench.video_task(path)
    bench.scribble(other, 3, (72, 50, 85, 50), tag=2, label="person")
    with av.open(io.BytesIO(bench.server.chunk(job, 0))) as chunk:
        former = frame_digest(next(chunk.decode(video=0)).to_ndarray(format="rgb24"))
    assert former != read_summary(state).digests[0]
    old = with_digests(state, {0: former})
    (tmp_path / "old.siaf").write_bytes(old)
    commands.import_state(bench.client, other, tmp_path / "old.siaf", store=bench.store)
    use(bench, serve())
    report = bench.sync(other)
    assert report.round == 2
    jobs = bench.store.job(bench.server.url, other)
    summary = read_summary(jobs.state(jobs.ledger()) or b"")
    assert summary.digests.keys() == {0, 3}
    assert summary.rounds == 2
