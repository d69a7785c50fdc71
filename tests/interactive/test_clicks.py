"""Clicks and boxes on a frame: which object is meant, and what the network is asked."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from recording_model import RecordingModel

from siaf import Session
from siaf.errors import InputError
from siaf.interactive.clicks import Clicks, join_clicks, segment_clicks
from siaf.masks import encode_rle
from siaf.model.loaded import Model
from siaf.model.segmenter import Prompt

Frames = NDArray[np.uint8]
NONE = np.zeros((0, 2))


def at(*points: tuple[float, float]) -> NDArray[np.float64]:
    return np.array(points, np.float64).reshape(-1, 2)


@pytest.fixture
def session(tiny_model: Model, clip: Frames) -> Session:
    """Object 7 left, object 4 right, on frame 0."""
    session = Session(tiny_model, clip)
    mask = np.zeros(clip.shape[1:3], np.uint8)
    mask[10:30, 5:25], mask[40:60, 70:90] = 7, 4
    session.interact(references={0: mask})
    return session


def test_near_clicks_are_one_stroke_and_far_ones_are_not() -> None:
    strokes = join_clicks(at((10, 10), (12, 10), (14, 11), (60, 60), (62, 61)), 3, long_side=200)
    assert [s.points.tolist() for s in strokes] == [[[10, 10], [12, 10], [14, 11]], [[60, 60], [62, 61]]]
    assert {s.tag for s in strokes} == {3}


def test_a_known_object_keeps_its_tag(session: Session) -> None:
    assert [s.tag for s in segment_clicks(session, 0, Clicks(at((75, 45)), NONE))] == [4]
    assert [s.tag for s in segment_clicks(session, 0, Clicks(NONE, NONE, ((4, 9, 26, 31),)))] == [7]


def test_a_new_object_gets_a_free_tag(session: Session) -> None:
    assert [s.tag for s in segment_clicks(session, 0, Clicks(at((50, 5)), NONE))] == [1]
    boxes = ((40.0, 2.0, 55.0, 12.0), (68.0, 38.0, 92.0, 62.0), (30.0, 50.0, 45.0, 70.0))
    assert [s.tag for s in segment_clicks(session, 0, Clicks(NONE, NONE, boxes))] == [1, 4, 2]


def test_a_click_belongs_to_the_nearest_box(session: Session) -> None:
    boxes = ((40.0, 2.0, 55.0, 12.0), (30.0, 50.0, 45.0, 70.0))
    one, two = segment_clicks(session, 0, Clicks(at((42, 4), (32, 52), (48, 60)), NONE, boxes))
    assert one.mask[4, 42]
    assert two.mask[52, 32]
    assert two.mask[60, 48]
    assert not (one.mask & two.mask).any()


def test_what_was_clicked_is_never_contradicted(session: Session) -> None:
    clicks = Clicks(at((50, 5)), at((15, 15), (52, 30)))
    (segment,) = segment_clicks(session, 0, clicks)
    assert segment.mask[5, 50]
    assert not segment.mask[15, 15]
    assert not segment.mask[30, 52]
    assert 0 < segment.confidence <= 1


def test_the_session_stays_as_it_is(session: Session) -> None:
    before = session.mask(0), session.objects.tags, session.revision
    segment_clicks(session, 5, Clicks(at((50, 5)), NONE))
    after = session.mask(0), session.objects.tags, session.revision
    assert np.array_equal(before[0], after[0])
    assert before[1:] == after[1:]


def test_earlier_masks_are_where_the_network_starts(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    given = []
    preview = Session.preview
    monkeypatch.setattr(
        Session,
        "preview",
        lambda self, frame, s, b, previous: given.append(previous) or preview(self, frame, s, b, previous),
    )
    earlier = np.zeros((72, 96), bool)
    earlier[2:9, 45:60] = True
    segment_clicks(session, 0, Clicks(at((50, 5), (55, 5)), NONE), earlier={1: encode_rle(earlier)})
    assert ((given[0] == 1) == earlier).all()
    assert (given[0][45, 75], given[0][15, 15]) == (4, 7)


@pytest.mark.parametrize(
    ("clicks", "field"),
    [
        (Clicks(NONE, NONE), "positive"),
        (Clicks(NONE, at((5, 5))), "positive"),
        (Clicks(at((900, 5)), NONE), "positive"),
        (Clicks(at((5, 5)), at((5, 900))), "negative"),
    ],
)
def test_clicks_that_cannot_be_are_refused_by_name(session: Session, clicks: Clicks, field: str) -> None:
    with pytest.raises(InputError, match=f"^{field}"):
        segment_clicks(session, 0, clicks)


class _Flood:
    """Stands for a segmenter: everything is every object's, and what it was asked is kept."""

    def __init__(self) -> None:
        self.asked: list[Prompt] = []

    def mask_size(self, height: int, width: int) -> tuple[int, int]:
        return height // 2, width // 2

    def segment(self, frame: NDArray[np.uint8], prompt: Prompt) -> torch.Tensor:
        self.asked.append(prompt)
        return torch.full(self.mask_size(*frame.shape[:2]), 20.0)


