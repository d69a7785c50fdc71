"""What the engine makes of a round, of removed objects, and of a GPU that is too small."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

pytest.importorskip("transformers")

from small_sam2 import SIDE, small_engine, small_network

from siaf import Scribble, Session
from siaf.engines.sam2.asking import Asked
from siaf.engines.sam2.competing import aggregate, likeliest
from siaf.engines.sam2.engine import Sam2Engine
from siaf.engines.sam2.network import Sam2Network
from siaf.engines.sam2.prompting import as_input, farthest, points_of
from siaf.errors import InputError, SiafError
from siaf.prompts import FramePrompts
from siaf.session.feature_cache import FeatureCache

Frames = NDArray[np.uint8]
CPU = torch.device("cpu")


def line(tag: int, *points: tuple[float, float], polarity: str = "positive") -> Scribble:
    return Scribble(tag, np.array(points), polarity=polarity)  # type: ignore[arg-type]


def test_a_stroke_becomes_a_few_points_that_cover_it() -> None:
    on, beside = points_of([line(1, (0, 0), (100, 0)), line(2, (0, 50), (100, 50)), line(0, (50, 90))], 1, 200)
    assert len(on) == 8 and {0.0, 100.0} <= set(on[:, 0]) and np.allclose(on[0], (50, 0), atol=1)
    assert (beside[:, 1] >= 50).all() and np.allclose(beside[0], (50, 50), atol=10) and [50, 90] in beside.tolist()
    assert [len(points) for points in points_of([line(1, (7, 9))], 1, 200)] == [1, 0]


def test_what_is_denied_of_one_object_says_nothing_of_others() -> None:
    strokes = [line(1, (5, 5)), line(2, (60, 60), polarity="negative")]
    assert [len(points) for points in points_of(strokes, 1, 200)] == [1, 0]
    assert [points.tolist() for points in points_of(strokes, 2, 200)] == [[], [[5, 5], [60, 60]]]


def test_points_that_are_near_each_other_are_one() -> None:
    points = np.array([[0.0, 0], [1, 0], [50, 0], [51, 0]])
    assert farthest(points, np.zeros(2), 8, 4.0).tolist() == [[0, 0], [51, 0]]


def test_a_box_is_its_corners_and_pixels_keep_their_centres() -> None:
    points, labels = as_input(np.array([[0.0, 0.0]]), np.zeros((0, 2)), (0, 0, 100, 50), (50, 100), 1024)
    assert labels.tolist() == [2, 3, 1]
    assert np.allclose(points, [[-0.5, -0.5], [1023.5, 1023.5], [0.5 * 10.24 - 0.5, 0.5 * 20.48 - 0.5]])


def test_later_rounds_show_the_mask_before_without_what_was_denied() -> None:
    before = np.zeros((64, 64), np.uint8)
    before[:32, :32], before[40:, 40:] = 1, 2
    given = FramePrompts([line(1, (5, 20), (25, 20), polarity="negative")])
    asked = Asked.of(given, [], before, (64, 64))
    prompts = asked.prompts(1, SIDE, (16, 16), CPU)
    assert prompts is not None and prompts.mask is not None and (prompts.labels == 0).all()
    logits = prompts.mask[0, 0]
    assert logits[1, 1] == 10 and logits[15, 15] == -10 and logits[5, 3] < 10
    assert asked.prompts(2, SIDE, (16, 16), CPU) is None
    assert asked.mask_logits(2, (16, 16))[15, 15] == 10


def test_an_object_that_is_drawn_over_is_drawn_anew() -> None:
    before = np.full((64, 64), 2, np.uint8)
    assert Asked.of(FramePrompts([line(0, (5, 5))]), [], before, (64, 64)).tags == {2}
    assert Asked.of(FramePrompts([line(2, (5, 5))]), [], before, (64, 64)).tags == {2}
    assert Asked.of(FramePrompts([line(1, (5, 5))]), [], before, (64, 64)).tags == {1, 2}


@pytest.mark.parametrize("objects", [1, 2, 5])
def test_objects_compete_as_in_the_soft_aggregation(objects: int) -> None:
    logits = 3 * torch.randn(objects, 9, 11, generator=torch.Generator().manual_seed(objects)).double()
    assert torch.equal(likeliest(list(logits), (9, 11)), aggregate(list(logits)).max(0).indices)
    assert torch.allclose(aggregate(list(logits)).sum(0), torch.ones(9, 11).double())


def test_a_mask_of_a_pixel_is_remembered_as_there() -> None:
    engine = small_engine("sam2.1")
    masks = np.zeros((3, 640, 640), np.uint8)
    masks[0, 5, 5], masks[1, :200, :200] = 1, 1
    features = engine.encode_batch([np.zeros((640, 640, 3), np.uint8)])
    ((_, pointers),) = engine.reference_batch(features, [masks])[0]
    absent = engine.network.no_object_pointers(1)[0]
    assert [torch.equal(pointer, absent) for pointer in pointers] == [False, False, True]


def test_removed_objects_cost_nothing_and_leave_the_others_alone(clip: Frames) -> None:
    mask = np.zeros((72, 96), np.uint8)
    mask[10:30, 5:25], mask[40:60, 60:80] = 1, 2
    session = Session(small_engine("edgetam"), clip[:4])
    session.interact(references={0: mask})
    session.remove_object(1)
    for _ in session.propagate():
        pass
    only = Session(small_engine("edgetam"), clip[:4])
    only.interact(references={0: np.where(mask == 2, 2, 0)})
    for _ in only.propagate():
        pass
    assert all(np.array_equal(session.mask(f), only.mask(f)) for f in range(4))


def test_a_known_object_is_looked_for_with_the_memory_of_other_frames(clip: Frames) -> None:
    mask = np.zeros((72, 96), np.uint8)
    mask[10:30, 5:25] = 1
    session = Session(small_engine("sam2.1"), clip[:6])
    session.interact(references={0: mask})
    drawn = {4: [line(1, (25, 20), (40, 20))]}
    found = session.preview(4, drawn[4]).of(1)
    alone = Session(small_engine("sam2.1"), clip[:6]).preview(4, drawn[4]).of(1)
    assert np.abs(found - alone).max() > 1e-3


def test_features_come_back_from_the_cache_s_folder(clip: Frames, tmp_path: Path) -> None:
    mask = np.zeros((72, 96), np.uint8)
    mask[10:30, 5:25] = 1

    def masks(cache: FeatureCache) -> list[Frames]:
        session = Session(small_engine("sam2.1"), clip[:4], cache=cache)
        session.interact(references={0: mask})
        for _ in session.propagate():
            pass
        return [session.mask(f) for f in range(4)]

    expected = masks(FeatureCache())
    for _ in range(2):
        assert np.array_equal(masks(FeatureCache(1, folder=tmp_path)), expected)
    assert len([*tmp_path.glob("*.features")]) >= 3


class Cramped(Sam2Network):
    """A GPU that holds so many objects at once."""

    room = 2

    def conditioned(self, *given: object) -> torch.Tensor:
        features, read = given
        if len(read.frames) > self.room:  # type: ignore[attr-defined]
            raise torch.OutOfMemoryError
        return super().conditioned(features, read)  # type: ignore[arg-type]


@pytest.fixture
def cramped(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Sam2Engine]:
    def engine(room: int) -> Sam2Engine:
        monkeypatch.setattr(Cramped, "room", room)
        return replace(small_engine("edgetam"), network=Cramped(small_network("edgetam")))

    return engine


def test_where_memory_is_short_fewer_objects_are_taken_at_a_time(
    cramped: Callable[[int], Sam2Engine], clip: Frames
) -> None:
    mask = np.zeros((72, 96), np.uint8)
    for tag in range(1, 6):
        mask[12 * tag : 12 * tag + 10, 10:60] = tag

    def masks(engine: Sam2Engine) -> list[Frames]:
        session = Session(engine, clip[:3])
        session.interact(references={0: mask})
        for _ in session.propagate():
            pass
        return [session.mask(f) for f in range(3)]

    for one, other in zip(masks(cramped(2)), masks(cramped(9)), strict=True):
        assert (one == other).mean() > 0.99
    with pytest.raises(SiafError, match="edgetam: the GPU has too little free memory for one object"):
        masks(cramped(0))


def test_frames_are_seen_at_the_model_s_own_size_only() -> None:
    engine = small_engine("edgetam")
    assert engine.adjusted(None, SIDE, True).identity.autocast and not engine.adjusted(None, None, False).autocast
    for sizes, field in (((321, None), "short_side"), ((None, 321), "interaction_short_side")):
        with pytest.raises(InputError, match=f"{field}: edgetam takes frames of {SIDE} pixels only, not 321"):
            engine.adjusted(*sizes, False)
