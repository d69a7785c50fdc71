"""Pictures as clips: folders of them, and files that hold several."""

from pathlib import Path

import numpy as np
import pytest
from clip_files import noise, pictures
from PIL import Image

from siaf.errors import InputError
from siaf.frames.images import decode_image
from siaf.frames.source import frame_digest, open_video


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
