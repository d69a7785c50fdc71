"""Deliveries of webhooks: a signed one wakes the watcher; what is none is answered, and the receiver goes on."""

import hashlib
import hmac
import http.client
import json
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable

import pytest
from bench import Bench, Pictures
from standin import StandIn
from watched_job import ask

from siaf.cvat import commands
from siaf.cvat.rounds.report import SyncReport
from siaf.cvat.server.webhooks import WebhookReceiver


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
    threads = set(threading.enumerate())
    receiver = WebhookReceiver("127.0.0.1:0", "s3cret", heard.append)
    try:
        assert deliver(receiver.port, body, signature(body)) == status
    finally:
        receiver.close()
    for thread in set(threading.enumerate()) - threads:  # what a delivery says is heard after its answer
        thread.join(30)
        assert not thread.is_alive()
    assert heard == jobs


def test_a_huge_delivery_is_not_read() -> None:
    receiver = WebhookReceiver("127.0.0.1:0", "s3cret", lambda job: None)
    connection = http.client.HTTPConnection("127.0.0.1", receiver.port)
    connection.putrequest("POST", "/")
    connection.putheader("Content-Length", str(2**20 + 1))
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()
    receiver.close()


@pytest.mark.parametrize("length", ["²", "-1", "", "1e3", "9" * 5000, "+5"])
def test_an_odd_content_length_is_refused(length: str) -> None:
    receiver = WebhookReceiver("127.0.0.1:0", "s3cret", lambda job: None)
    try:
        with socket.create_connection(("127.0.0.1", receiver.port), 5) as connection:
            connection.sendall(f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode())
            assert connection.recv(100).split(b"\r\n")[0].split()[1] == b"413"
    finally:
        receiver.close()


@pytest.mark.parametrize(
    "body", [b"[" * 10**5, b'{"event": "update:job", "job": {"id": 1e999}}', b'{"event": "update:job", "job": [1]}']
)
def test_what_names_no_job_is_passed_over(body: bytes) -> None:
    heard: list[int] = []
    WebhookReceiver._take(body, heard.append)
    assert heard == []
