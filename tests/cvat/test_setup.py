"""`siaf cvat setup`: what labelers need is added, once."""

import re

import pytest
from bench import Bench, Pictures
from standin import StandIn

from siaf.cvat import commands
from siaf.cvat.job.setup import SetupPlan
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


NUMBER = {"name": "object", "mutable": False, "input_type": "number", "default_value": "0", "values": ["0", "9", "1"]}
KINDS = {**NUMBER, "input_type": "select", "default_value": "sedan", "values": ["sedan", "van"]}


@pytest.mark.parametrize(
    ("attribute", "what"),
    [
        (NUMBER, "its attribute 'object' is a number 0 to 9, not a number 1 to 255"),
        (KINDS, "its attribute 'object' is a select (sedan, van), not a number 1 to 255"),
    ],
)
def test_an_attribute_object_of_another_meaning_is_named_and_another_used(
    bench: Bench, pictures: Pictures, attribute: dict, what: str
) -> None:
    (job,) = bench.task(pictures[:3], setup=False, labels=(("car", "any"),))
    task = bench.server.job(job)["task_id"]
    bench.server.change_labels(
        [{"id": bench.label_id(job, "car"), "name": "car", "attributes": [attribute]}], task=task
    )
    bench.draw(job, 0, "polyline", (8, 20, 20, 20), "car")
    with pytest.raises(InputError, match=re.escape(f"label 'car': {what}; siaf cvat setup adds 'siaf:object' instead")):
        bench.sync(job)
    plan = commands.setup(bench.client, task=task, apply=True)
    assert plan.changes[:2] == [
        f"label 'car': {what}, so siaf adds 'siaf:object'",
        "label 'car': new attribute 'siaf:object'",
    ]
    assert commands.setup(bench.client, task=task).changes == []
    bench.scribble(job, 1, (8, 20, 20, 20), tag=12)
    assert bench.sync(job).objects == {1: "car", 12: "car"}
    values = bench.labels(job)[bench.label_id(job, "car")]
    assert values is not None
    for shape in bench.shapes(job):
        assert values.value(shape, "siaf:object") == str(shape["group"])
        assert values.value(shape, "object") == attribute["default_value"]


def steps(plan: SetupPlan) -> list[str]:
    """What labelers are told, one line each."""
    return re.split(r" \d+\. ", " ".join(plan.how_to.split()))[1:]


def test_labelers_are_told_the_way_with_the_fewest_clicks_first(bench: Bench, pictures: Pictures) -> None:
    """A line under the object's own label, where its type allows lines; setup gives that label its number."""
    (job,) = bench.task(pictures[:3], setup=False, labels=(("person", "any"), ("car", "mask")))
    told = steps(commands.setup(bench.client, task=bench.server.job(job)["task_id"], apply=True))
    assert told[0].startswith("Choose an object's own label (person) and the polyline tool")
    assert told[1].startswith('The type of car allows no lines. There, choose the label "scribble"')
    assert told[-1].startswith('To tell objects apart, set "Color by: Group"')
    bench.draw(job, 0, "polyline", (8, 20, 20, 20), "person", object=3)
    assert bench.sync(job).objects == {3: "person"}


def test_where_no_label_allows_lines_the_scribble_label_is_the_way(bench: Bench, pictures: Pictures) -> None:
    (job,) = bench.task(pictures[:3], setup=False, labels=(("car", "mask"),))
    told = steps(commands.setup(bench.client, task=bench.server.job(job)["task_id"]))
    assert told[0].startswith('Choose the label "scribble" and the polyline tool (no other tool offers it)')


