"""Rounds as labelers ask for them: by a tag, by a job's state, by webhook or polling; never by siaf's own writes."""

import hashlib
import hmac
import http.client
import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
from bench import Bench, Pictures
from cvat_sdk import models
from cvat_sdk.core.proxies.annotations import AnnotationUpdateAction
from standin import StandIn
from standin_http import Answer

from siaf.cvat import commands
from siaf.cvat.job.frames import JobFrames
from siaf.cvat.rounds.report import SyncReport
from siaf.cvat.rounds.sync import SyncOptions
from siaf.cvat.rounds.watch import RUN_TAG, Trigger, Watcher
from siaf.cvat.server import faults
from siaf.cvat.server.webhooks import WebhookReceiver
from siaf.cvat.sessions.base import JobSession
from siaf.errors import InputError


def watcher(bench: Bench, job: int, trigger: str = "tag") -> tuple[Watcher, list[SyncReport]]:
    reports: list[SyncReport] = []
    task = bench.server.job(job)["task_id"]
    commands.setup(bench.client, task=task, run_tag=True, apply=True)
    made = Watcher(
        bench.server,
        bench.store,
        bench.sessions,
        SyncOptions(),
        Trigger.parse(trigger),
        task=task,
        on_report=reports.append,
    )
    return made, reports


def ask(bench: Bench, job: int, frame: int = 0) -> None:
    """Put the tag on a frame, as a labeler does."""
    tag = models.LabeledImageRequest(frame=frame, label_id=bench.label_id(job, RUN_TAG))
    request = models.PatchedLabeledDataRequest(tags=[tag])
    bench.client.jobs.retrieve(job).update_annotations(request, action=AnnotationUpdateAction.CREATE)


def drawn_job(bench: Bench, pictures: Pictures) -> int:
    (job,) = bench.task(pictures[:3])
    bench.scribble(job, 0, (8, 20, 20, 20), tag=1, label="car")
    return job


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


def test_a_restart_forgets_nothing(anywhere: Bench, pictures: Pictures) -> None:
    job = drawn_job(anywhere, pictures)
    watch, reports = watcher(anywhere, job)
    ask(anywhere, job)
    watch.look()
    again, later = watcher(anywhere, job)
    assert again.seen == watch.seen
    assert again.look() == []
    assert len(reports) > 0 and later == []


