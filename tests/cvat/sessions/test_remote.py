"""`--url`: the same rounds with the session in a function give the same masks, and frames travel once."""

from collections.abc import Callable

import pytest
from bench import Bench, Pictures
from drawn_job import corrected, drawn
from served_function import Served, use

from siaf.cvat import commands


def test_rounds_in_a_function_give_the_same_masks(
    bench: Bench, serve: Callable[..., Served], pictures: Pictures
) -> None:
    here, there = drawn(bench, pictures), drawn(bench, pictures)
    local = bench.sessions
    for change in (lambda job: None, lambda job: corrected(bench, job)):
        change(here)
        bench.sessions = local
        bench.sync(here)
    use(bench, serve())
    for change in (lambda job: None, lambda job: corrected(bench, job)):
        change(there)
        bench.sync(there)
    assert bench.contents(there) == bench.contents(here)


def test_frames_are_uploaded_once(bench: Bench, serve: Callable[..., Served], pictures: Pictures) -> None:
    job = drawn(bench, pictures)
    use(bench, serve())
    first = bench.sync(job)
    assert first.uploaded_frames == 5
    files = sum(path.stat().st_size for path in bench.folder.glob("0-*.png"))
    assert first.uploaded == files
    assert first.uploaded_frames < first.calls < 3 * first.uploaded_frames
    bench.scribble(job, 4, (10, 60, 20, 60), tag=3, label="person")
    assert bench.sync(job).uploaded_frames == 0


def test_a_function_that_forgot_everything_is_given_the_state_again(
    bench: Bench, serve: Callable[..., Served], pictures: Pictures
) -> None:
    job, whole = drawn(bench, pictures), drawn(bench, pictures)
    use(bench, serve())
    for number in (job, whole):
        bench.sync(number)
        corrected(bench, number)
    bench.sync(whole)
    use(bench, serve())
    report = bench.sync(job)
    assert report.round == 2
    assert report.uploaded_frames == 5
    assert bench.contents(job) == bench.contents(whole)


def test_a_round_goes_on_in_this_process(bench: Bench, serve: Callable[..., Served], pictures: Pictures) -> None:
    job = drawn(bench, pictures)
    local = bench.sessions
    use(bench, serve())
    bench.sync(job)
    corrected(bench, job)
    bench.sessions = local
    assert bench.sync(job).round == 2


@pytest.mark.adapting
@pytest.mark.parametrize("setting", [False, True])
def test_a_function_adapts_if_asked_or_as_it_is_set(
    bench: Bench, serve: Callable[..., Served], pictures: Pictures, monkeypatch: pytest.MonkeyPatch, setting: bool
) -> None:
    monkeypatch.setattr("siaf.session.adaptation._STEPS", 3)

    def masks(adapt: bool | None) -> dict:
        (job,) = bench.task(pictures[:5])
        for frame in (0, 4):
            bench.box_mask(job, frame, (20, 30, 44, 49), "car", tag=1)
        report = bench.sync(job, adapt=adapt)
        assert any(note.startswith("adapted to") for note in report.notes) == (setting if adapt is None else adapt)
        return {spot: points for spot, points in bench.masks(job).items() if spot[0] in (1, 2, 3)}

    here, without = masks(adapt=True), masks(adapt=False)  # in this process
    assert here != without
    use(bench, serve(adapt=setting))
    assert masks(adapt=True) == here
    assert masks(adapt=False) == without
    assert masks(adapt=None) == (here if setting else without)


def test_limits_and_changed_objects_reach_the_function(
    bench: Bench, serve: Callable[..., Served], pictures: Pictures
) -> None:
    """The function's session is the one before an undo or a swap: it gets the changed state with the next round."""
    here, there = drawn(bench, pictures), drawn(bench, pictures)
    local, served = bench.sessions, serve()
    for job in (here, there):
        if job == there:
            use(bench, served)
        else:
            bench.sessions = local
        bench.sync(job, frames=(1, 2))
        bench.sync(job, barriers=[2])
        for do, objects in (("split", [1]), ("undo", []), ("split", [1])):
            frame = None if do == "undo" else 1
            commands.control(bench.client, job, do, store=bench.store, objects=objects, from_frame=frame)
        bench.scribble(job, 4, (60, 50, 70, 50), tag=2, label="person")
        bench.sync(job)
    assert bench.contents(there) == bench.contents(here)
    assert 3 in {tag for _, tag in bench.masks(there)}
