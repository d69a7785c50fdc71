"""Frame sources: what a caller's arrays and paths become, a frame's digest, and several readers of one clip."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from clip_files import Frames, count_decoded, noise, pictures, write_video
from PIL import Image

from siaf.errors import InputError
from siaf.frames.source import ArrayFrames, FrameSource, as_frames, frame_digest, open_video
from siaf.frames.stills import ImageFiles


class TestArrays:
    @pytest.mark.parametrize("form", [list, tuple, np.stack])
    def test_lists_and_arrays_of_frames(self, form: Callable[[Frames], Sequence[np.ndarray]]) -> None:
        frames = pictures(5)
        source = as_frames(form(frames))
        assert (len(source), source.height, source.width) == (5, 48, 64)
        assert np.array_equal(source[-1], frames[4])
        assert [frame[0, 0, 0] for frame in source[1:3]] == [frames[1][0, 0, 0], frames[2][0, 0, 0]]
        with pytest.raises(IndexError):
            source[5]

    def test_changing_a_frame_changes_only_it(self) -> None:
        source = as_frames(pictures(2))
        source[0][:] = 0
        assert source[0].min() > 0

    def test_sources_and_paths_pass(self, tmp_path: Path) -> None:
        source = ArrayFrames(pictures(2))
        assert as_frames(source) is source
        Image.fromarray(pictures(1)[0]).save(tmp_path / "a.png")
        assert isinstance(as_frames(str(tmp_path)), ImageFiles)

    def test_a_lazy_sequence_is_read_when_asked(self) -> None:
        read: list[int] = []

        class Frames_(Sequence):  # type: ignore[type-arg]
            def __len__(self) -> int:
                return 1000

            def __getitem__(self, index: int) -> np.ndarray:  # type: ignore[override]
                read.append(index)
                return np.zeros((4 if index < 7 else 5, 6, 3), np.uint8)

        source = as_frames(Frames_())
        source[3]
        assert set(read) == {0, 3}
        with pytest.raises(InputError, match=r"frames\[7\] is 6×5"):
            source[7]

    @pytest.mark.parametrize(
        ("field", "frames"),
        [
            ("frames", []),
            ("frames[0]", [np.zeros((4, 6), np.uint8)]),
            ("frames[0]", [np.zeros((4, 6, 4), np.uint8)]),
            ("frames[0]", [np.zeros((0, 6, 3), np.uint8)]),
            ("frames[1]", [np.zeros((4, 6, 3), np.uint8), np.zeros((4, 6, 3), np.float32)]),
            ("frames[2]", [np.zeros((4, 6 + (n == 2), 3), np.uint8) for n in range(3)]),
        ],
    )
    def test_what_is_no_frame_is_refused_and_named(self, field: str, frames: Frames) -> None:
        with pytest.raises(InputError) as caught:
            as_frames(frames)
        assert caught.value.field == field


class TestFrameDigest:
    def test_depends_on_pixels_and_shape_alone(self) -> None:
        frame = noise(1)
        assert frame_digest(frame) == frame_digest(np.asfortranarray(frame.copy()))
        assert len(frame_digest(frame)) == 32
        changed = frame.copy()
        changed[-1, -1, 2] ^= 1
        others = [changed, frame.reshape(frame.shape[1], frame.shape[0], 3)]
        assert len({frame_digest(f) for f in [frame, *others]}) == 3

    def test_is_the_same_for_the_same_picture_from_another_file(self, tmp_path: Path) -> None:
        for name in ("a.png", "b.bmp"):
            Image.fromarray(noise(2)).save(tmp_path / name)
        first, second = open_video(tmp_path)
        assert frame_digest(first) == frame_digest(second) == frame_digest(noise(2))


def _video(folder: Path) -> Path:
    write_video(folder / "clip.mp4", pictures(40))
    return folder / "clip.mp4"


def _pages(folder: Path) -> Path:
    first, *others = [Image.fromarray(picture) for picture in pictures(6)]
    first.save(folder / "pages.tif", save_all=True, append_images=others)
    return folder / "pages.tif"


@pytest.mark.parametrize("make", [_video, _pages], ids=["video", "pages"])
def test_two_threads_read_one_clip_from_sources_of_their_own(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    source = open_video(make(tmp_path))
    expected = source[:]
    other = source.another()
    assert (len(other), other.fps, other.height, other.width) == (len(source), source.fps, source.height, source.width)
    order = list(range(len(source)))

    def read(frames: FrameSource, numbers: list[int]) -> bool:
        return all(np.array_equal(frames[n], expected[n]) for n in numbers * 3)

    with ThreadPoolExecutor(2) as pool:
        found = [pool.submit(read, source, order[::-1]), pool.submit(read, other, order)]
        assert [each.result(60) for each in found] == [True, True]


def test_another_source_of_a_video_reads_nothing_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    video = open_video(_video(tmp_path))
    decoded = count_decoded(monkeypatch)
    other = video.another()
    assert decoded == []
    assert np.array_equal(other[3], video[3])