def test_what_is_wrong_with_a_job_does_not_stop_the_others(
    anywhere: Bench, pictures: Pictures, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = anywhere.task(pictures[:6], segment=3)
    anywhere.scribble(second, 4, (8, 20, 20, 20), tag=1, label="car")
    caplog.set_level("WARNING", "siaf.cvat.rounds.watch")
    watch, _ = watcher(anywhere, first)
    ask(anywhere, first)
    ask(anywhere, second, 4)
    assert watch.look() == [first, second]
    assert "nothing is drawn" in caplog.text
    assert anywhere.masks(second)
    caplog.clear()
    assert watch.look() == []
    assert caplog.text == ""


def test_a_bug_on_one_job_does_not_stop_the_others(
    bench: Bench, pictures: Pictures, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = bench.task(pictures[:6], segment=3)
    for job, frame in ((first, 0), (second, 4)):
        bench.scribble(job, frame, (8, 20, 20, 20), tag=1, label="car")
    watch, _ = watcher(bench, first)
    sessions = watch.sessions

    def broken(frames: JobFrames, *rest: Any) -> JobSession:
        if frames.job == first:
            raise RuntimeError("a bug")
        return sessions(frames, *rest)

    watch.sessions = broken
    for job, frame in ((first, 0), (second, 4)):
        ask(bench, job, frame)
    assert watch.look() == [second]
    assert f"job {first}: a bug" in caplog.text
    assert bench.masks(second)


def test_a_fault_of_the_server_is_waited_out(bench: Bench, standin: StandIn, pictures: Pictures) -> None:
    job = drawn_job(bench, pictures)
    watch, reports = watcher(bench, job)
    ask(bench, job)
    standin.fault = lambda request: 503
    looks = 0

    def stop() -> bool:
        nonlocal looks
        looks += 1
        if looks > 3:
            standin.fault = lambda request: None
        return bool(reports)

    watch.run(poll_s=0.05, stop=stop)
    assert bench.masks(job)


TROUBLE: list[Answer] = [
    Answer(
        429, {"detail": "Request was throttled. Expected available in 60 seconds."}, headers=[("Retry-After", "999")]
    ),
    Answer(429, b"slow down", "text/plain"),
    Answer(401, {"detail": "Invalid token."}),
    Answer(403, {"detail": "You do not have permission to perform this action."}),
    Answer(503, b""),
    Answer(200, b"<html>back soon</html>", "text/html"),
    Answer(200, b'{"id": 1, "sta'),
    Answer(200, {"fine": True}),
    Answer(200, []),
]


@pytest.mark.parametrize("trouble", TROUBLE, ids=lambda answer: f"{answer.status}-{str(answer.body)[:12]}")
@pytest.mark.parametrize("method", ["GET", "PATCH"])
def test_a_request_outlives_what_is_not_the_job_s_fault(
    bench: Bench,
    standin: StandIn,
    pictures: Pictures,
    trouble: Answer,
    method: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Also after a restart of the watcher."""
    caplog.set_level("WARNING", "siaf.cvat.rounds.watch")  # whatever other tests have left behind
    monkeypatch.setattr(faults, "THROTTLED_S", 0.0)
    job = drawn_job(bench, pictures)
    watch, _ = watcher(bench, job)
    ask(bench, job)
    standin.fault = lambda request: (
        trouble if request.path.startswith("/api/jobs/") and request.method == method else None
    )
    assert watch.look() == []
    assert len(caplog.records) == 1
    assert "Traceback" not in caplog.text
    standin.fault = lambda request: None
    again, reports = watcher(bench, job)
    assert again.look() == [job]
    assert reports[0].objects == {1: "car"}
    assert bench.masks(job)


@pytest.mark.parametrize("field", ["store", "url", "token", "function 'siaf-tracker'"])
def test_what_is_wrong_with_this_process_is_tried_again(bench: Bench, pictures: Pictures, field: str) -> None:
    job = drawn_job(bench, pictures)
    watch, _ = watcher(bench, job)
    ask(bench, job)
    sessions = watch.sessions

    def broken(*rest: Any) -> JobSession:
        raise InputError("cannot be used", field=field)

    watch.sessions = broken
    assert watch.look() == []
    watch.sessions = sessions
    assert watch.look() == [job]


def test_a_damaged_note_is_named(bench: Bench, pictures: Pictures) -> None:
    job = drawn_job(bench, pictures)
    watch, _ = watcher(bench, job)
    watch._memory.write(b"[1, 2")
    with pytest.raises(InputError, match=r"store: watch-task-\d+\.json is damaged; delete it"):
        watcher(bench, job)


def test_a_webhook_wakes_the_watcher(bench: Bench, standin: StandIn, pictures: Pictures) -> None:
    project = standin.world.add_project({"name": "p", "labels": [{"name": "car", "type": "mask"}]})
    commands.setup(bench.client, project=project, run_tag=True, apply=True)
    task = standin.world.add_task({"name": "t", "project_id": project})
    (job,) = bench.task(pictures[:3])
    media = standin.world.jobs[job].task.media
    assert media is not None
    standin.world.add_data(task, media.files, {})
    job = next(number for number, j in standin.world.jobs.items() if j.task is task)
    reports: list[SyncReport] = []
    done = threading.Event()
    port = free_port()
    thread = threading.Thread(
        target=commands.watch,
        args=(bench.client,),
        kwargs={
            "project": project,
            "store": bench.store,
            "sessions": bench.sessions,
            "poll_s": 60.0,
            "listen": f"127.0.0.1:{port}",
            "secret": "s3cret",
            "on_report": lambda report: (reports.append(report), done.set()),
            "stop": done.is_set,
        },
    )
    thread.start()
    hook = {"target_url": f"http://127.0.0.1:{port}/", "project_id": project, "events": ["update:job"]}
    standin.world.webhooks[1] = {**hook, "id": 1, "secret": "s3cret"}
    time.sleep(0.2)
    bench.scribble(job, 0, (8, 20, 20, 20), tag=1)
    ask(bench, job)
    assert done.wait(30)
    thread.join(30)
    assert reports[0].scribbles == {0: 1}


def free_port() -> int:
    receiver = WebhookReceiver("127.0.0.1:0", "x", lambda job: None)
    receiver.close()
    return receiver.port


def deliver(port: int, body: bytes, signature: str) -> int:
    headers = {"X-Signature-256": signature}
    try:
        with urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{port}/", body, headers)) as reply:
            return int(reply.status)
    except urllib.error.HTTPError as error:
        return error.code


def signed(body: bytes, secret: str) -> str:
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


UPDATE = json.dumps({"event": "update:job", "job": {"id": 14}}).encode()


@pytest.mark.parametrize(
    ("body", "signature", "status", "jobs"),
    [
        (UPDATE, lambda body: signed(body, "s3cret"), 200, [14]),
        (UPDATE, lambda body: signed(body, "other"), 401, []),
        (UPDATE, lambda body: "", 401, []),
        (b"nonsense", lambda body: signed(body, "s3cret"), 200, []),
        (json.dumps({"event": "ping"}).encode(), lambda body: signed(body, "s3cret"), 200, []),
    ],
)
def test_only_signed_deliveries_count(
    body: bytes, signature: Callable[[bytes], str], status: int, jobs: list[int]
) -> None:
    heard: list[int] = []
    receiver = WebhookReceiver("127.0.0.1:0", "s3cret", heard.append)
    try:
        assert deliver(receiver.port, body, signature(body)) == status
        deadline = time.monotonic() + 2
        while heard != jobs and time.monotonic() < deadline:
            time.sleep(0.01)
        assert heard == jobs
    finally:
        receiver.close()


def test_a_huge_delivery_is_not_read() -> None:
    receiver = WebhookReceiver("127.0.0.1:0", "s3cret", lambda job: None)
    connection = http.client.HTTPConnection("127.0.0.1", receiver.port)
    connection.putrequest("POST", "/")
    connection.putheader("Content-Length", str(2**20 + 1))
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()
    receiver.close()


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
