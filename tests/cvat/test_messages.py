"""What people read after a round: what went on, what was written, and what was not used and why."""

from pathlib import Path

import pytest
from bench import Bench, Pictures

from siaf.cvat import commands
from siaf.cvat.rounds.bulk import bulk_lines
from siaf.cvat.rounds.report import SyncReport


def drawn(bench: Bench, pictures: Pictures) -> int:
    (job,) = bench.task(pictures[:6])
    bench.scribble(job, 0, (8, 20, 20, 20), tag=1, label="person")  # a label that may have tracks too
    return job


def stop_in_the_middle(done: int, total: int) -> None:
    if done == 2:
        raise KeyboardInterrupt


def test_a_round_that_was_stopped_goes_on_and_says_so(anywhere: Bench, pictures: Pictures) -> None:
    job = drawn(anywhere, pictures)
    with pytest.raises(KeyboardInterrupt):
        anywhere.sync(job, progress=stop_in_the_middle)
    preview = anywhere.sync(job, dry_run=True)
    assert "  nothing new was drawn since round 1 was stopped: it would go on" in preview.lines()
    report = anywhere.sync(job)
    assert report.resumed
    assert "  nothing new was drawn since round 1 was stopped: it went on" in report.lines()
    assert report.created == len(anywhere.masks(job)) > 0
    again = anywhere.sync(job)
    assert not again.resumed
    assert "  nothing new was drawn" in again.lines()


def test_what_was_drawn_since_a_stop_is_a_round_of_its_own(bench: Bench, pictures: Pictures) -> None:
    job = drawn(bench, pictures)
    with pytest.raises(KeyboardInterrupt):
        bench.sync(job, progress=stop_in_the_middle)
    bench.scribble(job, 3, (72, 50, 85, 50), tag=2, label="person")
    report = bench.sync(job)
    assert (report.round, report.resumed, report.scribbles) == (2, False, {3: 1})
    assert not any("nothing new was drawn" in line for line in report.lines())


def test_masks_that_were_not_written_are_no_round_without_news(bench: Bench, pictures: Pictures) -> None:
    job = drawn(bench, pictures)
    bench.sync(job)
    report = bench.sync(job, write_as="polygon-track")
    assert "  nothing new was drawn; what the job lacked was written" in report.lines()


def test_tracks_are_counted_as_tracks(anywhere: Bench, pictures: Pictures) -> None:
    job = drawn(anywhere, pictures)
    first = anywhere.sync(job, write_as="polygon-track")
    assert (first.created, first.updated, first.deleted) == (0, 0, 0)
    assert first.tracks == {"created": 1, "updated": 0, "deleted": 0}
    assert "  masks: 0 new, 0 changed, 0 removed; 0 by people, left alone" in first.lines()
    assert "  tracks: 1 new, 0 changed, 0 removed; 0 keyframes by people, left alone" in first.lines()
    (track,) = anywhere.tracks(job)
    keyframe = track["shapes"][1]
    keyframe["points"] = [30.0, 30.0, 44.0, 30.0, 44.0, 49.0, 30.0, 49.0]
    anywhere.server.patch_annotations(job, "update", tracks=[{**track, "source": "semi-auto"}])
    second = anywhere.sync(job)
    assert (second.human, second.human_keyframes) == (0, 1)
    assert (second.updated, second.tracks["updated"]) == (0, 1)
    assert second.changed
    third = anywhere.sync(job, write_as="mask")
    assert third.created > 0
    assert third.tracks["deleted"] + third.tracks["updated"] == 1


def test_a_job_of_masks_has_no_line_of_tracks(bench: Bench, pictures: Pictures) -> None:
    report: SyncReport = bench.sync(drawn(bench, pictures))
    assert not any("tracks" in line for line in report.lines())


def test_bulk_lists_what_was_not_used_with_the_reason(bench: Bench, pictures: Pictures, tmp_path: Path) -> None:
    first, second = bench.task(pictures, segment=5)
    bench.scribble(first, 0, (8, 20, 20, 20), tag=1, label="car")
    ellipse = bench.draw(first, 1, "ellipse", (20, 20, 30, 30), "person", object=4)
    rectangle = bench.draw(second, 6, "rectangle", (1, 1, 9, 9), "person", object=0)
    rows = commands.bulk(
        bench.client, jobs=[first, second], store=bench.store, sessions=[bench.sessions], results=tmp_path / "rows.json"
    )
    assert [row.status for row in rows] == ["done", "nothing"]
    lines = list(bulk_lines(rows))
    reason = "of a type that is neither a mask nor a stroke"
    assert f"  not used: ellipse {ellipse} on frame 1: {reason}" in lines
    assert rows[1].ignored == {
        "rectangles are boxes around an object only with a number": [f"rectangle {rectangle} on frame 6"]
    }
    again = commands.bulk(
        bench.client, jobs=[first], store=bench.store, sessions=[bench.sessions], results=tmp_path / "rows.json"
    )
    assert again == rows[:1]
    (task,) = commands.bulk(bench.client, tasks=[1], store=bench.store, sessions=[bench.sessions])
    assert task.ignored == {**rows[0].ignored, **rows[1].ignored}  # a shape once, though two rounds left it out


def test_bulk_counts_tracks_apart(bench: Bench, pictures: Pictures) -> None:
    job = drawn(bench, pictures)
    rows = commands.bulk(
        bench.client, jobs=[job], store=bench.store, sessions=[bench.sessions], write_as="rectangle-track"
    )
    assert (rows[0].created, rows[0].tracks) == (0, 1)
    assert next(bulk_lines(rows)).startswith(
        f"job {job}: done, masks: 0 new, 0 changed, 0 removed, 1 tracks written, 1 objects ("
    )


def test_carry_names_the_jobs_that_it_leaves_out(bench: Bench, pictures: Pictures) -> None:
    first, second, third = bench.task(pictures[:9], segment=3)
    bench.scribble(first, 0, (8, 20, 20, 20), tag=1, label="car")
    bench.sync(first)
    bench.set_state(second, "completed")
    left_out: list[str] = []
    reports = bench.carry(task=1, left_out=left_out)
    assert [report.job for report in reports] == [third]
    assert left_out == [f"job {second} (completed)"]
