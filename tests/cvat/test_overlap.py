"""Frames that two jobs share: with `overlap="once"` every object is on them once in all of the task."""

from collections import Counter

import pytest
from bench import Bench, Pictures, check_ledger

from siaf.cvat import commands

SHARED = {4, 5}


def two_jobs(bench: Bench, pictures: Pictures) -> tuple[int, int]:
    """Frames 0–5 and 4–9, with two objects drawn in the first."""
    labels = (("car", "any"), ("person", "any"))
    first, second = bench.task(pictures, labels=labels, segment=6, overlap=2)
    bench.scribble(first, 0, (8, 20, 20, 20), tag=1, label="car")
    bench.scribble(first, 0, (72, 50, 85, 50), tag=2, label="person")
    return first, second


def spots(bench: Bench, jobs: tuple[int, ...]) -> Counter[tuple[int, int]]:
    """How often the task has each object on each frame: what an export would hold."""
    return Counter(spot for job in jobs for spot in bench.masks(job))


def twice(bench: Bench, jobs: tuple[int, ...]) -> set[int]:
    return {frame for (frame, _), count in spots(bench, jobs).items() if count > 1}


def test_a_later_job_does_not_write_what_an_earlier_one_shows(anywhere: Bench, pictures: Pictures) -> None:
    jobs = two_jobs(anywhere, pictures)
    anywhere.sync(jobs[0])
    anywhere.carry(from_job=jobs[0], to_job=jobs[1])
    assert twice(anywhere, jobs) == SHARED
    everywhere = set(spots(anywhere, jobs))
    anywhere.sync(jobs[1], overlap="once")
    assert twice(anywhere, jobs) == set()
    assert set(spots(anywhere, jobs)) == everywhere
    assert {frame for frame, _ in anywhere.masks(jobs[0])} >= SHARED
    check_ledger(anywhere, jobs[1])


def test_it_stays_so_until_both_are_asked_for(anywhere: Bench, pictures: Pictures) -> None:
    jobs = two_jobs(anywhere, pictures)
    anywhere.sync(jobs[0])
    anywhere.carry(from_job=jobs[0], to_job=jobs[1], overlap="once")
    before = anywhere.everything(jobs[1])
    assert twice(anywhere, jobs) == set()
    assert not anywhere.sync(jobs[1]).changed
    assert anywhere.everything(jobs[1]) == before
    anywhere.sync(jobs[1], overlap="both")
    assert twice(anywhere, jobs) == SHARED


def test_an_object_that_only_the_later_job_has_stays(anywhere: Bench, pictures: Pictures) -> None:
    jobs = two_jobs(anywhere, pictures)
    anywhere.sync(jobs[0])
    anywhere.scribble(jobs[1], 5, (28, 20, 40, 20), tag=1, label="car")
    anywhere.scribble(jobs[1], 5, (2, 66, 20, 66), tag=7, label="car")
    anywhere.sync(jobs[1])
    assert {tag for frame, tag in anywhere.masks(jobs[1]) if frame == 5} == {1, 7}
    assert (5, 1) in anywhere.masks(jobs[0])
    anywhere.sync(jobs[1], overlap="once")
    assert {tag for frame, tag in anywhere.masks(jobs[1]) if frame == 5} == {7}


def test_masks_of_people_stay_in_both(anywhere: Bench, pictures: Pictures) -> None:
    jobs = two_jobs(anywhere, pictures)
    anywhere.sync(jobs[0])
    by_hand = anywhere.box_mask(jobs[1], 5, (30, 30, 44, 49), "car", tag=1)
    (report,) = anywhere.carry(from_job=jobs[0], to_job=jobs[1], overlap="once")
    assert by_hand in {s["id"] for s in anywhere.shapes(jobs[1])}
    assert "1 masks by people on shared frames are in an earlier job, too" in report.notes


@pytest.mark.parametrize("drawn_in", [0, 1])
def test_bulk_leaves_every_object_once_on_a_frame(anywhere: Bench, pictures: Pictures, drawn_in: int) -> None:
    """Also where objects are carried back from the later job to the earlier one."""
    jobs = tuple(anywhere.task(pictures, segment=6, overlap=2))
    frame = (0, 9)[drawn_in]
    anywhere.scribble(jobs[drawn_in], frame, (8, 20, 20, 20), tag=1, label="car")
    anywhere.scribble(jobs[drawn_in], frame, (72, 50, 85, 50), tag=2, label="person")
    (row,) = commands.bulk(
        anywhere.client,
        tasks=[anywhere.server.job(jobs[0])["task_id"]],
        store=anywhere.store,
        sessions=[anywhere.sessions],
        overlap="once",
    )
    assert row.status == "done"
    assert twice(anywhere, jobs) == set()
    assert {frame for frame, _ in spots(anywhere, jobs)} == set(range(10))


def test_tracks_leave_shared_frames_to_the_earlier_job(anywhere: Bench, pictures: Pictures) -> None:
    jobs = two_jobs(anywhere, pictures)
    anywhere.sync(jobs[0], write_as="rectangle-track")
    anywhere.carry(from_job=jobs[0], to_job=jobs[1], write_as="rectangle-track", overlap="once")
    shown = {k["frame"] for track in anywhere.tracks(jobs[1]) for k in track["shapes"] if not k["outside"]}
    assert shown and not shown & SHARED
