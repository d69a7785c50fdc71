"""From job to job: objects keep their tags, shared frames agree, jobs are pre-annotated before anybody draws."""

from pathlib import Path

import numpy as np
import pytest
from bench import Bench, Pictures, bitmap
from standin import StandIn

from siaf import Session
from siaf.cvat import commands
from siaf.cvat.storage.store import StateStore
from siaf.errors import InputError, StateError
from siaf.model.loaded import Model
from siaf.session.state_file import read_masks, read_summary


def neighbours(bench: Bench, pictures: Pictures) -> list[int]:
    """Two jobs of six frames that share two; scribbles in the first only, which is synced."""
    jobs = bench.task(pictures, segment=6, overlap=2)
    bench.scribble(jobs[0], 0, (8, 20, 20, 20), tag=1, label="car")
    bench.scribble(jobs[0], 3, (72, 50, 85, 50), tag=4, label="person")
    bench.sync(jobs[0])
    return jobs


def tags(bench: Bench, job: int) -> set[tuple[int, int]]:
    return {(s["group"], s["label_id"]) for s in bench.shapes(job)}


def test_a_neighbouring_job_gets_masks_with_the_same_tags(anywhere: Bench, pictures: Pictures) -> None:
    first, second = neighbours(anywhere, pictures)
    (report,) = anywhere.carry(from_job=first, to_job=second)
    assert report.references == [4, 5]
    before, after = anywhere.masks(first), anywhere.masks(second)
    assert tags(anywhere, second) == tags(anywhere, first)
    assert {frame for frame, _ in after} <= {4, 5, 6, 7, 8, 9}
    assert {frame for frame, _ in after} & {6, 7, 8, 9}
    shared = {spot: points for spot, points in before.items() if spot[0] in (4, 5)}
    assert shared
    assert {spot: points for spot, points in after.items() if spot[0] in (4, 5)} == shared


def test_carrying_again_changes_nothing(anywhere: Bench, pictures: Pictures) -> None:
    first, second = neighbours(anywhere, pictures)
    anywhere.carry(from_job=first, to_job=second)
    before = anywhere.everything(second)
    (report,) = anywhere.carry(from_job=first, to_job=second)
    assert (report.references, report.created, report.updated, report.deleted) == ([], 0, 0, 0)
    assert anywhere.everything(second) == before


def test_a_correction_in_the_first_job_reaches_the_second(anywhere: Bench, pictures: Pictures) -> None:
    first, second = neighbours(anywhere, pictures)
    anywhere.carry(from_job=first, to_job=second)
    anywhere.box_mask(first, 5, (30, 30, 44, 49), "person", tag=9)
    anywhere.sync(first)
    (report,) = anywhere.carry(from_job=first, to_job=second)
    assert 5 in report.references
    assert report.objects[9] == "person"
    assert bitmap(anywhere.masks(second)[5, 9], pictures)[30:50, 30:45].all()


def test_what_people_did_in_the_second_job_stays(anywhere: Bench, pictures: Pictures) -> None:
    first, second = neighbours(anywhere, pictures)
    number = anywhere.box_mask(second, 5, (30, 30, 44, 49), "car", tag=1)
    drawn = next(s for s in anywhere.shapes(second) if s["id"] == number)
    anywhere.carry(from_job=first, to_job=second)
    assert next(s for s in anywhere.shapes(second) if s["id"] == number) == drawn
    anywhere.scribble(second, 8, (8, 60, 20, 60), tag=4)
    assert anywhere.sync(second).scribbles == {8: 1}
    assert next(s for s in anywhere.shapes(second) if s["id"] == number) == drawn


@pytest.mark.adapting
@pytest.mark.parametrize(("asked", "adapted"), [(None, None), (True, True)])
def test_masks_of_another_job_are_learnt_from_only_if_asked(
    bench: Bench, pictures: Pictures, monkeypatch: pytest.MonkeyPatch, asked: bool | None, adapted: bool | None
) -> None:
    """Nobody may have looked at them."""
    monkeypatch.setattr("siaf.session.adaptation._STEPS", 3)
    first, second = neighbours(bench, pictures)
    bench.carry(from_job=first, to_job=second)
    bench.scribble(second, 8, (8, 60, 20, 60), tag=4)
    bench.sync(second, adapt=asked)
    jobs = bench.store.job(bench.server.url, second)
    state = jobs.state(jobs.ledger())
    assert state is not None
    assert read_summary(state).adapted is adapted


