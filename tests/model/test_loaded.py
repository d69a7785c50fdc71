"""From frames to masks: what the plain interface promises about sizes and caching."""

from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from siaf.model.identity import Slots
from siaf.model.loaded import Model
from siaf.model.preprocessing import network_size, normalise, resize_frames
from siaf.model.probabilities import Probabilities
from siaf.model.propagation import FrameFeatures, FrameMemory, concatenate
from siaf.model.trail import Place


@pytest.mark.parametrize(
    ("size", "short_side", "align", "expected"),
    [
        (
            (480, 854),
            480,
            True,
            (481, 849),
        ),  # what AOT feeds its networks (facts of its evaluation transforms)
        ((480, 854), 480, False, (480, 848)),
        ((1080, 1920), 321, True, (321, 577)),
        ((100, 80), 321, True, (97, 81)),  # never scaled up
        ((1, 1), 321, True, (17, 17)),
        ((200, 4000), 321, True, (33, 689)),  # the long side is capped
    ],
)
def test_input_sizes(size: tuple[int, int], short_side: int, align: bool, expected: tuple[int, int]) -> None:
    assert network_size(*size, short_side=short_side, align_corners=align) == expected


def test_smaller_frames_are_enlarged_where_the_network_gains_from_it() -> None:
    siaf_t = {"short_side": 321, "align_corners": True, "enlarge": 3.0}
    assert network_size(180, 320, **siaf_t) == (321, 577)
    assert network_size(72, 96, **siaf_t) == (209, 289)  # three times as large, no more
    assert network_size(1080, 1920, **siaf_t) == (321, 577)


def test_frames_are_enlarged_less_than_larger_ones_are_scaled_down() -> None:
    siaf_t = {"short_side": 433, "align_corners": True, "enlarge": 3.0, "enlarged_to": 321}
    assert network_size(180, 320, **siaf_t) == (321, 577)
    assert network_size(72, 96, **siaf_t) == (209, 289)
    assert network_size(320, 569, **siaf_t) == (321, 577)
    assert network_size(360, 640, **siaf_t) == (353, 641)  # as it is
    assert network_size(480, 854, **siaf_t) == (433, 769)
    assert network_size(480, 854, **{**siaf_t, "short_side": 257}) == (257, 465)  # as small as the user asks for
    assert network_size(180, 320, **{**siaf_t, "short_side": 257}) == (257, 449)


def test_resizing_before_normalising_gives_the_same_input(clip: NDArray[np.uint8]) -> None:
    frames = torch.from_numpy(clip[:2])
    plain = F.interpolate(normalise(frames), size=(49, 65), mode="bicubic", align_corners=False, antialias=True)
    assert (resize_frames(frames, (49, 65)) - plain).abs().max() <= 1e-5


def test_frames_are_normalised_like_imagenet() -> None:
    frame = torch.tensor([[[[124, 116, 104]]]], dtype=torch.uint8)
    assert normalise(frame).abs().max() < 0.02


def encode(model: Model, frame: NDArray[np.uint8]) -> FrameFeatures:
    (features,) = model.encode_batch([frame])
    return features


def reference(model: Model, features: FrameFeatures, masks: NDArray[np.uint8]) -> FrameMemory:
    (memory,) = model.reference_batch([features], [masks])
    return memory


def interact(
    model: Model, frames: list[NDArray[np.uint8]], strokes: NDArray[np.int16], previous: NDArray[np.int16], slots: Slots
) -> Tensor:
    return model.decode_masks(model.encode_prompts(frames, strokes, previous), strokes, previous, slots)


