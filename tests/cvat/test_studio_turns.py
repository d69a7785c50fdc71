"""The studio and `siaf cvat` take turns on one session: rounds, undo, kills, and two at once."""

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from bench import Bench, Pictures, bitmap
from standin import StandIn
from studio_job import LINE_1, LINE_2, Open, auto, nothing_to_do, stroke, stroke_of

from siaf.cvat.job.ledger import Ledger
from siaf.cvat.studio.clip import StudioJob
from siaf.errors import Busy, InputError, SiafError
from siaf.model.loaded import Model


def test_sync_and_studio_take_turns(bench: Bench, pictures: Pictures, studio: Open) -> None:
    (job,) = bench.task(pictures)
    bench.scribble(job, 0, LINE_1, tag=1, label="car")
    bench.sync(job)
    with studio(job) as page:
        assert page.now["rounds"] == 1
        page.draw({4: [stroke(2, LINE_2)]})
        page.propagate()  # and not written: the next sync does that
    bench.scribble(job, 8, (40.0, 22.0, 50.0, 22.0), tag=1, label="car")
    report = bench.sync(job)
    assert (report.round, report.objects) == (3, {1: "car", 2: "person"})
    assert bitmap(bench.masks(job)[4, 2], pictures)[50, 72:86].all()
    nothing_to_do(bench, job)
    with studio(job) as page:
        assert page.now["interacted"].keys() >= {"0", "4", "8"}


def test_a_sync_finishes_what_the_studio_began(bench: Bench, pictures: Pictures, studio: Open) -> None:
    (job,) = bench.task(pictures)
    with studio(job) as page:
        page.draw({0: [stroke(1, LINE_1)]})
        refused = page.post("write", 422)["error"]
        assert (refused["field"], "propagate first" in refused["message"]) == ("round", True)
    report = bench.sync(job)
    assert report.resumed
    assert report.created == len(bench.masks(job)) > 0
    nothing_to_do(bench, job)


def test_a_round_elsewhere_is_told_and_never_overwritten(bench: Bench, pictures: Pictures, studio: Open) -> None:
    (job,) = bench.task(pictures)
    bench.scribble(job, 0, LINE_1, tag=1, label="car")
    with studio(job) as page:
        page.propagate()
        page.post("write")
        bench.scribble(job, 6, (30.0, 22.0, 40.0, 22.0), tag=1, label="car")
        bench.sync(job)
        job_store = bench.store.job(bench.server.url, job)
        ledger, masks = job_store.ledger().dump(), bench.everything(job)
        page.draw({4: [stroke(2, LINE_2)]})
        assert "somebody else ran a round on job" in page.now["saved"]["error"]
        page.propagate()
        refused = page.post("write", 409)["error"]
        assert refused["code"] == "conflict"
        assert "download this session to keep it, then open the job again" in refused["message"]
        assert len(page.export("siaf")[0]) > 1000
    assert (job_store.ledger().dump(), bench.everything(job)) == (ledger, masks)
    nothing_to_do(bench, job)


