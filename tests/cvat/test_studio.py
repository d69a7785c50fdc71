"""The studio on a job: what it takes from CVAT, keeps and writes, and how it takes turns with `siaf cvat sync`."""

import io
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench import Bench, Pictures, bitmap, check_ledger, rle
from dataset_readers import read_coco
from standin import StandIn
from standin_media import write_video
from studio_client import Page, studio_on

from siaf.cli import main
from siaf.cvat.job.ledger import Ledger
from siaf.cvat.server.connection import Server, connect
from siaf.cvat.storage.store import Busy
from siaf.cvat.studio.clip import StudioJob
from siaf.errors import InputError, SiafError
from siaf.model.loaded import Model
from siaf.output.export.formats import EXPORTS

Json = dict[str, Any]
LINE_1, LINE_2 = (8.0, 20.0, 20.0, 20.0), (72.0, 50.0, 85.0, 50.0)
OBJECTS = [{"tag": 1, "label": "car"}, {"tag": 2, "label": "person"}]


class JobPage(Page):
    """The page of a studio on a job."""

    @property
    def now(self) -> Json:
        return dict(self.get("session"))

    def post(self, call: str, status: int = 200, **body: Any) -> Json:
        found, answer = self.ask("POST", call, body)
        assert found == status, answer
        return dict(answer)

    def draw(self, scribbles: dict[int, list[Json]], **more: Any) -> Json:
        """A round of strokes by frame, whose objects are named as `OBJECTS` has them."""
        drawn = [{"frame": frame, "strokes": strokes} for frame, strokes in scribbles.items()]
        tags = {stroke["tag"] for strokes in scribbles.values() for stroke in strokes}
        named = [one for one in OBJECTS if one["tag"] in tags]
        return self.post("rounds", revision=self.revision, scribbles=drawn, objects=named, **more)

    def shown(self, pictures: Pictures) -> dict[tuple[int, int], np.ndarray]:
        """All masks, by frame and tag."""
        found = self.masks(*range(len(pictures)))
        return {(f, m["tag"]): bitmap(m["rle"], pictures) for f, at in found.items() for m in at["masks"]}

    def export(self, kind: str) -> tuple[bytes, str]:
        """Content, and what the browser calls it."""
        status, headers, content = self.send("GET", f"/api/export/{kind}")
        assert status == 200, content
        return content, str(headers["Content-Disposition"])


def stroke(tag: int, line: tuple[float, ...], **more: Any) -> Json:
    return {"tag": tag, "points": [[line[i], line[i + 1]] for i in range(0, len(line), 2)], **more}


Open = Callable[..., Any]


@pytest.fixture
def studio(bench: Bench, tiny_model: Model) -> Open:
    """Opens the studio on a job; it is closed where the block ends."""

    @contextmanager
    def opened(job: int, client: Any = None) -> Iterator[JobPage]:
        server = Server(client or bench.client)
        clip = StudioJob(server, job, bench.store.job(server.url, job))
        try:
            with studio_on(Path(), tiny_model, clip=clip) as running:
                page = JobPage(running.port, "test")
                page.post("hold", tab="test")
                yield page
        finally:
            clip.close()

    return opened


def nothing_to_do(bench: Bench, job: int) -> None:
    """A sync finds that the job is as it should be."""
    before, ledger = bench.everything(job), bench.store.job(bench.server.url, job).ledger()
    report = bench.sync(job)
    assert not report.changed
    assert report.round == ledger.round
    assert bench.everything(job) == before
    check_ledger(bench, job)


def auto(bench: Bench, job: int) -> list[Any]:
    """All that siaf wrote."""
    return [entry for entry in bench.contents(job) if entry["source"] == "auto"]


def test_strokes_in_the_studio_give_what_a_sync_gives_for_the_same_strokes(
    bench: Bench, pictures: Pictures, studio: Open
) -> None:
    (there,) = bench.task(pictures)
    bench.scribble(there, 0, LINE_1, tag=1, label="car")
    bench.scribble(there, 4, LINE_2, tag=2, label="person")
    bench.sync(there)
    (here,) = bench.task(pictures)
    with studio(here) as page:
        assert page.now["objects"] == []
        assert {label["name"] for label in page.now["labels"]} == {"car", "person"}
        page.draw({0: [stroke(1, LINE_1)], 4: [stroke(2, LINE_2)]})
        assert bench.masks(here) == {}
        page.propagate()
        lines = page.post("write")["lines"]
        assert page.now["job"]["written_at"] is not None
    assert auto(bench, here) == auto(bench, there) != []
    assert lines[:2] == [f"job {here}: masks are in the job; round 1", "  objects: 1 car, 2 person"]
    nothing_to_do(bench, here)


