"""The studio on a job: what it takes from CVAT, what it writes there, and who may."""

import argparse
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench import Bench, Pictures, bitmap, rle
from dataset_readers import read_coco
from standin import StandIn
from standin_media import write_video
from studio_job import LINE_1, LINE_2, Open, auto, label_color, nothing_to_do, stroke

from siaf.cli import main
from siaf.cvat.server.connection import Server, connect
from siaf.cvat.studio.clip import StudioJob
from siaf.cvat.studio.opening import JOB_OPTIONS, add_job_arguments
from siaf.errors import InputError
from siaf.output.export.formats import EXPORTS
from siaf.studio.calls import Asked
from siaf.studio.rooms import Rooms


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
    assert {frame for frame, _ in bench.masks(job)} == set(range(5))


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


def test_questions_are_asked_before_anything_is_taken(bench: Bench, pictures: Pictures, studio: Open) -> None:
    (job,) = bench.task(pictures)
    for left in (5, 50):
        bench.draw(job, 0, "mask", [0, 100, left, 5, left + 9, 14], "car")
    with pytest.raises(InputError, match="have no number; together they would become object 1"), studio(job):
        pass
    assert bench.store.job(bench.server.url, job).ledger().empty


def test_every_option_of_jobs_is_refused_beside_a_video() -> None:
    parser = argparse.ArgumentParser()
    add_job_arguments(parser)
    assert vars(parser.parse_args([])).keys() == {"job", "jobs", *JOB_OPTIONS}


def test_the_command_says_what_is_wrong(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CVAT_HOST", raising=False)
    assert main(["studio"]) == 2
    assert capsys.readouterr().err == "siaf: video: give a video, or a job of CVAT with --job, or --jobs\n"
    assert main(["studio", "a.mp4", "--job", "3"]) == 2
    assert capsys.readouterr().err == "siaf: video: give a video, or a job of CVAT with --job, or --jobs\n"
    assert main(["studio", "--jobs", "--job", "3"]) == 2
    assert capsys.readouterr().err == "siaf: video: give a video, or a job of CVAT with --job, or --jobs\n"
    assert main(["studio", "--job", "3", "--new"]) == 2
    assert capsys.readouterr().err == "siaf: --new: is for videos: a job's session lies in the store (--store)\n"
    assert main(["studio", "a.mp4", "--server-port", "8080"]) == 2
    assert capsys.readouterr().err == "siaf: --server-port: is for jobs of CVAT (--job, --jobs)\n"
    assert main(["studio", "a.mp4", "--store", "sessions"]) == 2
    assert capsys.readouterr().err == "siaf: --store: is for jobs of CVAT (--job, --jobs)\n"


def test_the_command_opens_a_job(
    bench: Bench, standin: StandIn, pictures: Pictures, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (job,) = bench.task(pictures)
    opened = {}

    class Served:
        def run(self) -> None:
            opened["served"] = True

    def make(rooms: Rooms, door: Any) -> Served:
        room = rooms.enter(None)
        assert room is not None
        session = json.loads(room.calls.answer(Asked("GET", "/api/session")).body)
        opened.update(name=session["name"], place=session["saved"]["path"])
        rooms.close()
        return Served()

    monkeypatch.setattr("siaf.studio.server.make_server", make)
    monkeypatch.setenv("CVAT_ACCESS_TOKEN", "full")
    words = ["studio", "--job", str(job), "--host", standin.url, "--store", str(tmp_path / "s"), "--no-browser"]
    assert main([*words, "--port", "0"]) == 0
    assert opened["name"] == f"job-{job}" and opened["served"]
    assert opened["place"].startswith(str(tmp_path / "s"))
