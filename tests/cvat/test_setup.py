"""`siaf cvat setup`: what labelers need is added, once."""

import pytest
from bench import Bench, Pictures
from standin import StandIn

from siaf.cvat import commands
from siaf.errors import InputError


def names(bench: Bench, job: int) -> dict[str, list[str]]:
    return {la["name"]: [a["name"] for a in la["attributes"]] for la in bench.server.labels(job_id=job)}


def test_it_adds_a_scribble_label_and_the_tag(anywhere: Bench, pictures: Pictures) -> None:
    (job,) = anywhere.task(pictures[:2], setup=False)
    task = anywhere.server.job(job)["task_id"]
    plan = commands.setup(anywhere.client, task=task)
    assert len(plan.changes) == 3
    assert names(anywhere, job) == {"car": [], "person": []}
    commands.setup(anywhere.client, task=task, apply=True)
    assert names(anywhere, job) == {
        "car": ["object"],
        "person": ["object"],
        "scribble": ["object", "polarity", "label", "used"],
    }


def test_a_second_time_changes_nothing(anywhere: Bench, pictures: Pictures) -> None:
    (job,) = anywhere.task(pictures[:2])
    before = anywhere.server.labels(job_id=job)
    plan = commands.setup(anywhere.client, task=anywhere.server.job(job)["task_id"], apply=True)
    assert plan.changes == []
    assert anywhere.server.labels(job_id=job) == before


def test_a_label_added_later_is_offered_to_scribbles(bench: Bench, pictures: Pictures) -> None:
    (job,) = bench.task(pictures[:2])
    task = bench.server.job(job)["task_id"]
    bench.server.change_labels([{"name": "bus", "type": "mask", "attributes": []}], task=task)
    commands.setup(bench.client, task=task, apply=True)
    scribble = bench.labels(job).scribble
    assert scribble is not None
    offered = scribble.attribute("label")
    assert offered is not None
    assert offered.values == ("-", "car", "person", "bus")


def test_a_task_of_a_project_changes_the_project(bench: Bench, standin: StandIn) -> None:
    project = standin.world.add_project({"name": "p", "labels": [{"name": "car", "type": "mask"}]})
    task = standin.world.add_task({"name": "t", "project_id": project})
    plan = commands.setup(bench.client, task=task.id, apply=True)
    assert plan.owner == f"project {project}"
    assert [la["name"] for la in bench.server.labels(project_id=project)] == ["car", "scribble"]


def test_only_the_chosen_labels_get_the_tag(bench: Bench, pictures: Pictures) -> None:
    (job,) = bench.task(pictures[:2], setup=False)
    commands.setup(bench.client, task=bench.server.job(job)["task_id"], labels=["car"], apply=True)
    assert names(bench, job) == {"car": ["object"], "person": [], "scribble": ["object", "polarity", "used"]}


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({}, "project"),
        ({"project": 1, "task": 1}, "project"),
        ({"task": 99}, "task 99"),
        ({"project": 99}, "project 99"),
    ],
)
def test_bad_input_is_named(bench: Bench, arguments: dict[str, int], field: str) -> None:
    with pytest.raises(InputError, match=f"^{field}: "):
        commands.setup(bench.client, **arguments)


def test_a_missing_label_is_named(bench: Bench, pictures: Pictures) -> None:
    (job,) = bench.task(pictures[:2], setup=False)
    with pytest.raises(InputError, match="no label 'bike'"):
        commands.setup(bench.client, task=bench.server.job(job)["task_id"], labels=["bike"])