def test_what_is_in_the_job_comes_in_as_in_a_sync(bench: Bench, pictures: Pictures, studio: Open) -> None:
    (job,), (twin,) = bench.task(pictures), bench.task(pictures)
    for each in (job, twin):
        bench.scribble(each, 0, LINE_1, tag=1, label="car")
        bench.box_mask(each, 6, (40, 40, 55, 58), "person", 2)
    with studio(job) as page:
        now = page.now
        assert now["objects"] == [
            {"tag": 1, "label": "car", "color": label_color(bench, job, "car")},
            {"tag": 2, "label": "person", "color": label_color(bench, job, "person")},
        ]
        assert now["references"] == [6]
        assert [(drawn["frame"], drawn["strokes"][0]["tag"]) for drawn in now["strokes"]] == [(0, 1)]
        assert now["job"]["url"] == f"{bench.server.url}/tasks/{now['job']['task']}/jobs/{job}"
        assert not now["job"]["read_only"]
        page.propagate()
        page.post("write")
        of_page = page.shown(pictures)
    bench.sync(twin)
    assert bench.contents(job) == bench.contents(twin)
    written = {spot: bitmap(points, pictures) for spot, points in bench.masks(job).items()}
    assert written.keys() == of_page.keys()
    assert all(np.array_equal(of_page[spot], written[spot]) for spot in written)
    nothing_to_do(bench, job)


def label_color(bench: Bench, job: int, name: str) -> str:
    return next(label["color"] for label in bench.server.labels(job_id=job) if label["name"] == name)


def test_a_correction_in_cvat_comes_in_when_the_job_is_opened_again(
    bench: Bench, pictures: Pictures, studio: Open
) -> None:
    (job,) = bench.task(pictures)
    with studio(job) as page:
        page.draw({0: [stroke(1, LINE_1)]})
        page.propagate()
        page.post("write")
        shape = next(shape for shape in bench.shapes(job) if shape["frame"] == 5)
        corrected = np.zeros((72, 96), bool)
        corrected[30:50, 30:60] = True
        bench.edit(job, shape, points=rle(corrected))
        lines = page.post("write")["lines"]
        assert "  1 scribbles and masks by people are new: open the job again to take them" in lines
    human = next(s for s in bench.shapes(job) if s["id"] == shape["id"])
    assert np.array_equal(bitmap(human["points"], pictures), corrected)
    with studio(job) as page:
        assert page.now["references"] == [5]
        assert np.array_equal(page.shown(pictures)[5, 1], corrected)
        page.propagate()
        page.post("write")
    assert [s["id"] for s in bench.shapes(job) if s["source"] != "auto"] == [shape["id"]]
    nothing_to_do(bench, job)


def test_masks_of_people_stay_and_the_report_says_where_the_studio_differs(
    bench: Bench, pictures: Pictures, studio: Open
) -> None:
    (job,) = bench.task(pictures)
    number = bench.box_mask(job, 3, (10, 10, 30, 30), "car", 1)
    before = next(shape for shape in bench.shapes(job) if shape["id"] == number)
    with studio(job) as page:
        other = np.zeros((72, 96), bool)
        other[40:60, 40:60] = True
        page.draw({}, references=[{"frame": 3, "masks": [{"tag": 1, "rle": [int(v) for v in rle(other)]}]}])
        page.propagate()
        lines = page.post("write")["lines"]
    assert next(shape for shape in bench.shapes(job) if shape["id"] == number) == before
    kept = f"  made by people, so they stay as they are in CVAT: mask {number} on frame 3 (object 1)"
    assert kept in lines
    nothing_to_do(bench, job)


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
        refused = page.post("write", 500)["error"]["message"]
        assert "download this session to keep it, then open the job again" in refused
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


@pytest.mark.parametrize("write_as", ["polygon-track", "rectangle-track"])
def test_it_writes_as_the_job_was_written_before(bench: Bench, pictures: Pictures, studio: Open, write_as: str) -> None:
    (there,), (here,) = (bench.task(pictures, labels=(("car", "any"), ("person", "any"))) for _ in range(2))
    for job in (there, here):
        bench.scribble(job, 0, LINE_1, tag=1, label="car")
        bench.sync(job, write_as=write_as)
    bench.scribble(there, 4, LINE_2, tag=2, label="person")
    bench.sync(there)
    with studio(here) as page:
        page.draw({4: [stroke(2, LINE_2)]})
        page.propagate()
        page.post("write")
    assert bench.shapes(here) == []
    tracks = [entry for entry in auto(bench, here) if "shapes" in entry]
    assert tracks == [entry for entry in auto(bench, there) if "shapes" in entry] != []
    nothing_to_do(bench, here)


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


