"""Frame sources: every frame of files, folders and arrays by number, whatever the file is like."""

import struct
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.reformatter import Interpolation
from PIL import Image

from siaf.errors import InputError
from siaf.frames.images import decode_image
from siaf.frames.source import ArrayFrames, FrameSource, as_frames, frame_digest, open_video
from siaf.frames.stills import ImageFiles
from siaf.frames.video_file import READ_AHEAD, VideoFile

Frames = list[np.ndarray]

EXACT = Interpolation.POINT | Interpolation.ACCURATE_RND | Interpolation.BITEXACT


def pictures(count: int, height: int = 48, width: int = 64) -> Frames:
    """Frames whose grey level tells their number, with a corner that tells up from down."""
    frames = []
    for n in range(count):
        frame = np.full((height, width, 3), 8 * n % 200 + 20, np.uint8)
        frame[: height // 2, : width // 2] += 30
        frames.append(frame)
    return frames


def write_video(
    path: Path,
    frames: Sequence[np.ndarray],
    *,
    codec: str = "libx264",
    gop: int = 8,
    times: Sequence[int] | None = None,
    **options: str,
) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height = frames[0].shape[1], frames[0].shape[0]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.gop_size = gop
        stream.codec_context.time_base = stream.time_base = Fraction(1, 25)
        for n, array in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(array, format="rgb24")
            frame.pts = times[n] if times else n
            frame.time_base = Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def decode_all(path: Path) -> Frames:
    """What one pass over the file gives: the numbering that everything else has to agree with."""
    with av.open(str(path)) as container:
        return [frame.reformat(format="rgb24", interpolation=EXACT).to_ndarray() for frame in container.decode(video=0)]


def assert_every_walk_gives(video: VideoFile, path: Path, frames: Frames) -> None:
    orders = {
        "forward": list(range(len(frames))),
        "backward": list(reversed(range(len(frames)))),
        "random": np.random.default_rng(0).permutation(len(frames)).tolist(),
        "two walks at once": [n for pair in zip(range(9), range(20, 29), strict=True) for n in pair if n < len(frames)],
    }
    assert len(video) == len(frames)
    for name, order in orders.items():
        again = open_video(path)
        for n in order:
            assert np.array_equal(again[n], frames[n]), f"{name}: frame {n}"


class TestVideoFile:
    @pytest.mark.parametrize(
        ("name", "codec", "options"),
        [
            ("closed.mp4", "libx264", {}),
            (
                "open_gop.mp4",
                "libx264",
                {"x264-params": "open-gop=1:bframes=3:keyint=8:min-keyint=8:scenecut=0"},
            ),
            ("no_bframes.mkv", "libx264", {"bf": "0"}),
            ("stream.ts", "libx264", {}),
            ("old.avi", "mpeg4", {}),
            ("hevc.mp4", "libx265", {"x265-params": "log-level=none"}),
            ("vp8.webm", "libvpx", {"auto-alt-ref": "1", "lag-in-frames": "8", "deadline": "realtime"}),
            ("vp9.webm", "libvpx-vp9", {"deadline": "realtime"}),
            ("untimed.h264", "libx264", {}),
        ],
    )
    def test_any_order_gives_the_frames_of_one_pass(
        self, tmp_path: Path, name: str, codec: str, options: dict[str, str]
    ) -> None:
        path = write_video(tmp_path / name, pictures(30), codec=codec, **options)
        frames = decode_all(path)
        assert len(frames) == 30
        assert_every_walk_gives(open_video(path), path, frames)

    def test_size_and_rate(self, tmp_path: Path) -> None:
        video = open_video(write_video(tmp_path / "a.mp4", pictures(10)))
        assert (video.height, video.width, video.fps) == (48, 64, 25.0)

    def test_variable_frame_rate(self, tmp_path: Path) -> None:
        times = np.cumsum([1, 3, 1, 1, 7] * 6).tolist()
        path = write_video(tmp_path / "vfr.mkv", pictures(30), times=times)
        assert_every_walk_gives(open_video(path), path, decode_all(path))

    def test_a_stream_cut_before_its_first_keyframe_counts_what_decodes(self, tmp_path: Path) -> None:
        whole = write_video(tmp_path / "whole.ts", pictures(30))
        cut = tmp_path / "cut.ts"
        drop_packets(whole, cut, {0, 1, 2})
        frames = decode_all(cut)
        assert 0 < len(frames) < 27
        assert_every_walk_gives(open_video(cut), cut, frames)

    def test_a_frame_lost_in_the_middle_shows_the_one_before(self, tmp_path: Path) -> None:
        whole = write_video(tmp_path / "whole.mkv", pictures(40), bf="0")
        damaged = tmp_path / "damaged.mkv"
        drop_packets(whole, damaged, {19}, replace=b"\0\0\0\1\x09")
        video, frames = open_video(damaged), decode_all(whole)
        assert len(video) == 40
        assert np.array_equal(video[19], frames[18])
        assert np.array_equal(video[33], frames[33])
        assert np.array_equal(video[18], frames[18])

    def test_a_truncated_file_gives_its_beginning(self, tmp_path: Path) -> None:
        path = write_video(tmp_path / "a.mkv", [noise(n) for n in range(30)])
        path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
        video = open_video(path)
        assert 5 < len(video) < 30
        assert np.array_equal(video[3], decode_all(path)[3])

    @pytest.mark.parametrize(("matrix", "turn"), [((0, 1, -1, 0), -1), ((0, -1, 1, 0), 1), ((-1, 0, 0, -1), 2)])
    def test_rotation_metadata_turns_the_picture(
        self, tmp_path: Path, matrix: tuple[int, int, int, int], turn: int
    ) -> None:
        path = write_video(tmp_path / "a.mp4", pictures(3))
        upright = decode_all(path)
        set_mp4_matrix(path, matrix)
        video = open_video(path)
        assert np.array_equal(video[1], np.rot90(upright[1], turn))
        assert (video.height, video.width) == video[1].shape[:2]

    def test_parts_joined_as_they_are_are_numbered_in_the_order_they_decode(self, tmp_path: Path) -> None:
        """The second part's timestamps lie before the first's, interleave with them, or are the same."""
        later = write_video(tmp_path / "later.ts", pictures(20), times=list(range(50, 70)))
        for name, times in (("before", range(20)), ("between", range(41, 81, 2)), ("same", range(50, 70))):
            second = write_video(tmp_path / f"{name}.ts", pictures(40)[20:], times=list(times))
            joined = tmp_path / f"joined-{name}.ts"
            joined.write_bytes(later.read_bytes() + second.read_bytes())
            frames = decode_all(later) + decode_all(second)
            assert np.array_equal(decode_all(joined), frames)
            assert_every_walk_gives(open_video(joined), joined, frames)

    @pytest.mark.parametrize(("name", "codec"), [("a.mp4", "libx264"), ("a.avi", "mpeg4"), ("a.webm", "libvpx-vp9")])
    def test_pixels_do_not_depend_on_the_processor(self, tmp_path: Path, name: str, codec: str) -> None:
        path = write_video(tmp_path / name, [noise(n) for n in range(3)], codec=codec)
        plain = subprocess.run([sys.executable, "-c", WITHOUT_SIMD, str(path)], capture_output=True, text=True)
        assert plain.stdout.split() == [frame_digest(frame) for frame in open_video(path)], plain.stderr

    def test_a_digest_that_was_taken_without_exact_rounding_is_still_its_frames(self, tmp_path: Path) -> None:
        path = write_video(tmp_path / "a.mp4", [noise(n) for n in range(3)])
        with av.open(str(path)) as container:
            former = [frame_digest(f.to_ndarray(format="rgb24")) for f in container.decode(video=0)]
        video = open_video(path)
        assert frame_digest(video[1]) != former[1]
        assert [video.shows(1, digest) for digest in (*former, frame_digest(video[1]))] == [False, True, False, True]

    @pytest.mark.parametrize("name", ["2024-05-01T10:20:30.mp4", "file:a.mp4", "a%03d.mp4", "b\udcff.mp4", "-.mp4"])
    def test_any_file_name_is_read(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        write_video(tmp_path / "plain.mp4", pictures(3)).rename(tmp_path / name)
        monkeypatch.chdir(tmp_path)
        assert len(open_video(name)) == 3
        assert len(open_video(tmp_path / name)) == 3

    @pytest.mark.parametrize(
        ("address", "message"),
        [
            ("https://example.com/a.mp4", "is an address; .*download it first"),
            (Path("https://example.com/a.mp4"), "is an address; .*download it first"),
            ("rtsp://camera/1", "is an address"),
            ("file:///tmp/a.mp4", "a plain path"),
            (0, "must be the path of a file or folder, not int"),
        ],
    )
    def test_addresses_and_cameras_are_refused(self, address: str, message: str) -> None:
        with pytest.raises(InputError, match=f"^video: .*{message}"):
            open_video(address)

    def test_deep_values_are_scaled_by_the_clips_range(self, tmp_path: Path) -> None:
        """As thermal cameras and X-ray record."""
        ramp = np.linspace(2000, 4000, 48 * 64).reshape(48, 64)
        frames = [(ramp + 100 * n).astype(np.uint16) for n in range(11)]
        path = tmp_path / "a.mkv"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("ffv1", rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "gray16le"
            for n, values in enumerate(frames):
                frame = av.VideoFrame.from_ndarray(values, format="gray16le")
                frame.pts, frame.time_base = n, Fraction(1, 25)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        video = open_video(path)
        assert [abs(int(video[n][0, 0, 0]) - 255 * 100 * n / 3000) <= 1 for n in (5, 0, 10)] == [True] * 3
        assert video[10].max() == 255
        assert "more than 8 bits" in video.notes[0]

    def test_a_walk_back_decodes_a_group_once(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = write_video(tmp_path / "a.mp4", pictures(100), gop=50)
        video = VideoFile(path)
        decoded = count_decoded(monkeypatch)
        for n in reversed(range(100)):
            video[n]
        assert len(decoded) < 120

    def test_memory_is_bounded(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("siaf.frames.video_file.CACHE_BYTES", 1)
        path = write_video(tmp_path / "a.mp4", pictures(100), gop=50)
        video = VideoFile(path)
        frames = decode_all(path)
        for n in [*range(100), *reversed(range(100))]:
            assert np.array_equal(video[n], frames[n])
            assert len(video._cache) <= READ_AHEAD

    def test_opening_decodes_no_more_than_two_groups(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = write_video(tmp_path / "a.mp4", pictures(160), gop=8)
        decoded = count_decoded(monkeypatch)
        assert len(VideoFile(path)) == 160
        assert len(decoded) < 80

    @pytest.mark.parametrize(("name", "content"), [("a.mp4", b"no video"), ("a.txt", b"text\n" * 99), ("a", b"")])
    def test_what_is_no_video_is_refused_and_named(self, tmp_path: Path, name: str, content: bytes) -> None:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=f"not a video: .*{name}"):
            open_video(tmp_path / name)

    def test_sound_alone_is_no_video(self, tmp_path: Path) -> None:
        with av.open(str(tmp_path / "a.wav"), "w") as container:
            stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
            frame.sample_rate = 8000
            container.mux(stream.encode(frame))
        with pytest.raises(InputError, match="not a video"):
            open_video(tmp_path / "a.wav")

    def test_a_video_without_frames_is_refused(self, tmp_path: Path) -> None:
        whole = write_video(tmp_path / "whole.ts", pictures(6))
        drop_packets(whole, tmp_path / "empty.ts", {0})
        with pytest.raises(InputError, match=r"no frame that can be decoded|not a video"):
            open_video(tmp_path / "empty.ts")

    def test_a_missing_file_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"no such file: .*gone\.mp4"):
            open_video(tmp_path / "gone.mp4")


class TestImageFolder:
    def test_order_is_natural_and_what_is_left_out_is_said(self, tmp_path: Path) -> None:
        for n in (10, 2, 1, 30):
            Image.fromarray(np.full((4, 6, 3), n, np.uint8)).save(tmp_path / f"{n}.png")
        (tmp_path / "notes.txt").write_text("x")
        (tmp_path / ".hidden.png").write_text("x")
        (tmp_path / "5.png").mkdir()
        video = open_video(tmp_path)
        assert [int(frame[0, 0, 0]) for frame in video] == [1, 2, 10, 30]
        assert (video.height, video.width) == (4, 6)
        assert video.names == ["1.png", "2.png", "10.png", "30.png"]
        assert video.notes[0].endswith("as no pictures: notes.txt, 5.png/")
        assert video.notes[1].startswith("frame 1 is 2.png here and 10.png in a CVAT task")

    def test_where_the_orders_agree_nothing_is_said(self, tmp_path: Path) -> None:
        for n in range(11):
            Image.fromarray(np.full((4, 6, 3), n, np.uint8)).save(tmp_path / f"{n:02d}.png")
        assert open_video(tmp_path).notes == []

    def test_a_picture_beside_its_mask_is_refused(self, tmp_path: Path) -> None:
        for name in ("0.jpg", "0.png"):
            Image.fromarray(pictures(1)[0]).save(tmp_path / name)
        with pytest.raises(InputError, match=r"holds 0\.jpg and 0\.png; .*folder of their own"):
            open_video(tmp_path)

    def test_a_folder_of_other_files_names_them(self, tmp_path: Path) -> None:
        for n in range(8):
            (tmp_path / f"{n}.heic").write_text("x")
        with pytest.raises(InputError, match=r"no images in .*, only 0\.heic, .* and 3 more"):
            open_video(tmp_path)

    def test_a_clip_of_deep_pictures_shares_one_range(self, tmp_path: Path) -> None:
        for n in range(11):
            values = np.linspace(2000, 4000, 48 * 64).reshape(48, 64) + 100 * n
            Image.fromarray(values.astype(np.uint16)).save(tmp_path / f"{n:02d}.png")
        video = open_video(tmp_path)
        assert [abs(int(video[n][0, 0, 0]) - 255 * 100 * n / 3000) <= 1 for n in (5, 0, 10)] == [True] * 3
        assert video.notes == ["more than 8 bits a pixel: 2001 is shown as black, 4998 as white"]

    @pytest.mark.parametrize("deep", [np.int32, np.uint16, np.float32])
    def test_one_decoder_reads_files_and_uploads(self, tmp_path: Path, deep: type) -> None:
        values = np.random.default_rng(0).uniform(0, 5000, (48, 64)).astype(deep)
        Image.fromarray(values).save(tmp_path / "a.tif")
        upload = decode_image((tmp_path / "a.tif").read_bytes(), max_pixels=10_000)
        assert frame_digest(open_video(tmp_path / "a.tif")[0]) == frame_digest(upload)

    @pytest.mark.parametrize("suffix", ["jpg", "JPEG", "jfif", "png", "webp", "bmp", "tiff", "avif", "jp2", "ppm"])
    def test_formats(self, tmp_path: Path, suffix: str) -> None:
        Image.fromarray(pictures(1)[0]).save(tmp_path / f"a.{suffix}")
        assert open_video(tmp_path)[0].shape == (48, 64, 3)

    @pytest.mark.parametrize("mode", ["L", "P", "RGBA", "LA", "1", "CMYK", "I;16"])
    def test_every_kind_of_picture_becomes_rgb(self, tmp_path: Path, mode: str) -> None:
        grey = Image.fromarray(np.full((4, 6), 255, np.uint8))
        image = Image.fromarray(np.full((4, 6), 65535, np.uint16)) if mode == "I;16" else grey.convert(mode)
        image.save(tmp_path / ("a.tiff" if mode == "CMYK" else "a.png"))
        frame = open_video(tmp_path)[0]
        assert frame.dtype == np.uint8
        assert frame.shape == (4, 6, 3)
        assert frame.min() >= 254

    @pytest.mark.parametrize(("orientation", "turn"), [(1, 0), (3, 2), (6, -1), (8, 1)])
    def test_exif_orientation_is_applied(self, tmp_path: Path, orientation: int, turn: int) -> None:
        upright = pictures(1)[0]
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.fromarray(np.rot90(upright, -turn)).save(tmp_path / "a.png", exif=exif)
        video = open_video(tmp_path)
        assert (video.height, video.width) == (48, 64)
        assert np.array_equal(video[0], upright)

    def test_a_frame_of_another_size_is_named(self, tmp_path: Path) -> None:
        for n, height in enumerate((4, 4, 5)):
            Image.fromarray(np.zeros((height, 6, 3), np.uint8)).save(tmp_path / f"{n}.png")
        with pytest.raises(InputError, match=r"2\.png is 6×5 pixels, the first frame 6×4"):
            open_video(tmp_path)

    @pytest.mark.parametrize("keep", [0, 20, 0.5])
    def test_an_unreadable_image_is_named(self, tmp_path: Path, keep: float) -> None:
        for name in ("0.png", "1.png"):
            Image.fromarray(noise(0)).save(tmp_path / name)
        content = (tmp_path / "1.png").read_bytes()
        (tmp_path / "1.png").write_bytes(content[: int(keep if keep >= 1 else keep * len(content))])
        with pytest.raises(InputError, match=r"cannot read the image .*1\.png"):
            open_video(tmp_path)[1]

    def test_a_folder_without_images_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="no images"):
            open_video(tmp_path)

    def test_a_single_image_is_one_frame(self, tmp_path: Path) -> None:
        Image.fromarray(pictures(1)[0]).save(tmp_path / "a%03d.png")
        assert len(open_video(tmp_path / "a%03d.png")) == 1


class TestPages:
    @pytest.mark.parametrize(("name", "fps"), [("a.tif", 25), ("a.webp", 10), ("a.png", 10), ("a.avif", 10)])
    def test_all_pictures_of_a_file_are_frames(self, tmp_path: Path, name: str, fps: float) -> None:
        first, *rest = [Image.fromarray(frame) for frame in pictures(12)]
        more = {"quality": 100} if name == "a.avif" else {"lossless": True}
        first.save(tmp_path / name, save_all=True, append_images=rest, duration=100, **more)
        for order in (range(12), reversed(range(12)), (7, 3, 11, 0)):
            video = open_video(tmp_path / name)
            assert (len(video), video.fps) == (12, fps)
            for n in order:
                assert np.abs(video[n].astype(int) - pictures(12)[n]).max() <= (3 if name == "a.avif" else 0)

    def test_a_walk_back_is_right_when_little_is_kept(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("siaf.frames.stills.CACHE_BYTES", 1)
        first, *rest = [Image.fromarray(frame) for frame in pictures(9)]
        first.save(tmp_path / "a.webp", save_all=True, append_images=rest, lossless=True)
        video = open_video(tmp_path / "a.webp")
        for n in (8, 3, 2, 5):
            assert np.array_equal(video[n], pictures(9)[n])
            assert len(video._kept) == 1

    def test_deep_pages_share_one_range(self, tmp_path: Path) -> None:
        ramp = np.linspace(0, 1, 48 * 64, dtype=np.float32).reshape(48, 64)
        first, *rest = [Image.fromarray(ramp + n) for n in range(4)]
        first.save(tmp_path / "a.tif", save_all=True, append_images=rest)
        video = open_video(tmp_path / "a.tif")
        assert [abs(int(video[n][0, 0, 0]) - 255 * n / 4) <= 1 for n in range(4)] == [True] * 4

    def test_reduced_copies_are_no_frames(self, tmp_path: Path) -> None:
        page, small = Image.fromarray(pictures(1)[0]), Image.new("RGB", (8, 6))
        small.encoderinfo = {"tiffinfo": {254: 1}}
        page.save(tmp_path / "a.tif", save_all=True, append_images=[page.copy(), small])
        video = open_video(tmp_path / "a.tif")
        assert len(video) == 2
        assert "1 reduced copies" in video.notes[0]

    def test_a_page_of_another_size_is_named(self, tmp_path: Path) -> None:
        page = Image.fromarray(pictures(1)[0])
        page.save(tmp_path / "a.tif", save_all=True, append_images=[Image.new("RGB", (8, 6))])
        with pytest.raises(InputError, match=r"picture 1 of .*a\.tif is 8×6 pixels"):
            open_video(tmp_path / "a.tif")[1]

    def test_in_a_folder_the_first_is_a_frame_and_the_others_are_said(self, tmp_path: Path) -> None:
        first, *rest = [Image.fromarray(frame) for frame in pictures(3)]
        first.save(tmp_path / "0.tif", save_all=True, append_images=rest)
        first.save(tmp_path / "1.tif")
        video = open_video(tmp_path)
        assert len(video) == 2
        assert video.notes == ["0.tif holds 3 pictures, only the first is a frame"]


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


WITHOUT_SIMD = """
import ctypes, pathlib, sys
import av
from siaf.frames.source import frame_digest, open_video
[library] = (pathlib.Path(av.__file__).parent.parent / "av.libs").glob("libavutil*")
ctypes.CDLL(str(library)).av_force_cpu_flags(0)
for frame in open_video(sys.argv[1]):
    print(frame_digest(frame))
"""


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (48, 64, 3), dtype=np.uint8)


def drop_packets(source: Path, target: Path, numbers: set[int], *, replace: bytes | None = None) -> None:
    """Copy a file without some of its video packets, or with other bytes in their place."""
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for n, packet in enumerate(old.demux(video=0)):
            if packet.dts is None:
                continue
            if n in numbers:
                if replace is None:
                    continue
                other = av.Packet(replace)
                other.pts, other.dts, other.time_base = packet.pts, packet.dts, packet.time_base
                packet = other
            packet.stream = stream
            new.mux(packet)


def set_mp4_matrix(path: Path, matrix: tuple[int, int, int, int]) -> None:
    """Write a display matrix (a, b, c, d of ISO 14496-12, 8.3.2) into the track header."""
    content = bytearray(path.read_bytes())
    at = content.index(b"tkhd") + 4 + 4 + 20 + 16  # version and flags; times and durations; layer … reserved
    a, b, c, d = (value << 16 for value in matrix)
    content[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content)


def count_decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one with every frame that any VideoFile decodes from now on."""
    decoded: list[int] = []
    decode = VideoFile._decode

    def counting(self: VideoFile):  # type: ignore[no-untyped-def]
        for frame in decode(self):
            decoded.append(1)
            yield frame

    monkeypatch.setattr(VideoFile, "_decode", counting)
    return decoded


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
