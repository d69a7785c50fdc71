"""Small objects are followed in windows of the frame."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load, save

from siaf import Session, load_model
from siaf.errors import StateError
from siaf.frames.source import as_frames, frame_digest
from siaf.interactive.streaming import ArrivingFrames, StreamingSession
from siaf.model.loaded import Model
from siaf.model.trail import Place
from siaf.session.feature_cache import FeatureCache
from siaf.session.mask_store import MaskStore
from siaf.session.memory import ChainMemory, WindowChain
from siaf.session.objects import ObjectTable
from siaf.session.state_file import dump_session, parse_session
from siaf.session.window_chains import WindowFollower

Frames = NDArray[np.uint8]
HEIGHT, WIDTH = 540, 960


def truth(t: int, height: int = HEIGHT, width: int = WIDTH) -> NDArray[np.uint8]:
    """Two small objects, of 15×11 and 9×9 pixels, that move by some pixels a frame."""
    mask = np.zeros((height, width), np.uint8)
    cv2.ellipse(mask, (100 + 4 * t, 120 + 2 * t), (7, 5), 20, 0, 360, 1, -1)
    cv2.rectangle(mask, (150 - 4 * t, 150), (158 - 4 * t, 158), 2, -1)
    return mask


@pytest.fixture(scope="module")
def small() -> Frames:
    """Six frames of 540×960 pixels: both objects over a speckled background."""
    rng = np.random.default_rng(0)
    speckles = rng.integers(40, 200, (90, 160, 3), np.uint8)
    ground = cv2.resize(speckles, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    frames = np.repeat(ground[None], 6, axis=0)
    for t in range(6):
        frames[t][truth(t) == 1] = (190, 90, 70)
        frames[t][truth(t) == 2] = (70, 90, 180)
    return frames


@pytest.fixture(scope="module")
def wide() -> Frames:
    """Eight frames of 360×400 pixels: large enough for windows at the tiny model's 65 pixels."""
    frames = np.random.default_rng(1).integers(60, 90, (8, 360, 400, 3), np.uint8)
    for t in range(8):
        frames[t][truth(t, 360, 400) == 1] = (230, 60, 40)
        frames[t][truth(t, 360, 400) == 2] = (30, 40, 220)
    return frames


def iou(found: NDArray[np.uint8], t: int, tag: int) -> float:
    return float(((found == tag) & (truth(t) == tag)).sum() / ((found == tag) | (truth(t) == tag)).sum())


def test_objects_of_a_few_pixels_are_kept_which_the_whole_frame_loses(
    small: Frames, monkeypatch: pytest.MonkeyPatch
) -> None:
    """9 pixels of 540 are 36 at 4K."""

    def found() -> list[float]:
        session = Session(load_model("siaf-t", device="cpu"), small)
        session.interact(references={0: truth(0)})
        for _ in session.propagate():
            pass
        return [iou(session.mask(t), t, tag) for t in range(3, 6) for tag in (1, 2)]

    assert min(found()) > 0.9
    monkeypatch.setattr(Model, "window_side", None)
    assert max(found()) < 0.1


def rounds(session: Session) -> Iterator[None]:
    session.interact(references={1: truth(1, 360, 400)})
    for _ in session.propagate():
        yield


def test_a_session_goes_on_from_a_file_with_its_windows(tiny_model: Model, wide: Frames, tmp_path: Path) -> None:
    session = Session(tiny_model, wide)
    for step, _ in enumerate(rounds(session)):
        session.save(tmp_path / f"{step}.siaf")
    assert any(b"window.0.place" in (tmp_path / f"{step}.siaf").read_bytes() for step in range(7))
    for step in range(7):
        back = Session.load(tmp_path / f"{step}.siaf", tiny_model, wide)
        for _ in back.propagate():
            pass
        assert all(np.array_equal(back.mask(t), session.mask(t)) for t in range(8))


def test_a_damaged_window_in_a_file_is_named(tiny_model: Model, wide: Frames) -> None:
    session = Session(tiny_model, wide)
    next(rounds(session))
    data = dump_session(session)
    document = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
    tensors = load(data)
    name = next(name for name in tensors if name.endswith(".window.0.place"))
    for wrong, said in (
        (tensors[name] * torch.nan, f"damaged: {name}: holds numbers that no chain has"),
        (tensors[name] + 0.5, f"damaged: {name}: is not seven whole numbers"),
        (tensors[name].to(torch.int64), f"damaged: {name}: is I64, which no chain has"),
    ):
        with pytest.raises(StateError, match=said):
            parse_session(save({**tensors, name: wrong}, document), tiny_model, as_frames(wide))


