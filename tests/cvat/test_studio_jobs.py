"""`siaf studio --jobs`: a team on jobs of one CVAT, each with its own session."""

import argparse
from collections.abc import Callable
from pathlib import Path

import pytest
from bench import Bench, Pictures
from standin import StandIn
from studio_client import Page, rooms_on
from studio_job import LINE_1, LINE_2, nothing_to_do, stroke

from siaf.cvat.studio.opening import add_job_arguments, job_opener
from siaf.model.loaded import Model
from siaf.studio.clip import Clip, Unopened
from siaf.studio.rooms import JobRooms

Opened = Callable[[int], Clip]


def opener(standin: StandIn, place: Path) -> Opened:
    """As the command makes it."""
    parser = argparse.ArgumentParser()
    add_job_arguments(parser)
    return job_opener(parser.parse_args(["--jobs", "--host", standin.url, "--store", str(place)]))


class JobPage(Page):
    """A tab on one of the jobs."""

    def __init__(self, port: int, job: int) -> None:
        super().__init__(port, "tab")
        self._job = job
        self.do("POST", "hold", tab="tab")

    def send(self, method: str, path: str, *rest: bytes | None, **changed: str | None):  # type: ignore[no-untyped-def]
        return super().send(method, f"/jobs/{self._job}{path}", *rest, **changed)


def test_two_labelers_write_to_their_own_jobs(
    bench: Bench,
    standin: StandIn,
    pictures: Pictures,
    tiny_model: Model,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CVAT_ACCESS_TOKEN", "full")
    (one,), (two,) = bench.task(pictures), bench.task(pictures)
    given = {one: (1, LINE_1, "car"), two: (2, LINE_2, "person")}
    with rooms_on(JobRooms(opener(standin, tmp_path / "store"), tiny_model)) as port:
        pages = {job: JobPage(port, job) for job in given}
        for job, (tag, line, label) in given.items():
            page = pages[job]
            assert page.get("session")["job"]["id"] == job
            drawn = [{"frame": 0, "strokes": [stroke(tag, line)]}]
            named = [{"tag": tag, "label": label}]
            page.do("POST", "rounds", revision=page.revision, scribbles=drawn, objects=named)
        for page in pages.values():
            page.propagate()
            page.do("POST", "write")
    for job, (tag, _, _) in given.items():
        assert {spot[1] for spot in bench.masks(job)} == {tag}
        assert bench.store.job(bench.server.url, job).ledger().round == 1
        nothing_to_do(bench, job)


@pytest.mark.parametrize(("token", "number", "status"), [("full", 999, 404), ("stranger", None, 403)])
def test_what_cvat_refuses_is_told_with_its_status(
    bench: Bench,
    standin: StandIn,
    pictures: Pictures,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    token: str,
    number: int | None,
    status: int,
) -> None:
    (job,) = bench.task(pictures)
    monkeypatch.setenv("CVAT_ACCESS_TOKEN", token)
    with pytest.raises(Unopened) as error:
        opener(standin, tmp_path / "store")(number or job)
    assert (error.value.status, error.value.field) == (status, f"job {number or job}")
