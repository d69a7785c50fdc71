"""Rounds as labelers ask for them: by a tag, or by a job's state; never by siaf's own writes."""

import pytest
from bench import Bench, Pictures
from standin import StandIn
from watched_job import ask, drawn_job, watcher

from siaf.cvat import commands
from siaf.errors import InputError


def test_a_tag_asks_for_a_round(anywhere: Bench, pictures: Pictures) -> None:
    job = drawn_job(anywhere, pictures)
    watch, reports = watcher(anywhere, job)
    assert watch.look() == []
    ask(anywhere, job)
    assert watch.look() == [job]
    assert reports[0].created == len(anywhere.masks(job)) > 0
    assert anywhere.server.annotations(job)["tags"] == []
    assert watch.look() == []


def test_siaf_s_own_writes_ask_for_nothing(bench: Bench, standin: StandIn, pictures: Pictures) -> None:
    job = drawn_job(bench, pictures)
    watch, reports = watcher(bench, job, "state:in progress")
    bench.server.patch_annotations(job, "create")
    standin.world.jobs[job].state = "in progress"
    assert watch.look() == [job]
    count = len(reports)
    assert [watch.look() for _ in range(3)] == [[], [], []]
    assert len(reports) == count
    bench.scribble(job, 2, (40, 20, 60, 20), tag=1)
    assert watch.look() == [job]
    assert any(report.scribbles == {2: 1} for report in reports[count:])


def test_a_tag_put_while_a_round_runs_asks_for_another(anywhere: Bench, pictures: Pictures) -> None:
    job = drawn_job(anywhere, pictures)
    watch, reports = watcher(anywhere, job)
    ask(anywhere, job)
    once = iter([True])

    def meanwhile(done: int, total: int) -> None:
        if next(once, False):
            anywhere.scribble(job, 2, (40, 20, 60, 20), tag=1)
            ask(anywhere, job, 2)

    watch.options.progress = meanwhile
    assert watch.look() == [job]
    assert [report.scribbles for report in reports] == [{0: 1}, {2: 1}]
    assert anywhere.server.annotations(job)["tags"] == []
    assert watch.look() == []


def test_replicas_are_watched_and_why_ground_truth_is_not_is_said(
    bench: Bench, each_version: StandIn, pictures: Pictures, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("WARNING", "siaf.cvat.rounds.watch")  # whatever other tests have left behind
    standin = each_version
    job = drawn_job(bench, pictures)
    task = standin.world.jobs[job].task
    replica = standin.world.add_job(task, 0, 2, kind=standin.world.replica, parent=job).id
    truth = standin.world.add_job(task, 0, 2, kind="ground_truth", included=[1]).id
    watch, _ = watcher(bench, job)
    bench.scribble(replica, 0, (8, 20, 20, 20), tag=1, label="car")
    for number in (replica, truth):
        ask(bench, number, 1)
    assert watch.look() == [replica, truth]
    assert bench.masks(replica)
    assert [f"job {truth}: is a ground-truth job" in text for text in caplog.messages] == [True]
    assert watch.look() == []


def test_a_tag_in_a_completed_job_is_answered_with_the_reason_once(
    bench: Bench, pictures: Pictures, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("WARNING", "siaf.cvat.rounds.watch")  # whatever other tests have left behind
    job = drawn_job(bench, pictures)
    watch, reports = watcher(bench, job)
    ask(bench, job, 1)
    bench.set_state(job, "completed")
    watch.look()
    watch.look()
    assert caplog.messages == [f'job {job}: is completed; set its state to "in progress" to continue']
    assert reports == []
    bench.set_state(job, "in progress")
    assert watch.look() == [job]
    assert bench.masks(job)


def test_nobody_asks_by_a_state_for_ground_truth(bench: Bench, standin: StandIn, pictures: Pictures) -> None:
    job = drawn_job(bench, pictures)
    truth = standin.world.add_job(standin.world.jobs[job].task, 0, 2, kind="ground_truth", included=[1])
    truth.state = "in progress"
    watch, reports = watcher(bench, job, "state:in progress")
    assert watch.look() == []
    assert reports == []


def test_other_states_ask_for_nothing(bench: Bench, pictures: Pictures) -> None:
    job = drawn_job(bench, pictures)
    watch, reports = watcher(bench, job, "state:rejected")
    assert watch.look() == []
    assert reports == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"project": 1, "task": 1}, "project: give --project N or --task N"),
        ({"task": 99}, "task 99: not found"),
        ({"task": 1}, "trigger: there is no label 'siaf:run'"),
        ({"task": 1, "trigger": "now"}, "trigger: 'now' is not one of: tag, state:new"),
        ({"task": 1, "trigger": "state:new", "listen": "127.0.0.1:0"}, "listen: webhooks need a secret"),
        ({"task": 1, "trigger": "state:new", "listen": "nowhere", "secret": "x"}, "listen: cannot listen on 'nowhere'"),
    ],
)
def test_bad_input_is_named(bench: Bench, pictures: Pictures, arguments: dict[str, object], message: str) -> None:
    bench.task(pictures[:2])
    with pytest.raises(InputError, match=message):
        commands.watch(bench.client, store=bench.store, sessions=bench.sessions, **arguments)  # type: ignore[arg-type]