@pytest.fixture
def flood() -> _Flood:
    return _Flood()


@pytest.fixture
def flooded(tiny_model: Model, flood: _Flood) -> Model:
    """A model with that segmenter."""
    return replace(tiny_model, segmenter=flood)


def test_a_second_click_asks_the_segmenter_only(flooded: Model, clip: Frames, flood: _Flood) -> None:
    recording = RecordingModel.of(flooded)
    session = Session(recording, clip)
    (first,) = segment_clicks(session, 0, Clicks(at((50, 5)), NONE))
    recording.calls.clear()
    earlier = np.zeros((72, 96), bool)
    earlier[2:40, 20:80] = True
    segment_clicks(session, 0, Clicks(at((50, 5)), at((90, 60))), earlier={first.tag: encode_rle(earlier)})
    assert not recording.counts("decode_masks")
    last = flood.asked[-1]
    assert last.negative.tolist() == [[90, 60]]
    clicked, *inside = last.positive.astype(int).tolist()
    assert clicked == [50, 5]
    assert inside and all(earlier[y, x] for x, y in inside)
    assert last.mask is not None
    assert np.array_equal(last.mask.numpy() > 0, earlier[::2, ::2])


def test_a_box_bounds_what_the_segmenter_finds(flooded: Model, clip: Frames, flood: _Flood) -> None:
    (segment,) = segment_clicks(Session(flooded, clip), 0, Clicks(NONE, NONE, ((40.0, 2.0, 55.0, 12.0),)))
    expected = np.zeros((72, 96), bool)
    expected[2:12, 40:55] = True
    assert np.array_equal(segment.mask, expected)
    assert flood.asked[-1].box == (40.0, 2.0, 55.0, 12.0)


def test_a_part_without_a_click_goes_and_a_denied_one_too(flooded: Model, clip: Frames, flood: _Flood) -> None:
    def halves(frame: NDArray[np.uint8], prompt: Prompt) -> torch.Tensor:
        found = torch.full((36, 48), 20.0)
        found[:, 20:28] = -20.0
        return found

    flood.segment = halves  # type: ignore[method-assign]
    session = Session(flooded, clip)
    (segment,) = segment_clicks(session, 0, Clicks(at((10, 30)), NONE))
    assert segment.mask[:, :36].all()
    assert not segment.mask[:, 60:].any()
    both = encode_rle(np.ones((72, 96), bool))
    (segment,) = segment_clicks(session, 0, Clicks(at((10, 30), (90, 60)), NONE), earlier={1: both})
    assert segment.mask[:, 60:].all()
    (segment,) = segment_clicks(session, 0, Clicks(at((10, 30)), at((90, 60))), earlier={1: both})
    assert not segment.mask[:, 60:].any()


def _peak(model: Model, boxes: int) -> int:
    """Most bytes of arrays while so many boxes on 1500×1000 pixels are answered."""
    picture = np.zeros((1000, 1500, 3), np.uint8)
    session = Session(model, [picture])
    clicks = Clicks(NONE, NONE, tuple((10.0 + 100 * i, 10.0, 100.0 + 100 * i, 900.0) for i in range(boxes)))
    tracemalloc.start()
    try:
        found = segment_clicks(session, 0, clicks)
        assert len(found) == boxes
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_objects(tiny_model: Model) -> None:
    bitmap = 1000 * 1500
    assert _peak(tiny_model, 10) - _peak(tiny_model, 2) < 3 * bitmap