def test_objects_are_named_removed_and_changed_places(bench: Bench, pictures: Pictures, studio: Open) -> None:
    (job,) = bench.task(pictures)
    with studio(job) as page:
        page.draw({0: [stroke(1, LINE_1)], 4: [stroke(2, LINE_2)], 5: [stroke(3, (50.0, 5.0, 60.0, 5.0))]})
        page.propagate()
        refused = page.post("write", 422)["error"]
        assert (refused["field"], refused["message"]) == ("objects", "object 3 has no label: choose one")
        page.post("objects", revision=page.revision, do="name", tags=[3], label="car")
        page.post("write")
        assert {tag for _, tag in bench.masks(job)} >= {1, 2}
        before = page.shown(pictures)
        page.post("objects", revision=page.revision, do="swap", tags=[1, 2], from_frame=6)
        page.post("objects", revision=page.revision, do="remove", tags=[3])
        page.propagate()
        page.post("write")
        after = page.shown(pictures)
    written = {spot: bitmap(points, pictures) for spot, points in bench.masks(job).items()}
    assert all(np.array_equal(written[spot], after[spot]) for spot in after) and written.keys() == after.keys()
    assert 3 not in {tag for _, tag in written}
    assert np.array_equal(before[0, 1], written[0, 1])
    for tag, other in ((1, 2), (2, 1)):
        if (6, tag) in before:
            assert np.array_equal(before[6, tag], written[6, other])
    nothing_to_do(bench, job)


def test_a_mask_of_a_person_stays_its_objects_when_objects_change_places(
    bench: Bench, pictures: Pictures, studio: Open
) -> None:
    (job,) = bench.task(pictures)
    number = bench.box_mask(job, 7, (10, 10, 30, 30), "car", 1)
    with studio(job) as page:
        page.draw({0: [stroke(1, LINE_1)], 4: [stroke(2, LINE_2)]})
        page.propagate()
        page.post("write")
        page.post("objects", revision=page.revision, do="swap", tags=[1, 2], from_frame=5)
        page.propagate()
        page.post("write")
        shown = page.shown(pictures)
    assert shown[7, 1][10:31, 10:31].all() and shown[7, 1].sum() == 21 * 21
    written = {spot: bitmap(points, pictures) for spot, points in bench.masks(job).items()}
    assert written.keys() == shown.keys()
    assert all(np.array_equal(written[spot], shown[spot]) for spot in shown)
    assert [shape["id"] for shape in bench.shapes(job) if shape["source"] == "manual"] == [number]
    nothing_to_do(bench, job)


def test_an_object_that_was_deleted_on_a_frame_is_back_once_it_is_drawn_there(
    bench: Bench, pictures: Pictures, studio: Open
) -> None:
    (job,) = bench.task(pictures)
    bench.scribble(job, 0, LINE_1, tag=1, label="car")
    bench.sync(job)
    bench.delete(job, *[shape for shape in bench.shapes(job) if shape["frame"] == 5])
    with studio(job) as page:
        assert (5, 1) not in page.shown(pictures)
        page.draw({5: [stroke(1, (30.0, 20.0, 40.0, 20.0))]})
        page.propagate()
        page.post("write")
    assert bitmap(bench.masks(job)[5, 1], pictures)[20, 30:41].all()
    nothing_to_do(bench, job)


def test_limits_are_the_jobs(bench: Bench, pictures: Pictures, studio: Open) -> None:
    (job,) = bench.task(pictures)
    with studio(job) as page:
        page.draw({2: [stroke(1, LINE_1)]})
        page.do("PUT", "limits", revision=page.revision, within=[0, 5], barriers=[5])
        page.propagate()
        page.post("write")
    ledger = bench.store.job(bench.server.url, job).ledger()
    assert (ledger.within, ledger.barriers) == ([0, 5], [5])
    assert {frame for frame, _ in bench.masks(job)} <= set(range(5))


def test_who_may_not_write_looks_and_is_told_why(
    bench: Bench, standin: StandIn, pictures: Pictures, studio: Open
) -> None:
    (job,) = bench.task(pictures)
    bench.scribble(job, 0, LINE_1, tag=1, label="car")
    jobs = bench.store.job(bench.server.url, job)
    before = bench.everything(job)
    with studio(job, connect(standin.url, token="read-only")) as page:
        now = page.now
        assert now["job"]["read_only"]
        assert now["notes"][0].startswith("Read only: ")
        assert [drawn["frame"] for drawn in now["strokes"]] == [0]
        page.draw({4: [stroke(2, LINE_2)]})
        assert page.now["saved"]["error"].startswith(f"job {job}: ")
        page.propagate()
        assert page.post("write", 422)["error"]["field"] == f"job {job}"
    assert jobs.ledger().empty
    assert bench.everything(job) == before
    bench.set_state(job, "completed")
    with studio(job) as page:
        assert page.now["job"]["read_only"]
        assert page.now["notes"][0].startswith("Read only: the job is completed; set its state")


