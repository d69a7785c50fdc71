"""Frames of jobs: numbering, chunks, videos with a start frame and a step."""

from pathlib import Path

import numpy as np
import pytest
from bench import Bench, Pictures
from PIL import ExifTags, Image, ImageOps
from standin import StandIn
from standin_media import write_video

from siaf.cvat.job.clip import jobs_of_task, open_job
from siaf.cvat.job.frames import JobFrames
from siaf.errors import InputError, SiafError
from siaf.frames.images import decode_image
from siaf.masks import decode_rle


@pytest.fixture
def film(tmp_path: Path, clip: Pictures) -> Path:
    """A video of 24 frames."""
    path = tmp_path / "film.mp4"
    with open(path, "wb+") as file:
        write_video(file, np.concatenate([clip, clip[::-1]]))  # type: ignore[arg-type]
    return path


def test_pictures_come_as_they_were_uploaded(anywhere: Bench, pictures: Pictures) -> None:
    first, second = anywhere.task(pictures, segment=6, overlap=2)
    clip = open_job(anywhere.server, second)
    assert (first, list(clip.frames), len(clip)) == (first, [4, 5, 6, 7, 8, 9], 6)
    frames = JobFrames(anywhere.server, clip)
    assert all(np.array_equal(frames[i], pictures[4 + i]) for i in range(6))
    frames.close()


def test_a_chunk_is_fetched_once(bench: Bench, standin: StandIn, pictures: Pictures) -> None:
    (job,) = bench.task(pictures, chunk_size=4)
    frames = JobFrames(bench.server, open_job(bench.server, job))
    start = len(standin.log)
    assert np.array_equal(frames[0], pictures[0])
    assert [frames.at_hand(i) for i in (3, 4, 9)] == [True, False, False]
    for i in (0, 9, 5, 1, 8, 4, 0):
        assert np.array_equal(frames[i], pictures[i])
    asked = [request.query["index"] for request in standin.log[start:]]
    assert asked == ["0", "2", "1"]
    frames.close()


def test_what_a_function_is_sent_is_the_file_itself(anywhere: Bench, pictures: Pictures) -> None:
    (job,) = anywhere.task(pictures[:3], suffix="jpg")
    frames = JobFrames(anywhere.server, open_job(anywhere.server, job))
    assert frames.encoded(2) == anywhere.server.frame(job, 2)
    frames.close()