def test_frames_that_arrive_one_by_one_get_the_same_masks(tiny_model: Model, wide: Frames) -> None:
    whole = Session(tiny_model, wide)
    for _ in rounds(whole):
        pass
    pictures = {frame_digest(wide[1]): wide[1]}
    frames = ArrivingFrames(8, 360, 400, {1: frame_digest(wide[1])}, pictures.__getitem__)
    streaming = StreamingSession(tiny_model, FeatureCache(), frames)
    streaming.session.interact(references={1: truth(1, 360, 400)})
    while (number := streaming.next_frame) is not None:
        mask, _ = streaming.arrive(wide[number])
        assert mask is not None
        assert np.array_equal(mask, whole.mask(number))


def test_large_objects_need_no_window(tiny_model: Model, wide: Frames) -> None:
    mask = np.zeros((360, 400), np.uint8)
    mask[50:250, 50:250] = 1
    follower = WindowFollower.of(tiny_model, as_frames(wide))
    assert follower is not None
    objects = ObjectTable()
    objects.add(1)
    assert follower.begin(0, mask, objects) == ()


def test_a_model_may_see_whole_frames_only(tiny_model: Model, wide: Frames) -> None:
    net = tiny_model.propagation
    whole = replace(tiny_model, propagation=SimpleNamespace(config=replace(net.config, windows=False)))  # type: ignore[arg-type]
    assert WindowFollower.of(whole, as_frames(wide)) is None


# -- what windows say, with a model whose answers are known --------------------------------------------------------


@dataclass
class Answering:
    """Finds in a window what it is told; `asked` are the sizes of the windows, `read` what of their memories is given:
    how many tokens there are, and how far away the interacted frames are that come first.
    """

    answers: list[NDArray[np.uint8]] = field(default_factory=list)
    asked: list[tuple[int, int]] = field(default_factory=list)
    read: list[tuple[int, tuple[int, ...]]] = field(default_factory=list)
    window_side: int = 65
    objects_per_pass: int = 10
    memory_gap: int = 5
    memory_kept: int = 2

    def grid(self, height: int, width: int) -> tuple[int, int]:
        return 65 // 16 + 1, round(65 * width / height) // 16 + 1

    def encode_batch(self, frames: list[Any]) -> list[Any]:
        return [frame.shape for frame in frames]

    def reference_batch(self, features: list[Any], masks: list[Any]) -> list[Any]:
        return [[(torch.zeros(1, 25, 4), torch.zeros(1, 25, 4))]]

    def trail(self, features: Any, mask: Any) -> None:
        return None

    def propagate(self, *arguments: Any) -> list[Any]:
        size = arguments[4]
        self.asked.append(size)
        self.read.append((arguments[1][0][0][0].shape[1], arguments[8][0].offsets))
        labels = torch.from_numpy(self.answers.pop(0)[: size[0], : size[1]].copy())
        scores = torch.nn.functional.one_hot(labels[::4, ::4].long(), 10).permute(2, 0, 1).float()
        return [SimpleNamespace(labels=labels, scores=scores, memory=[(torch.ones(1, 25, 4),) * 2], trail=None)]


@dataclass
class Scene:
    """A chain from frame 0, where objects 1 and 2 are small and far apart; `whole` is what the whole frame shows."""

    model: Answering = field(default_factory=Answering)
    objects: ObjectTable = field(default_factory=ObjectTable)
    first: NDArray[np.uint8] = field(default_factory=lambda: np.zeros((360, 400), np.uint8))
    tags: tuple[int, ...] = (1,)

    def __post_init__(self) -> None:
        self.first[100:120, 100:120] = 1
        if 2 in self.tags:
            self.first[250:270, 350:370] = 2
        for tag in self.tags:
            self.objects.add(tag)
        self.store = MaskStore(360, 400)
        self.store[0] = self.first
        frames = as_frames(np.zeros((2, 360, 400, 3), np.uint8))
        follower = WindowFollower.of(self.model, frames)  # type: ignore[arg-type]
        assert follower is not None
        self.follower = follower
        self.chain = ChainMemory([], windows=follower.begin(0, self.first, self.objects))

    def step(self, whole: NDArray[np.uint8], *answers: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], dict[int, float]]:
        self.model.answers = list(answers)
        read = {0: self.store.packed(0)}
        seen = whole, dict.fromkeys(self.tags, 0.5)
        picture = np.zeros((360, 400, 3), np.uint8)
        return self.follower.follow(self.model, self.chain, picture, seen, read, Place((1,)), self.objects)  # type: ignore[arg-type]

    @property
    def windows(self) -> tuple[WindowChain, ...]:
        return self.chain.windows


NOTHING = np.zeros((360, 400), np.uint8)


