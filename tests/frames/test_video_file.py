"""Video files: every frame by number, whatever the file is like and in whatever order they are read."""

import struct
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.reformatter import Interpolation
from clip_files import Frames, count_decoded, noise, pictures, write_video

from siaf.errors import InputError
from siaf.frames.source import frame_digest, open_video
from siaf.frames.video_file import READ_AHEAD, VideoFile

EXACT = Interpolation.POINT | Interpolation.ACCURATE_RND | Interpolation.BITEXACT

WITHOUT_SIMD = """
import ctypes, pathlib, sys
import av
from siaf.frames.source import frame_digest, open_video
[library] = (pathlib.Path(av.__file__).parent.parent / "av.libs").glob("libavutil*")
ctypes.CDLL(str(library)).av_force_cpu_flags(0)
for frame in open_video(sys.argv[1]):
    print(frame_digest(frame))
"""


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
def test_any_order_gives_the_frames_of_one_pass(tmp_path: Path, name: str, codec: str, options: dict[str, str]) -> None:
    path = write_video(tmp_path / name, pictures(30), codec=codec, **options)
    frames = decode_all(path)
    assert len(frames) == 30
    assert_every_walk_gives(open_video(path), path, frames)


def test_size_and_rate(tmp_path: Path) -> None:
    video = open_video(write_video(tmp_path / "a.mp4", pictures(10)))
    assert (video.height, video.width, video.fps) == (48, 64, 25.0)


def test_variable_frame_rate(tmp_path: Path) -> None:
    times = np.cumsum([1, 3, 1, 1, 7] * 6).tolist()
    path = write_video(tmp_path / "vfr.mkv", pictures(30), times=times)
    assert_every_walk_gives(open_video(path), path, decode_all(path))


def test_a_stream_cut_before_its_first_keyframe_counts_what_decodes(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "whole.ts", pictures(30))
    cut = tmp_path / "cut.ts"
    drop_packets(whole, cut, {0, 1, 2})
    frames = decode_all(cut)
    assert 0 < len(frames) < 27
    assert_every_walk_gives(open_video(cut), cut, frames)


def test_a_frame_lost_in_the_middle_shows_the_one_before(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "whole.mkv", pictures(40), bf="0")
    damaged = tmp_path / "damaged.mkv"
    drop_packets(whole, damaged, {19}, replace=b"\0\0\0\1\x09")
    video, frames = open_video(damaged), decode_all(whole)
    assert len(video) == 40
    assert np.array_equal(video[19], frames[18])
    assert np.array_equal(video[33], frames[33])
    assert np.array_equal(video[18], frames[18])


def test_a_truncated_file_gives_its_beginning(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv", [noise(n) for n in range(30)])
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    video = open_video(path)
    assert 5 < len(video) < 30
    assert np.array_equal(video[3], decode_all(path)[3])


@pytest.mark.parametrize(("matrix", "turn"), [((0, 1, -1, 0), -1), ((0, -1, 1, 0), 1), ((-1, 0, 0, -1), 2)])
def test_rotation_metadata_turns_the_picture(tmp_path: Path, matrix: tuple[int, int, int, int], turn: int) -> None:
    path = write_video(tmp_path / "a.mp4", pictures(3))
    upright = decode_all(path)
    set_mp4_matrix(path, matrix)
    video = open_video(path)
    assert np.array_equal(video[1], np.rot90(upright[1], turn))
    assert (video.height, video.width) == video[1].shape[:2]


def test_parts_joined_as_they_are_are_numbered_in_the_order_they_decode(tmp_path: Path) -> None:
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
def test_pixels_do_not_depend_on_the_processor(tmp_path: Path, name: str, codec: str) -> None:
    path = write_video(tmp_path / name, [noise(n) for n in range(3)], codec=codec)
    plain = subprocess.run([sys.executable, "-c", WITHOUT_SIMD, str(path)], capture_output=True, text=True)
    assert plain.stdout.split() == [frame_digest(frame) for frame in open_video(path)], plain.stderr


def test_a_digest_that_was_taken_without_exact_rounding_is_still_its_frames(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", [noise(n) for n in range(3)])
    with av.open(str(path)) as container:
        former = [frame_digest(f.to_ndarray(format="rgb24")) for f in container.decode(video=0)]
    video = open_video(path)
    assert frame_digest(video[1]) != former[1]
    assert [video.shows(1, digest) for digest in (*former, frame_digest(video[1]))] == [False, True, False, True]


@pytest.mark.parametrize("name", ["2024-05-01T10:20:30.mp4", "file:a.mp4", "a%03d.mp4", "b\udcff.mp4", "-.mp4"])
def test_any_file_name_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
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
def test_addresses_and_cameras_are_refused(address: str, message: str) -> None:
    with pytest.raises(InputError, match=f"^video: .*{message}"):
        open_video(address)


def test_deep_values_are_scaled_by_the_clips_range(tmp_path: Path) -> None:
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


def test_a_walk_back_decodes_a_group_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "a.mp4", pictures(100), gop=50)
    video = VideoFile(path)
    decoded = count_decoded(monkeypatch)
    for n in reversed(range(100)):
        video[n]
    assert len(decoded) < 120


def test_memory_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("siaf.frames.video_file.CACHE_BYTES", 1)
    path = write_video(tmp_path / "a.mp4", pictures(100), gop=50)
    video = VideoFile(path)
    frames = decode_all(path)
    for n in [*range(100), *reversed(range(100))]:
        assert np.array_equal(video[n], frames[n])
        assert len(video._cache) <= READ_AHEAD


def test_opening_decodes_no_more_than_two_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "a.mp4", pictures(160), gop=8)
    decoded = count_decoded(monkeypatch)
    assert len(VideoFile(path)) == 160
    assert len(decoded) < 80


@pytest.mark.parametrize(("name", "content"), [("a.mp4", b"no video"), ("a.txt", b"text\n" * 99), ("a", b"")])
def test_what_is_no_video_is_refused_and_named(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=f"not a video: .*{name}"):
        open_video(tmp_path / name)


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
    with pytest.raises(InputError, match="not a video"):
        open_video(tmp_path / "a.wav")


def test_a_video_without_frames_is_refused(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "whole.ts", pictures(6))
    drop_packets(whole, tmp_path / "empty.ts", {0})
    with pytest.raises(InputError, match=r"no frame that can be decoded|not a video"):
        open_video(tmp_path / "empty.ts")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no such file: .*gone\.mp4"):
        open_video(tmp_path / "gone.mp4")