def test_a_picture_that_exif_turns_is_annotated_as_shown(anywhere: Bench, pictures: Pictures, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    files = [tmp_path / f"turned-{number}.jpg" for number in range(3)]
    for path, picture in zip(files, pictures, strict=False):
        Image.fromarray(picture).save(path, quality=95, exif=exif)
    (job,) = anywhere.file_task(files)
    clip = open_job(anywhere.server, job)
    height, width = pictures.shape[1:3]
    assert (clip.height, clip.width) == (width, height)
    frames = JobFrames(anywhere.server, clip)
    shown = np.array(ImageOps.exif_transpose(Image.open(files[1])))
    assert np.abs(frames[1].astype(int) - shown).mean() < 2
    frames.close()
    anywhere.scribble(job, 0, (20, 80, 20, 90), tag=1, label="car")
    anywhere.sync(job)
    mask = decode_rle(anywhere.masks(job)[0, 1], height=width, width=height)
    assert mask[80:91, 20].all()


def test_a_video_with_start_and_step_is_numbered_from_0(anywhere: Bench, film: Path) -> None:
    jobs = anywhere.video_task(film, segment=6, overlap=2, start_frame=2, stop_frame=20, frame_step=2)
    clip = open_job(anywhere.server, jobs[1])
    assert list(clip.frames) == [4, 5, 6, 7, 8, 9]
    frames = JobFrames(anywhere.server, clip)
    for i in (0, 5, 2):
        shown = decode_image(anywhere.server.frame(jobs[1], clip.to_task(i)), max_pixels=2**20)
        # the server may have another version of the decoder; a neighbouring frame differs by more than 100
        assert np.abs(frames[i].astype(int) - shown).max() <= 4
        assert np.array_equal(decode_image(frames.encoded(i), max_pixels=2**20), frames[i])
    frames.close()


def test_a_video_job_is_segmented(anywhere: Bench, film: Path) -> None:
    first, second = anywhere.video_task(film, segment=14, overlap=4)
    anywhere.scribble(second, 12, (8, 20, 20, 20), tag=1, label="car")
    anywhere.sync(second)
    frames = {frame for frame, _ in anywhere.masks(second)}
    assert frames == set(range(10, 24))
    assert anywhere.shapes(first) == []


def test_jobs_of_a_task_come_in_the_order_of_its_frames(
    bench: Bench, each_version: StandIn, pictures: Pictures
) -> None:
    standin = each_version
    jobs = bench.task(pictures, segment=4, overlap=1)
    task = standin.world.jobs[jobs[0]].task
    standin.world.add_job(task, 0, 9, kind="ground_truth", included=[1, 2])
    standin.world.add_job(task, 0, 3, kind=standin.world.replica, parent=jobs[0])
    left_out: list[str] = []
    assert [job["id"] for job in jobs_of_task(bench.server, task.id, left_out)] == jobs
    assert [name.split()[0] for name in left_out] == ["job", "job"]
    assert left_out[1].endswith(f"({standin.world.replica.replace('_', ' ')})")


def test_a_task_without_jobs_is_named(bench: Bench, standin: StandIn) -> None:
    with pytest.raises(InputError, match="task 99: not found"):
        jobs_of_task(bench.server, 99)
    empty = standin.world.add_task({"name": "empty"})
    with pytest.raises(InputError, match=f"task {empty.id}: has no annotation jobs"):
        jobs_of_task(bench.server, empty.id)


def test_a_chunk_with_too_few_frames_is_noticed(bench: Bench, standin: StandIn, pictures: Pictures) -> None:
    (job,) = bench.task(pictures)
    clip = open_job(bench.server, job)
    standin.world.jobs[job].stop = 7
    frames = JobFrames(bench.server, clip)
    with pytest.raises(SiafError, match="chunk 0 of job 1 has 8 frames instead of 10"):
        frames[0]
    frames.close()


def test_a_deleted_frame_of_another_size_counts_for_nothing(anywhere: Bench, pictures: Pictures) -> None:
    """The frame before it stands for it, so that the clip's numbering stays and what is behind it is found."""
    small = pictures[0][:40, :60]
    (job,) = anywhere.task_of([small, *pictures[1:3], small, *pictures[4:6]])
    with pytest.raises(InputError, match=r"frame 0 is 60×40 pixels, most are 96×72: .*; delete this one, or put"):
        open_job(anywhere.server, job)
    anywhere.client.jobs.retrieve(job).remove_frames_by_ids([0, 3])
    clip = open_job(anywhere.server, job)
    assert (clip.width, clip.height, clip.other_size) == (96, 72, frozenset({0, 3}))
    frames = JobFrames(anywhere.server, clip)
    assert [frames.to_task(i) for i in range(6)] == [1, 1, 2, 2, 4, 5]
    assert all(np.array_equal(frames[i], pictures[j]) for i, j in enumerate((1, 1, 2, 2, 4, 5)))
    frames.close()
    anywhere.scribble(job, 1, (8, 20, 20, 20), tag=1, label="car")
    anywhere.sync(job)
    assert {frame for frame, _ in anywhere.masks(job)} == {1, 2, 4, 5}


def test_most_frames_may_be_deleted_ones(bench: Bench, pictures: Pictures) -> None:
    (job,) = bench.task_of([pictures[0], *(picture[:40, :60] for picture in pictures[1:4])])
    bench.client.jobs.retrieve(job).remove_frames_by_ids([1, 2, 3])
    clip = open_job(bench.server, job)
    assert (clip.width, clip.height) == (96, 72)
    bench.client.jobs.retrieve(job).remove_frames_by_ids([0, 1, 2, 3])
    with pytest.raises(InputError, match=f"job {job}: all its frames are deleted"):
        open_job(bench.server, job)


def test_a_video_whose_first_frame_is_deleted_keeps_its_size(bench: Bench, film: Path) -> None:
    (job,) = bench.video_task(film)
    bench.client.jobs.retrieve(job).remove_frames_by_ids([0])
    clip = open_job(bench.server, job)
    assert (clip.width, clip.height, clip.other_size) == (96, 72, frozenset())


def test_jobs_for_quality_control_are_refused_by_name(bench: Bench, standin: StandIn, pictures: Pictures) -> None:
    (job,) = bench.task(pictures[:4])
    standin.world.jobs[job].honeypots = [1, 3]
    with pytest.raises(InputError, match=rf"job {job}: has honeypots \(frames 1, 3\): .* are not a clip"):
        bench.sync(job)
    truth = standin.world.add_job(standin.world.jobs[job].task, 0, 3, kind="ground_truth", included=[1, 2])
    with pytest.raises(InputError, match=f"job {truth.id}: is a ground-truth job"):
        bench.sync(truth.id)