def test_interaction_and_propagation_answer_at_the_frames_own_size(tiny_model: Model, clip: NDArray[np.uint8]) -> None:
    size = tiny_model.interaction_size(72, 96)
    strokes = np.full((1, 2, *size), -1, np.int16)
    strokes[0, 0, 3:9, 3:9] = 1
    found = interact(tiny_model, list(clip[:2]), strokes, np.full_like(strokes, -1), [[1, 2]])
    assert found.shape == (2, 3, *(-(-side // 2) for side in size))
    shown = Probabilities(found[0], np.array([0, 1, 2], np.uint8), (72, 96), align_corners=True)
    features = encode(tiny_model, clip[0])
    memory = reference(tiny_model, features, shown.likeliest()[None])
    (step,) = tiny_model.propagate([features], [memory], [memory], [[1, 2]], (72, 96))
    assert step.labels.shape == (72, 96) and int(step.labels.max()) <= 2
    assert torch.allclose(step.scores.sum(0), torch.ones(step.scores.shape[1:]), atol=1e-5)
    assert [key.shape for key, _ in step.memory] == [key.shape for key, _ in memory]


def test_frames_encoded_together_are_as_encoded_alone(tiny_model: Model, clip: NDArray[np.uint8]) -> None:
    together = tiny_model.encode_batch(list(clip[:3]))
    for frame, found in zip(clip, together, strict=False):
        alone = encode(tiny_model, frame).named()
        assert "stream" in alone
        assert all(torch.allclose(alone[name], x, atol=1e-4) for name, x in found.named().items())


@pytest.mark.parametrize("slots", [[[1, 2]], [[1, 2], [1]]])
def test_chains_stepped_together_are_as_stepped_alone(
    tiny_model: Model, clip: NDArray[np.uint8], slots: list[list[int]]
) -> None:
    features = [encode(tiny_model, frame) for frame in clip[:3]]
    masks = [np.zeros((len(slots), 72, 96), np.uint8) for _ in features]
    for i, mask in enumerate(masks):
        mask[:, 10 : 30 + i, 5 + 4 * i : 25 + 4 * i] = 1
    together = tiny_model.reference_batch(features, masks)
    alone = [reference(tiny_model, f, m) for f, m in zip(features, masks, strict=True)]
    for one, other in zip(alone, together, strict=True):
        for (key, value), (other_key, other_value) in zip(one, other, strict=True):
            assert torch.allclose(key, other_key, atol=1e-4) and torch.allclose(value, other_value, atol=1e-4)
    given = (features, alone, alone[::-1])
    for i, found in enumerate(tiny_model.propagate(*given, slots, (72, 96))):
        (single,) = tiny_model.propagate(*([part[i]] for part in given), slots, (72, 96))
        assert torch.allclose(found.scores, single.scores, atol=1e-4)
        assert torch.equal(found.labels, single.labels)


def test_a_memory_may_be_read_in_parts(tiny_model: Model, clip: NDArray[np.uint8]) -> None:
    """Largest difference of probabilities 1e-4: the fast way is the plain one. The parts are the interacted frames."""
    features = encode(tiny_model, clip[2])
    mask = np.zeros((1, 72, 96), np.uint8)
    mask[:, 10:30, 5:25] = 1
    one, two, three = (reference(tiny_model, encode(tiny_model, clip[i]), np.roll(mask, 4 * i, 2)) for i in (0, 5, 9))
    long, places = [concatenate([one, two, three])], [Place((2, -3))]
    (expected,) = tiny_model.propagate([features], long, [one], [[1]], (72, 96), places=places)
    known = tiny_model.read(features, [two], 1, tiny_model.read(features, [one], 1))
    assert torch.equal(known.values, tiny_model.read(features, [one, two], 1).values)
    (found,) = tiny_model.propagate([features], [three], [one], [[1]], (72, 96), known, places=places)
    assert (found.scores - expected.scores).abs().max() <= 1e-4
    assert torch.equal(found.labels, expected.labels)
    everything = tiny_model.read(features, [three], 1, known)
    places = [Place((2, -3, -7))]
    (expected,) = tiny_model.propagate([features], long, [one], [[1]], (72, 96), places=places)
    (found,) = tiny_model.propagate([features], [], [one], [[1]], (72, 96), everything, places=places)
    assert (found.scores - expected.scores).abs().max() <= 1e-4


def test_half_precision_is_asked_for_and_hands_out_single_precision(tiny_model: Model, clip: NDArray[np.uint8]) -> None:
    """What comes out stays close, and of one type: memories and features of both kinds go together."""
    half = replace(tiny_model, autocast=True)
    mask = np.zeros((1, 72, 96), np.uint8)
    mask[0, 10:30, 5:25] = 1
    features, plain = encode(half, clip[0]).named(), encode(tiny_model, clip[0]).named()
    assert features.pop("picture").dtype == plain.pop("picture").dtype == torch.uint8
    assert {x.dtype for x in features.values()} == {torch.float32}
    assert not torch.equal(features["embedding"], plain["embedding"])
    assert (features["embedding"] - plain["embedding"]).abs().mean() <= 0.02 * plain["embedding"].abs().mean()
    memory = reference(tiny_model, encode(tiny_model, clip[0]), mask)
    given = [encode(tiny_model, clip[1])], [concatenate([memory, memory])], [memory], [[1]], (72, 96)
    (found,), (expected,) = (model.propagate(*given, places=[Place((1,))]) for model in (half, tiny_model))
    assert {x.dtype for layer in found.memory for x in layer} == {torch.float32}
    assert 0 < (found.scores - expected.scores).abs().max() <= 0.1
    strokes = np.full((1, 1, *half.interaction_size(72, 96)), -1, np.int16)
    strokes[0, 0, 3:9, 3:9] = 1
    asked = [clip[0]], strokes, np.full_like(strokes, -1), [[1]]
    assert 0 < (interact(half, *asked) - interact(tiny_model, *asked)).abs().mean() <= 0.02


def test_frames_seen_one_by_one_answer_as_those_seen_together(tiny_model: Model, clip: NDArray[np.uint8]) -> None:
    size = tiny_model.interaction_size(72, 96)
    strokes = np.full((2, 3, *size), -1, np.int16)
    strokes[0, 0, 3:9, 3:9], strokes[1, 2, 3:9, 3:9] = 1, 2
    previous = np.full_like(strokes, -1)
    previous[:, 1, 20:30] = 1
    slots = [[1, 2], [1, 2]]
    together = interact(tiny_model, list(clip[:3]), strokes, previous, slots)
    seen = [tiny_model.encode_prompts([clip[i]], strokes[:, [i]], previous[:, [i]])[0] for i in range(3)]
    found = tiny_model.decode_masks(seen, strokes, previous, slots, [2, 0])
    assert torch.allclose(found, together[[2, 0]], atol=1e-4)


def test_a_model_never_changes_as_memories_are_made_with_it(tiny_model: Model) -> None:
    with pytest.raises(FrozenInstanceError):
        tiny_model.short_side = 97  # type: ignore[misc]
    others = [
        replace(tiny_model, **{key: value}) for key, value in (("short_side", 97), ("autocast", True), ("digest", "x"))
    ]
    assert len({tiny_model.identity, *(other.identity for other in others)}) == 4
    assert replace(tiny_model, interaction_short_side=97).identity == tiny_model.identity