def test_who_may_not_see_the_job_is_told(bench: Bench, standin: StandIn, pictures: Pictures) -> None:
    (job,) = bench.task(pictures)
    server = Server(connect(standin.url, token="stranger"))
    with pytest.raises(InputError, match=f"^job {job}: no permission"):
        StudioJob(server, job, bench.store.job(server.url, job))
    with pytest.raises(InputError, match="^job 99: not found"):
        StudioJob(bench.server, 99, bench.store.job(server.url, 99))


def test_a_login_that_ended_is_no_lack_of_permission(
    bench: Bench, standin: StandIn, pictures: Pictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    (job,) = bench.task(pictures)
    real = Server.check_may_write

    def late(self: Server, number: int) -> None:
        standin.world.tokens["full"].expired = True
        real(self, number)

    monkeypatch.setattr(Server, "check_may_write", late)
    with pytest.raises(InputError, match="^token: CVAT refuses the token"):
        StudioJob(bench.server, job, bench.store.job(bench.server.url, job))


def test_a_job_of_a_video_shows_its_frames_and_exports(
    bench: Bench, pictures: Pictures, studio: Open, tmp_path: Path
) -> None:
    with (tmp_path / "film.mp4").open("wb") as file:
        write_video(file, pictures)  # type: ignore[arg-type]
    jobs = bench.video_task(tmp_path / "film.mp4", segment=6, overlap=2)
    with studio(jobs[1]) as page:
        now = page.now
        assert now["notes"][0] == f"Frame 0 here is frame {bench.server.job(jobs[1])['start_frame']} in CVAT."
        for frame in range(now["frames"]):
            status, _, content = page.send("GET", f"/api/frames/{frame}")
            assert status == 200 and content[:2] == b"\xff\xd8"
        page.draw({0: [stroke(1, LINE_1)]})
        page.propagate()
        assert now["formats"] == [name for name in EXPORTS if name != "cvat"]
        status, refused = page.ask("GET", "export/cvat")
        assert (status, refused["error"]["field"]) == (404, "format")
        coco, called = page.export("coco")
        (tmp_path / "coco.json").write_bytes(coco)
        assert called == f"attachment; filename*=UTF-8''job-{jobs[1]}-coco.json"
        shown, masks = read_coco(tmp_path / "coco.json"), page.shown(pictures[: now["frames"]])
        assert shown.keys() == masks.keys()
        davis, _ = page.export("davis")
        assert len(zipfile.ZipFile(io.BytesIO(davis)).namelist()) == now["frames"] + 2
        page.post("write")
    start = bench.server.job(jobs[1])["start_frame"]
    assert bench.masks(jobs[1]).keys() == {(frame + start, tag) for frame, tag in masks}
    nothing_to_do(bench, jobs[1])


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


def stroke_of(line: tuple[float, ...]) -> Any:
    from siaf import Scribble

    return Scribble(2, np.array(line).reshape(-1, 2))


def test_questions_are_asked_before_anything_is_taken(bench: Bench, pictures: Pictures, studio: Open) -> None:
    (job,) = bench.task(pictures)
    for left in (5, 50):
        bench.draw(job, 0, "mask", [0, 100, left, 5, left + 9, 14], "car")
    with pytest.raises(InputError, match="have no number; together they would become object 1"), studio(job):
        pass
    assert bench.store.job(bench.server.url, job).ledger().empty


def test_the_command_says_what_is_wrong(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CVAT_HOST", raising=False)
    assert main(["studio"]) == 2
    assert capsys.readouterr().err == "siaf: video: give a video, or a job of CVAT with --job\n"
    assert main(["studio", "a.mp4", "--job", "3"]) == 2
    assert capsys.readouterr().err == "siaf: video: give a video, or a job of CVAT with --job\n"
    assert main(["studio", "--job", "3", "--new"]) == 2
    assert capsys.readouterr().err == "siaf: --new: is for videos: a job's session lies in the store (--store)\n"


def test_the_command_opens_a_job(
    bench: Bench, standin: StandIn, pictures: Pictures, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (job,) = bench.task(pictures)
    opened = {}

    class Served:
        def run(self) -> None:
            opened["served"] = True

    def make(clip: Any, session: Any, door: Any) -> Served:
        opened.update(name=clip.name, place=clip.place)
        clip.close()
        return Served()

    monkeypatch.setattr("siaf.studio.server.make_server", make)
    monkeypatch.setenv("CVAT_ACCESS_TOKEN", "full")
    words = ["studio", "--job", str(job), "--host", standin.url, "--store", str(tmp_path / "s"), "--no-browser"]
    assert main([*words, "--port", "0"]) == 0
    assert opened["name"] == f"job-{job}" and opened["served"]
    assert opened["place"].startswith(str(tmp_path / "s"))
