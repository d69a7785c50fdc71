"""What a sync cannot do, for a token, a job, its frames or a host, is named before any work."""

from typing import Any

import pytest
from bench import Bench, Pictures
from disturbed_job import first_round
from standin import StandIn

from siaf.cvat.server.connection import connect
from siaf.cvat.server.faults import ServerFault
from siaf.errors import InputError, SiafError


@pytest.mark.parametrize(
    ("token", "message"),
    [
        ("expired", "token: CVAT refuses the token: wrong, expired or missing"),
        ("unknown", "token: CVAT refuses the token"),
        ("annot1", "job 1: no permission"),
    ],
)
def test_what_a_token_does_not_open_is_said(
    standin: StandIn, bench: Bench, pictures: Pictures, token: str, message: str
) -> None:
    job = first_round(bench, pictures)
    bench.client = connect(standin.url, token=token)
    with pytest.raises(InputError, match=message):
        bench.sync(job)


def test_a_read_only_token_is_noticed_before_the_work(standin: StandIn, bench: Bench, pictures: Pictures) -> None:
    job = first_round(bench, pictures)
    bench.client = connect(standin.url, token="read-only")
    worked: list[int] = []
    with pytest.raises(InputError, match="check that the token may write"):
        bench.sync(job, progress=lambda done, total: worked.append(done))
    assert worked == []
    assert bench.sync(job, dry_run=True).objects == {1: "car", 2: "person"}
    bench.client = connect(standin.url, token="full")
    assert bench.sync(job).created > 0


def test_an_assigned_user_may_sync(standin: StandIn, bench: Bench, pictures: Pictures) -> None:
    job = first_round(bench, pictures)
    standin.world.jobs[job].assignee = "annot1"
    bench.client = connect(standin.url, token="annot1")
    assert bench.sync(job).created > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dimension": "3d"}, "is a 3d job"),
        ({"media_type": "audio"}, "is an audio job"),
        ({"kind": "ground_truth", "included": [0, 2]}, "is a ground-truth job"),
        ({"state": "completed"}, "is completed"),
    ],
)
def test_jobs_that_cannot_be_segmented_are_refused(
    bench: Bench, standin: StandIn, pictures: Pictures, change: dict[str, Any], message: str
) -> None:
    job = first_round(bench, pictures)
    for name, value in change.items():
        setattr(standin.world.jobs[job], name, value)
    with pytest.raises(InputError, match=f"job {job}: {message}"):
        bench.sync(job)


def test_a_missing_job_is_named(bench: Bench) -> None:
    with pytest.raises(InputError, match=r"^job 4711: not found"):
        bench.sync(4711)


def test_frames_of_different_sizes_are_refused_by_name(bench: Bench, pictures: Pictures) -> None:
    bench.task(pictures[:3])  # so that no frame has the number of the job
    (mixed,) = bench.task_of([pictures[0], pictures[1][:60], pictures[2]])
    with pytest.raises(InputError, match=f"^job {mixed}: frame 1 is 96×60 pixels, most are 96×72"):
        bench.sync(mixed)


@pytest.mark.parametrize(
    ("host", "error", "message"),
    [
        ("http://no-such-host.invalid", InputError, "host: no host has this name"),
        ("http://127.0.0.1:9", ServerFault, "does not answer"),
        ("ftp://127.0.0.1", InputError, "host: 'ftp://127.0.0.1' is not a server's address"),
    ],
)
def test_a_wrong_host_is_named(client: object, host: str, error: type[SiafError], message: str) -> None:
    with pytest.raises(error, match=message):
        connect(host, token="full")


def test_a_host_that_is_not_cvat_is_named(standin: StandIn, client: object) -> None:
    standin.fault = lambda request: 404
    with pytest.raises(InputError, match="host"):
        connect(standin.url, token="full")