def test_a_new_label_in_the_first_job_reaches_the_second(anywhere: Bench, pictures: Pictures) -> None:
    first, second = neighbours(anywhere, pictures)
    anywhere.carry(from_job=first, to_job=second)
    mask = next(s for s in anywhere.shapes(first) if s["group"] == 4)
    anywhere.edit(first, mask, label_id=anywhere.label_id(first, "car"), attributes=[])
    anywhere.sync(first)
    (report,) = anywhere.carry(from_job=first, to_job=second)
    assert report.objects[4] == "car"
    assert {label for tag, label in tags(anywhere, second) if tag == 4} == {anywhere.label_id(second, "car")}


def test_a_label_is_renamed_between_sync_and_carry(anywhere: Bench, pictures: Pictures) -> None:
    first, second = neighbours(anywhere, pictures)
    entry = {"id": anywhere.label_id(first, "car"), "name": "vehicle", "attributes": []}
    anywhere.server.change_labels([entry], task=anywhere.server.job(first)["task_id"])
    (report,) = anywhere.carry(from_job=first, to_job=second)
    assert report.objects == {1: "vehicle", 4: "person"}


def test_a_completed_job_is_passed_over(anywhere: Bench, pictures: Pictures) -> None:
    """The second job was annotated without siaf and closed; the third gets objects and memory from the first."""
    first, second, third = anywhere.task(pictures[:7], segment=3, overlap=1)
    anywhere.scribble(first, 0, (8, 20, 20, 20), tag=1, label="car")
    anywhere.sync(first)
    anywhere.set_state(second, "completed")
    (report,) = anywhere.carry(task=anywhere.server.job(first)["task_id"])
    assert (report.job, report.objects, report.references) == (third, {1: "car"}, [])
    assert anywhere.shapes(second) == []


def test_a_whole_task_is_walked_in_order(anywhere: Bench, pictures: Pictures) -> None:
    jobs = anywhere.task(pictures, segment=4, overlap=1)
    anywhere.scribble(jobs[1], 4, (8, 20, 20, 20), tag=2, label="car")
    anywhere.sync(jobs[1])
    task = anywhere.server.job(jobs[0])["task_id"]
    reports = anywhere.carry(task=task)
    assert [report.job for report in reports] == [jobs[2], jobs[0]]
    rows = commands.report(anywhere.client, task)
    assert [row.tag for row in rows] == [2]
    assert rows[0].labels == ["car"]
    assert set(rows[0].jobs) == set(jobs)
    assert rows[0].frames <= 10


def test_the_same_objects_in_another_clip(anywhere: Bench, pictures: Pictures) -> None:
    (first,) = anywhere.task(pictures[:5])
    (other,) = anywhere.task(pictures[:4, ::-1, :64])
    anywhere.scribble(first, 0, (8, 20, 20, 20), tag=7, label="car")
    anywhere.sync(first)
    (report,) = anywhere.carry(from_job=first, to_job=other)
    assert report.references == []
    assert report.objects == {7: "car"}
    assert {s["group"] for s in anywhere.shapes(other)} == {7}
    anywhere.scribble(other, 1, (8, 50, 20, 50), tag=7)
    assert anywhere.sync(other).objects == {7: "car"}


def test_a_replica_goes_on_with_the_session_itself(bench: Bench, each_version: StandIn, pictures: Pictures) -> None:
    standin = each_version
    (job,) = bench.task(pictures[:5])
    bench.scribble(job, 0, (8, 20, 20, 20), tag=1, label="car")
    bench.sync(job)
    task = standin.world.jobs[job].task
    replica = standin.world.add_job(task, 0, 4, kind=standin.world.replica, parent=job).id
    bench.carry(from_job=job, to_job=replica)
    assert bench.masks(replica) == bench.masks(job)


def test_a_label_that_the_other_task_lacks_is_named(anywhere: Bench, pictures: Pictures) -> None:
    (first,) = anywhere.task(pictures[:3])
    (other,) = anywhere.task(pictures[:3], labels=(("bus", "mask"),))
    anywhere.scribble(first, 0, (8, 20, 20, 20), tag=1, label="car")
    anywhere.sync(first)
    with pytest.raises(InputError, match="no label 'car' for objects here"):
        anywhere.carry(from_job=first, to_job=other)
    assert anywhere.shapes(other) == []