def test_while_a_sync_runs_the_studio_waits_with_saving(
    bench: Bench, pictures: Pictures, tiny_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("siaf.cvat.studio.clip._WAIT_S", 0.1)
    (job,) = bench.task(pictures)
    bench.scribble(job, 0, LINE_1, tag=1, label="car")
    jobs = bench.store.job(bench.server.url, job)
    clip = StudioJob(bench.server, job, jobs)
    session = clip.load(tiny_model)
    with bench.store.job(bench.server.url, job).locked(), pytest.raises(Busy, match="another sync is working"):
        clip.save(session)
    with bench.store.job(bench.server.url, job).locked(), pytest.raises(Busy, match="another sync is working"):
        StudioJob(bench.server, job, jobs).load(tiny_model)
    clip.save(session)
    assert jobs.ledger().round == 1
    clip.close()


def test_while_a_sync_runs_writing_is_refused_for_a_moment(
    bench: Bench, pictures: Pictures, studio: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("siaf.cvat.studio.clip._WAIT_S", 0.1)
    (job,) = bench.task(pictures)
    with studio(job) as page:
        page.draw({0: [stroke(1, LINE_1)]})
        page.propagate()
        with bench.store.job(bench.server.url, job).locked():
            status, headers, content = page.send("POST", "/api/write", b"{}", Content_Type="application/json")
        assert (status, headers["Retry-After"]) == (503, "1")
        assert b"another sync is working on job" in content
        page.post("write")
    assert bench.masks(job)


KILLED = """
import os, signal, sys
from dataclasses import replace
import numpy as np, torch
from siaf import Scribble
from siaf.cvat.server.connection import Server, connect
from siaf.cvat.storage.store import StateStore
from siaf.cvat.studio.clip import StudioJob
from siaf.weights import build_model

url, store, job, stage = sys.argv[1:]
torch.set_num_threads(1)
model = replace(build_model("siaf-t", device="cpu", seed=3), short_side=65, interaction_short_side=65)
server = Server(connect(url, token="full"))
clip = StudioJob(server, int(job), StateStore(store).job(server.url, int(job)))
session = clip.load(model)
session.interact({0: [Scribble(1, np.array([[8.0, 20.0], [20.0, 20.0]]))]})
session.objects[1].label = "car"
for _ in session.propagate():
    pass
clip.save(session)
real = Server.patch_annotations

def cut(self, number, action, **given):
    if action == "create" and given.get("shapes"):
        if stage == "answered late":
            real(self, number, action, **given)
        os.kill(os.getpid(), signal.SIGKILL)
    return real(self, number, action, **given)

Server.patch_annotations = cut
clip.write(session)
"""


@pytest.mark.parametrize("stage", ["not sent", "answered late"])
def test_killed_between_saving_and_writing_nothing_is_there_twice(
    bench: Bench, standin: StandIn, pictures: Pictures, studio: Open, tmp_path: Path, stage: str
) -> None:
    (job,) = bench.task(pictures)
    words = [sys.executable, "-c", KILLED, standin.url, str(tmp_path / "store"), str(job), stage]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert bench.store.job(bench.server.url, job).ledger().pending is not None
    there = len(bench.shapes(job))
    assert bool(there) == (stage == "answered late")
    with studio(job) as page:
        assert page.now["rounds"] == 1
        assert page.now["objects"][0]["label"] == "car"
        page.post("write")
    assert len(bench.masks(job)) == len(bench.shapes(job)) > 0
    assert not there or len(bench.shapes(job)) == there
    nothing_to_do(bench, job)


def test_undo_takes_rounds_back_for_cvat_too(bench: Bench, pictures: Pictures, studio: Open) -> None:
    (job,) = bench.task(pictures)
    bench.scribble(job, 0, LINE_1, tag=1, label="car")
    bench.sync(job)
    first = auto(bench, job)
    jobs = bench.store.job(bench.server.url, job)
    with studio(job) as page:
        page.draw({4: [stroke(2, LINE_2)]})
        page.propagate()
        page.post("write")
        assert jobs.ledger().round == 2
        page.post("undo", revision=page.revision)
        assert jobs.ledger().round == 1
        assert list(jobs.ledger().objects) == [1]
        page.propagate()
        page.post("write")
        assert auto(bench, job) == first
        nothing_to_do(bench, job)
    with studio(job) as page:
        page.post("undo", revision=page.revision)  # the sync's own round
        assert page.now["rounds"] == 0
        assert (jobs.ledger().round, jobs.ledger().objects) == (0, {})
    with studio(job) as page:
        assert page.now["rounds"] == 0, "the scribble waits until something is drawn in CVAT"
        assert any("the last round was taken back" in note for note in page.now["notes"])
    bench.scribble(job, 8, (40.0, 22.0, 50.0, 22.0), tag=1, label="car")
    assert bench.sync(job).scribbles == {0: 1, 8: 1}


def test_scribbles_of_a_round_that_is_taken_back_are_used_no_more(
    bench: Bench, pictures: Pictures, studio: Open
) -> None:
    (job,) = bench.task(pictures)
    bench.scribble(job, 0, LINE_1, tag=1, label="car")
    bench.sync(job, scribbles="mark")
    label = bench.labels(job).scribble
    assert label is not None
    assert [label.value(line, "used") for line in bench.shapes(job, "polyline")] == ["true"]
    with studio(job) as page:
        page.post("undo", revision=page.revision)
        page.post("write")
    assert bench.masks(job) == {}
    assert [label.value(line, "used") for line in bench.shapes(job, "polyline")] == ["false"]
    nothing_to_do(bench, job)


def test_scribbles_that_were_removed_come_back_as_the_command_brings_them(
    bench: Bench, pictures: Pictures, studio: Open
) -> None:
    (job,) = bench.task(pictures)
    bench.scribble(job, 0, LINE_1, tag=1, label="car")
    before = bench.shapes(job, "polyline")
    bench.sync(job, scribbles="remove")
    assert bench.shapes(job, "polyline") == []
    jobs = bench.store.job(bench.server.url, job)
    with studio(job) as page:
        page.draw({4: [stroke(2, LINE_2)]})
        page.post("undo", revision=page.revision)  # the studio's own
        assert (jobs.ledger().round, bench.shapes(job, "polyline")) == (1, [])
        page.post("undo", revision=page.revision)
        assert jobs.ledger().round == 0
        (line,) = bench.shapes(job, "polyline")
        assert (line["points"], line["frame"]) == (before[0]["points"], 0)
        assert "  1 used scribbles are back in the job" in page.post("write")["lines"]
        assert page.now["saved"]["error"] is None
    assert (bench.masks(job), len(bench.shapes(job, "polyline"))) == ({}, 1)
    nothing_to_do(bench, job)  # they wait until something is drawn
    bench.scribble(job, 8, (40.0, 22.0, 50.0, 22.0), tag=1, label="car")
    assert bench.sync(job).scribbles == {0: 1, 8: 1}


def test_a_save_that_fails_brings_no_scribble_twice(
    bench: Bench, pictures: Pictures, tiny_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    (job,) = bench.task(pictures)
    bench.scribble(job, 0, LINE_1, tag=1, label="car")
    bench.sync(job, scribbles="remove")
    jobs = bench.store.job(bench.server.url, job)
    clip = StudioJob(bench.server, job, jobs)
    session = clip.load(tiny_model)
    session.undo()

    def full(*_: object) -> None:
        raise InputError("cannot write there (No space left on device)", field="store")

    with monkeypatch.context() as patch:
        patch.setattr(type(jobs), "save", full)
        with pytest.raises(SiafError, match="No space left"):
            clip.save(session)
    assert jobs.ledger().round == 1
    clip.save(session)
    assert (jobs.ledger().round, len(bench.shapes(job, "polyline"))) == (0, 1)
    assert jobs.scribbles(1) == {"shapes": [], "tracks": []}
    session.interact({6: [stroke_of(LINE_2)]})
    session.objects[2].label = "person"
    clip.save(session)
    assert jobs.ledger().round == 1
    clip.close()


def test_with_another_model_it_begins_again_and_an_undo_goes_no_further_back(
    bench: Bench, pictures: Pictures, tiny_model: Model
) -> None:
    (job,) = bench.task(pictures)
    for frame, line in ((0, LINE_1), (8, (40.0, 22.0, 50.0, 22.0)), (4, (22.0, 20.0, 32.0, 20.0))):
        bench.scribble(job, frame, line, tag=1, label="car")
        bench.sync(job)
    jobs = bench.store.job(bench.server.url, job)
    stood = jobs.ledger().dump()
    clip = StudioJob(bench.server, job, jobs)
    session = clip.load(replace(tiny_model, short_side=97))
    assert "The session was made with another model: it begins again from its annotated frames." in clip.notes
    assert (session.interacted, len(session.rounds)) == ([0, 4, 8], 1)
    assert jobs.ledger().dump() == stood, "who only looks changes nothing"
    session.interact({6: [stroke_of(LINE_2)]})
    clip.save(session)
    session.undo()
    clip.save(session)
    assert (jobs.ledger().round, list(jobs.ledger().objects)) == (4, [1])
    clip.close()


def test_the_command_takes_back_a_round_of_the_studio(bench: Bench, pictures: Pictures, studio: Open) -> None:
    from siaf.cvat import commands

    (job,) = bench.task(pictures)
    bench.scribble(job, 0, LINE_1, tag=1, label="car")
    bench.sync(job)
    first = auto(bench, job)
    with studio(job) as page:
        page.draw({4: [stroke(2, LINE_2)]})
        page.propagate()
        page.post("write")
    report = commands.control(bench.client, job, "undo", store=bench.store)
    assert report.round == 1
    assert auto(bench, job) == first
    nothing_to_do(bench, job)


def test_a_disk_that_is_full_is_told_and_the_round_is_saved_later(
    bench: Bench, pictures: Pictures, tiny_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    (job,) = bench.task(pictures)
    bench.scribble(job, 0, LINE_1, tag=1, label="car")
    jobs = bench.store.job(bench.server.url, job)
    clip = StudioJob(bench.server, job, jobs)
    session = clip.load(tiny_model)
    stood = jobs.ledger().dump()

    def full(*_: object) -> None:
        raise InputError("cannot write there (No space left on device)", field="store")

    session.interact({4: [stroke_of(LINE_2)]})
    session.objects[2].label = "person"
    with monkeypatch.context() as patch:
        patch.setattr(type(jobs), "save", full)
        with pytest.raises(SiafError, match="No space left"):
            clip.save(session)
    assert jobs.ledger().dump() == stood
    clip.save(session)
    ledger = jobs.ledger()
    assert (ledger.round, {tag: known.label for tag, known in ledger.objects.items()}) == (2, {1: "car", 2: "person"})
    assert jobs.before(2).dump() == stood  # type: ignore[union-attr]
    session.undo()
    with monkeypatch.context() as patch:
        patch.setattr(type(jobs), "save", full)
        with pytest.raises(SiafError, match="No space left"):
            clip.save(session)
    assert (jobs.ledger().round, jobs.before(2) is not None) == (2, True)
    session.interact({6: [stroke_of(LINE_2)]})
    clip.save(session)  # both at once, as neither was kept
    again = jobs.before(2)
    assert again is not None
    assert (jobs.ledger().round, again.round, list(again.objects), again.state) == (
        2,
        1,
        [1],
        Ledger.parse(stood, "").state,
    )
    session.undo()
    clip.save(session)
    assert (jobs.ledger().round, jobs.before(2), list(jobs.ledger().objects)) == (1, None, [1])
    clip.close()