@pytest.mark.parametrize(
    ("label", "what"),
    [
        ({"type": "rectangle", "attributes": []}, "its type, rectangle, shows that it is used for something else"),
        (
            {"type": "any", "attributes": [{**KINDS, "name": "ink"}]},
            "its attributes ('ink') show that it is used for something else",
        ),
        ({"type": "any", "attributes": [KINDS]}, "its attribute 'object' is a select (sedan, van), not a number"),
        (
            {"type": "polyline", "attributes": [{**NUMBER, "values": ["0", "255", "1"]}, {**KINDS, "name": "used"}]},
            "its attribute 'used' is a select (sedan, van), which does not work for siaf",
        ),
    ],
)
def test_a_user_s_own_label_scribble_is_named_and_another_used(
    bench: Bench, pictures: Pictures, label: dict, what: str
) -> None:
    (job,) = bench.task(pictures[:3], setup=False, labels=(("car", "any"),))
    task = bench.server.job(job)["task_id"]
    bench.server.change_labels([{"name": "scribble", **label}], task=task)
    with pytest.raises(InputError, match=r"label 'scribble': " + re.escape(what) + ".*adds 'siaf:scribble' instead"):
        bench.sync(job)
    plan = commands.setup(bench.client, task=task, labels=["car"], apply=True)
    assert any(change.startswith(f"label 'scribble': {what}") for change in plan.changes)
    assert 'draw with the label "siaf:scribble"' in plan.how_to
    assert commands.setup(bench.client, task=task, labels=["car"]).changes == []
    bench.draw(job, 1, "polyline", (8, 20, 20, 20), "siaf:scribble", object=2)
    assert bench.sync(job).objects == {2: "car"}


def test_a_bare_label_scribble_is_taken_after_a_word(bench: Bench, pictures: Pictures) -> None:
    (job,) = bench.task(pictures[:2], setup=False, labels=(("car", "any"), ("scribble", "polyline")))
    plan = commands.setup(bench.client, task=bench.server.job(job)["task_id"])
    assert any("siaf will read what you draw with it as scribbles" in change for change in plan.changes)


LINK = "[Draw in the SIAF studio](https://studio.example.com/siaf/): "


def test_the_guide_leads_to_the_studio(anywhere: Bench, pictures: Pictures) -> None:
    (job,) = anywhere.task(pictures[:2])
    task = anywhere.server.job(job)["task_id"]
    url = "https://studio.example.com/siaf/"
    plan = commands.setup(anywhere.client, task=task, studio=url)
    assert plan.changes == [f"annotation guide: a link to the studio at {url}"]
    assert anywhere.server.task(task)["guide_id"] is None
    commands.setup(anywhere.client, task=task, studio=url, apply=True)
    number = anywhere.server.task(task)["guide_id"]
    text = anywhere.server.guide(number)["markdown"]
    assert text.startswith(LINK) and text.count("\n") == 1
    assert commands.setup(anywhere.client, task=task, studio=url, apply=True).changes == []


def test_a_guide_that_people_wrote_stays_and_a_former_link_is_replaced(bench: Bench, standin: StandIn) -> None:
    project = standin.world.add_project({"name": "p", "labels": [{"name": "car", "type": "mask"}]})
    bench.server.write_guide("# Cars\n\nAll of them.\n", number=None, project=project)
    number = bench.server.project(project)["guide_id"]
    commands.setup(bench.client, project=project, studio="http://10.0.0.5:8477/", apply=True)
    text = bench.server.guide(number)["markdown"] + "\nAsk Ann.\n"
    assert text.startswith("# Cars\n\nAll of them.\n\n[Draw in the SIAF studio](http://10.0.0.5:8477/): ")
    bench.server.write_guide(text, number=number)
    commands.setup(bench.client, project=project, studio="https://studio.example.com/siaf/", apply=True)
    lines = bench.server.guide(number)["markdown"].splitlines()
    assert lines[:4] == ["# Cars", "", "All of them.", ""]
    assert lines[4].startswith(LINK)
    assert lines[5:] == ["", "Ask Ann."]
    assert len(standin.world.guides) == 1


@pytest.mark.parametrize("url", ["studio.example.com", "ftp://a/", "https://", "https://a/ b", "https://a/?token=x"])
def test_a_wrong_address_of_the_studio_is_named(bench: Bench, pictures: Pictures, url: str) -> None:
    (job,) = bench.task(pictures[:2])
    with pytest.raises(InputError, match="^studio: "):
        commands.setup(bench.client, task=bench.server.job(job)["task_id"], studio=url)