def test_one_tag_cannot_be_two_things(anywhere: Bench, pictures: Pictures) -> None:
    first, second = neighbours(anywhere, pictures)
    anywhere.scribble(second, 9, (8, 20, 20, 20), tag=1, label="person")
    anywhere.sync(second)
    with pytest.raises(InputError, match=f"job {second}: object 1 is a 'car' in job {first}, but a 'person' here"):
        anywhere.carry(from_job=first, to_job=second)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "from_job: give --from-job A --to-job B, or --task N"),
        ({"from_job": 1}, "from_job"),
        ({"from_job": 1, "to_job": 1}, "to_job: a job cannot be carried to itself"),
        ({"from_job": 2, "to_job": 1}, "job 2: has no session in this store; sync it first"),
        ({"task": 1}, "task 1: none of its jobs has a session"),
    ],
)
def test_bad_input_is_named(bench: Bench, pictures: Pictures, arguments: dict[str, int], message: str) -> None:
    bench.task(pictures[:4], segment=2)
    with pytest.raises(InputError, match=message):
        bench.carry(**arguments)


def test_a_session_moves_to_another_store(anywhere: Bench, pictures: Pictures, tmp_path: Path) -> None:
    first, second = neighbours(anywhere, pictures)
    commands.export_state(anywhere.client, first, tmp_path / "state.zip", store=anywhere.store)
    anywhere.store = StateStore(str(tmp_path / "another"))
    commands.import_state(anywhere.client, first, tmp_path / "state.zip", store=anywhere.store)
    report = anywhere.sync(first)
    assert (report.round, report.created, report.updated, report.deleted) == (1, 0, 0, 0)
    anywhere.carry(from_job=first, to_job=second)
    assert tags(anywhere, second) == tags(anywhere, first)
    with pytest.raises(InputError, match="already has a session in this store"):
        commands.import_state(anywhere.client, first, tmp_path / "state.zip", store=anywhere.store)
    fresh = StateStore(str(tmp_path / "third"))
    with pytest.raises(InputError, match=f"was exported from job {first}"):
        commands.import_state(anywhere.client, second, tmp_path / "state.zip", store=fresh)


def test_a_plain_state_file_becomes_a_job_s_session(
    bench: Bench, pictures: Pictures, tmp_path: Path, tiny_model: Model
) -> None:
    (job,) = bench.task(pictures[:4], labels=(("car", "mask"),))
    session = Session(tiny_model, pictures[:4])
    reference = np.zeros(pictures.shape[1:3], np.uint8)
    reference[10:30, 10:30] = 3
    session.interact(references={1: reference})
    session.save(tmp_path / "clip.siaf")
    commands.import_state(bench.client, job, tmp_path / "clip.siaf", store=bench.store)
    bench.sync(job)
    assert bitmap(bench.masks(job)[1, 3], pictures)[10:30, 10:30].all()


def test_a_state_of_other_frames_is_refused(
    bench: Bench, pictures: Pictures, tmp_path: Path, tiny_model: Model
) -> None:
    (job,) = bench.task(pictures[:4], labels=(("car", "mask"),))
    session = Session(tiny_model, pictures[1:5])
    session.interact(references={1: np.ones(pictures.shape[1:3], np.uint8)})
    session.save(tmp_path / "clip.siaf")
    with pytest.raises(StateError, match="frame 1 is not the job's"):
        commands.import_state(bench.client, job, tmp_path / "clip.siaf", store=bench.store)
    (tmp_path / "clip.siaf").write_bytes(b"nonsense")
    with pytest.raises(StateError, match="not a siaf state file"):
        commands.import_state(bench.client, job, tmp_path / "clip.siaf", store=bench.store)


def test_results_are_what_the_session_shows(pictures: Pictures, tiny_model: Model) -> None:
    from siaf.session.state_file import dump_session

    session = Session(tiny_model, pictures[:4])
    session.interact(references={1: np.pad(np.ones((20, 20), np.uint8), ((10, 42), (10, 66)))})
    for _ in session.propagate():
        pass
    results = read_masks(dump_session(session))
    assert all(np.array_equal(results.mask(f), session.mask(f)) for f in range(4))
    assert results.score(1, 1) == 1
    assert results.score(2, 1) == pytest.approx(session.confidence[2][1])
