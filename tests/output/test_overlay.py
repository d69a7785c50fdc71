"""Masks drawn on frames, and the overlay video."""

from pathlib import Path

import numpy as np
import pytest

from siaf.frames.source import open_video
from siaf.output.overlay import OverlayVideo, draw_masks
from siaf.output.palette import BRIGHT, PALETTE


class TestDrawMasks:
    def test_inside_is_tinted_the_border_is_bright_outside_is_untouched(self) -> None:
        frame = np.full((20, 20, 3), 100, np.uint8)
        mask = np.zeros((20, 20), np.uint8)
        mask[5:15, 5:15] = 2
        picture = draw_masks(frame, mask)
        assert (picture[mask == 0] == 100).all()
        assert picture[5, 10].tolist() == BRIGHT[2].tolist()
        assert np.abs(picture[10, 10].astype(int) - (50 + PALETTE[2].astype(int) // 2)).max() <= 1
        assert (frame == 100).all()

    def test_touching_objects_are_told_apart(self) -> None:
        mask = np.ones((9, 9), np.uint8)
        mask[:, 5:] = 4
        picture = draw_masks(np.zeros((9, 9, 3), np.uint8), mask)
        assert picture[4, 4].tolist() == BRIGHT[1].tolist()
        assert picture[4, 5].tolist() == BRIGHT[4].tolist()

    def test_a_frame_without_objects_is_itself(self) -> None:
        frame = np.random.default_rng(0).integers(0, 255, (8, 9, 3), dtype=np.uint8)
        assert np.array_equal(draw_masks(frame, np.zeros((8, 9), np.uint8)), frame)


class TestOverlayVideo:
    @pytest.mark.parametrize(("height", "width"), [(48, 64), (47, 64), (48, 63), (47, 63), (1, 1)])
    def test_any_size_can_be_written_odd_ones_get_one_more(self, tmp_path: Path, height: int, width: int) -> None:
        frame = np.full((height, width, 3), 120, np.uint8)
        with OverlayVideo(tmp_path / "a.mp4", height=height, width=width, fps=30000 / 1001) as video:
            for _ in range(5):
                video.add(frame, np.zeros((height, width), np.uint8))
        read = open_video(tmp_path / "a.mp4")
        assert (len(read), read.height, read.width) == (5, height + height % 2, width + width % 2)
        assert read.fps == pytest.approx(29.97, abs=0.01)
        assert np.abs(read[4].astype(int) - 120).max() < 8

    def test_what_is_too_wide_for_players_is_shrunk(self, tmp_path: Path) -> None:
        frame = np.full((20, 17000, 3), 120, np.uint8)
        with OverlayVideo(tmp_path / "a.mp4", height=20, width=17000, fps=25) as video:
            video.add(frame, np.ones((20, 17000), np.uint8))
        read = open_video(tmp_path / "a.mp4")
        assert (len(read), read.height, read.width) == (1, 6, 4096)

    def test_a_path_with_a_colon_is_a_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        with OverlayVideo(Path("12:30.mp4"), height=16, width=16, fps=25) as video:
            video.add(np.zeros((16, 16, 3), np.uint8), np.zeros((16, 16), np.uint8))
        assert len(open_video("12:30.mp4")) == 1

    def test_it_can_be_played_while_loading(self, tmp_path: Path) -> None:
        with OverlayVideo(tmp_path / "a.mp4", height=16, width=16, fps=25) as video:
            video.add(np.zeros((16, 16, 3), np.uint8), np.zeros((16, 16), np.uint8))
        content = (tmp_path / "a.mp4").read_bytes()
        assert content.index(b"moov") < content.index(b"mdat")
