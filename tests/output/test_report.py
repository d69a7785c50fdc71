"""report.html: one readable file that asks nothing of the network and shows everything that happened."""

import re
from base64 import b64decode
from collections.abc import Callable
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from siaf.output import Results, write_results
from siaf.output.pictures import LONGEST_SIDE, thumbnail
from siaf.output.timeline import timeline
from siaf.scribbles import Scribble

Make = Callable[..., Results]


class Page(HTMLParser):
    """Text, attributes and tag balance of a page."""

    VOID = frozenset({"meta", "img", "!doctype"})
    OPTIONAL = frozenset({"tr", "th", "td"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text, self.attributes, self.open = "", [], []  # type: ignore[var-annotated]
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, key, value) for key, value in attrs]
        if tag not in self.VOID | self.OPTIONAL:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, key, value) for key, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.OPTIONAL:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "title"):
            self.text += data


@pytest.fixture
def page(tmp_path: Path) -> Callable[[Results], Page]:
    def make(results: Results) -> Page:
        list(write_results(tmp_path, results))
        return Page((tmp_path / "report.html").read_text(encoding="utf-8"))

    return make


def pictures(page: Page) -> dict[str, Image.Image]:
    """alt text → picture, in order of the page; a frame may come twice."""
    images = [v for tag, key, v in page.attributes if tag == "img" and key == "src"]
    names = [v for tag, key, v in page.attributes if tag == "img" and key == "alt"]
    assert all(image.startswith("data:image/jpeg;base64,") for image in images)
    return {n: Image.open(BytesIO(b64decode(i.split(",")[1]))) for n, i in zip(names, images, strict=True)}


class TestReport:
    def test_is_well_formed_and_loads_nothing(self, page: Callable[[Results], Page], results: Make) -> None:
        made = page(results())
        assert made.open == []
        assert not any(tag in ("script", "link", "iframe") for tag, _, _ in made.attributes)
        links = [v for _, key, v in made.attributes if key in ("src", "href", "srcset", "data", "action")]
        assert all(link.startswith("data:") for link in links)
        policy = [v for tag, key, v in made.attributes if tag == "meta" and key == "content"]
        assert any("default-src 'none'" in value for value in policy)

    def test_shows_every_interacted_and_every_suggested_frame(
        self, page: Callable[[Results], Page], results: Make
    ) -> None:
        assert list(pictures(page(results()))) == ["frame 0", "frame 4", "frame 6", "frame 1", "frame 7"]

    def test_says_what_was_done_in_which_round(self, page: Callable[[Results], Page], results: Make) -> None:
        text = page(results()).text
        assert "Frame 0 · round 1 · 2 strokes, object 3, background" in text
        assert "Frame 4 · rounds 1, 2 · 2 strokes, object 200" in text
        assert "Frame 6 · round 2 · mask by hand in round 2" in text

    def test_says_why_a_frame_is_suggested(self, page: Callable[[Results], Page], results: Make) -> None:
        assert "Frame 1 · object 200 at confidence 0.55" in page(results()).text

    def test_table_of_objects(self, page: Callable[[Results], Page], results: Make) -> None:
        text = page(results()).text
        assert "3person8 frames" in text
        assert "200bag4 frames4.6 %0.680.55 in frame 1" in text

    def test_names_and_labels_are_text_not_markup(self, page: Callable[[Results], Page], results: Make) -> None:
        made = page(results(name="<script>alert(1)</script>", labels={3: '<img src="x">', 200: "a & b"}))
        assert "<script>alert(1)</script>" in made.text
        assert '<img src="x">' in made.text
        assert made.open == []

    def test_without_rounds_confidence_or_objects_there_is_still_a_page(
        self, page: Callable[[Results], Page], results: Make
    ) -> None:
        empty = results(labels={}, mask=lambda n: np.zeros((41, 63), np.uint8), rounds=[], confidence={}, suggested=[])
        assert "None: no frame has been propagated" in page(empty).text

    def test_dark_mode_is_provided_for(self, tmp_path: Path, results: Make) -> None:
        list(write_results(tmp_path, results()))
        assert "prefers-color-scheme: dark" in (tmp_path / "report.html").read_text()


class TestThumbnail:
    def decode(self, uri: str) -> np.ndarray:
        return np.asarray(Image.open(BytesIO(b64decode(uri.split(",")[1]))), int)

    def test_is_small_and_keeps_the_proportions(self) -> None:
        image = self.decode(thumbnail(np.zeros((600, 1200, 3), np.uint8), np.zeros((600, 1200), np.uint8)))
        assert image.shape == (LONGEST_SIDE // 2, LONGEST_SIDE, 3)

    def test_strokes_and_masks_are_where_they_were_drawn(self) -> None:
        frame = np.full((200, 960, 3), 90, np.uint8)
        mask = np.zeros((200, 960), np.uint8)
        mask[:, 600:] = 4
        strokes = [Scribble(1, np.array([[100.0, 40], [300, 40]]), width=12), Scribble.click(2, 200, 160, 20)]
        image = self.decode(thumbnail(frame, mask, strokes))
        red, green, blue = image[20, 100], image[80, 100], image[50, 400]
        assert red[0] > red[1] + 80
        assert green[1] > green[0] + 80
        assert blue[2] > blue[0] + 30
        assert np.abs(image[50, 30] - 90).max() < 12


class TestTimeline:
    def draw(self, **changes: object) -> str:
        given = {"n_frames": 10, "areas": {}, "confidence": {}, "interacted": [], "suggested": []} | changes
        return timeline(1, **given)  # type: ignore[arg-type]

    def test_area_is_relative_to_the_largest_and_zero_where_absent(self) -> None:
        (path,) = re.findall(r'class="area"[^>]* d="([^"]*)"', self.draw(areas={2: 50, 3: 100}))
        heights = [float(v) for v in re.findall(r"V([\d.]+)", path)]
        assert heights[:5] == [70, 70, 35, 0, 70]

    def test_confidence_breaks_off_where_there_is_none(self) -> None:
        (path,) = re.findall(r'class="confidence" d="([^"]*)"', self.draw(confidence={0: 1.0, 1: 0.5, 5: 0.25}))
        assert path == "M0.0 0.0H100.0L100.0 35.0H200.0M500.0 52.5H600.0"

    def test_human_work_and_suggestions_are_marked(self) -> None:
        svg = self.draw(interacted=[0, 9], suggested=[4])
        assert "frame 9: interacted" in svg
        assert "frame 4: suggested" in svg
        assert svg.count("<rect") == 3

    def test_a_dip_of_one_frame_in_an_hour_is_still_seen(self) -> None:
        n = 90_000
        svg = self.draw(n_frames=n, confidence={i: 0.1 if i == 45_001 else 1.0 for i in range(n)})
        assert len(svg) < 50_000
        assert " 63.0H" in svg