def square(top: int, left: int, tag: int = 1, side: int = 20) -> NDArray[np.uint8]:
    mask = NOTHING.copy()
    mask[top : top + side, left : left + side] = tag
    return mask


def test_a_window_decides_on_its_object() -> None:
    scene = Scene()
    (start,) = scene.windows
    assert start.window == (20, 20, 201, 201)
    mask, confidence = scene.step(square(105, 105), square(90, 85))  # in the window: 20 further down and right
    assert np.array_equal(mask, square(110, 105))
    assert confidence == {1: 1.0}
    assert scene.windows[0].window == start.window


def test_what_the_whole_frame_found_elsewhere_goes() -> None:
    scene = Scene()
    mask, _ = scene.step(square(105, 105) + square(280, 300), square(90, 85))
    assert np.array_equal(mask, square(110, 105))


def test_other_objects_stay_as_the_whole_frame_has_them_where_the_window_does_not_need_them() -> None:
    scene = Scene(tags=(1, 2))
    first, second = scene.windows
    assert (first.tags, second.tags) == ({1}, {2})
    whole = square(100, 100) + square(250, 350, 2)
    mask, _ = scene.step(whole, square(80, 90) + square(0, 0, 2, 30), square(100, 100, 2))
    assert np.array_equal(mask == 1, square(100, 110) == 1)  # and the window's word on 2 is not heard
    left, top = second.window[:2]
    assert np.array_equal(mask == 2, square(top + 100, left + 100) == 1)


def test_a_window_moves_after_its_object() -> None:
    scene = Scene()
    scene.step(square(100, 100), square(80, 150))
    assert scene.windows[0].window == (90, 20, 271, 201)


def test_a_lost_object_may_come_back_where_it_was_for_ten_frames() -> None:
    scene = Scene()
    for unseen in range(1, 11):
        mask, _ = scene.step(NOTHING, NOTHING)
        assert not mask.any()
        assert [window.unseen for window in scene.windows] == [unseen]
    back, _ = scene.step(NOTHING, square(80, 80))
    assert np.array_equal(back, square(100, 100))
    assert [window.unseen for window in scene.windows] == [0]
    for _ in range(11):
        scene.step(NOTHING, NOTHING)
    assert scene.windows == ()


def test_a_lost_object_that_the_whole_frame_finds_gets_its_window_there() -> None:
    scene = Scene()
    mask, confidence = scene.step(square(200, 300), NOTHING)
    assert np.array_equal(mask, square(200, 300))
    assert confidence == {1: 0.5}
    (window,) = scene.windows
    assert window.window == (219, 120, 400, 301)


def test_an_object_that_grew_is_left_to_the_whole_frame() -> None:
    scene = Scene()
    scene.step(square(60, 60, side=100), square(40, 40, side=100))
    assert scene.windows == ()


def test_a_window_knows_which_of_its_memories_are_of_interacted_frames() -> None:
    """Of 25 tokens each: those of the interacted frame, then, from the sixth frame on, of a predicted one."""
    scene = Scene()
    left, top, right, bottom = scene.windows[0].window
    for _ in range(6):
        scene.step(scene.first, scene.first[top:bottom, left:right])
    assert scene.model.read == [(25, (1,))] * 5 + [(50, (1,))]


def test_a_frame_has_at_most_eight_windows_those_of_lost_objects_included() -> None:
    scene = Scene()
    for tag in range(2, 10):
        scene.objects.add(tag)
    frames = as_frames(np.zeros((2, 360, 1600, 3), np.uint8))
    spread = np.zeros((360, 1600), np.uint8)
    for tag in range(1, 10):
        spread[100:110, 175 * tag : 175 * tag + 10 + tag] = tag
    follower = WindowFollower.of(scene.model, frames)  # type: ignore[arg-type]
    assert follower is not None
    chain = ChainMemory([], windows=follower.begin(0, spread, scene.objects))
    assert len(chain.windows) == 8
    store = MaskStore(360, 1600)
    store[0] = spread
    scene.model.answers = [np.zeros((360, 400), np.uint8)] * 8
    whole = np.where(spread == 9, spread, 0).astype(np.uint8), dict.fromkeys(range(1, 10), 0.5)
    picture = np.zeros((360, 1600, 3), np.uint8)
    read = {0: store.packed(0)}
    follower.follow(scene.model, chain, picture, whole, read, Place((1,)), scene.objects)  # type: ignore[arg-type]
    assert len(chain.windows) == 8
    assert chain.windows[0].tags == {9}


def test_objects_that_no_interacted_frame_shows_have_no_window() -> None:
    scene = Scene()
    scene.objects.add(2)
    scene.step(square(100, 100) + square(250, 350, 2), square(80, 80))
    assert [window.tags for window in scene.windows] == [{1}]
