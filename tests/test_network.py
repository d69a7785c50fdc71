"""From frames to masks: what the plain interface promises about sizes and caching."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from siaf.features import FeatureCache, feature_bytes
from siaf.network import Model
from siaf.preprocessing import network_size, normalise


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


def test_frames_are_normalised_like_imagenet() -> None:
    frame = torch.tensor([[[[124, 116, 104]]]], dtype=torch.uint8)
    assert normalise(frame).abs().max() < 0.02


def test_interaction_and_propagation_answer_at_the_frames_own_size(tiny_model: Model, clip: NDArray[np.uint8]) -> None:
    size = tiny_model.interaction_size(72, 96)
    strokes = np.full((1, 2, *size), -1, np.int16)
    strokes[0, 0, 3:9, 3:9] = 1
    found = tiny_model.interact(list(clip[:2]), strokes, np.full_like(strokes, -1), [[1, 2]])
    assert found.shape == (2, 3, 72, 96)
    features = tiny_model.encode(clip[0])
    memory = tiny_model.reference(features, found[0].argmax(0).numpy().astype(np.uint8)[None])
    probabilities, seen = tiny_model.propagate(features, memory, memory, [[1, 2]], (72, 96))
    assert probabilities.shape == (3, 72, 96)
    assert torch.allclose(probabilities.sum(0), torch.ones(72, 96), atol=1e-5)
    assert [key.shape for key, _ in seen] == [key.shape for key, _ in memory]


def test_the_feature_cache_drops_the_least_recently_used(tiny_model: Model, clip: NDArray[np.uint8]) -> None:
    features = [tiny_model.encode(frame) for frame in clip[:3]]
    cache = FeatureCache(max_bytes=2 * feature_bytes(features[0]))
    cache.put("a", features[0])
    cache.put("b", features[1])
    assert cache.get("a") is features[0]
    cache.put("c", features[2])
    assert cache.get("b") is None
    assert cache.get("a") is features[0]
    assert cache.bytes == 2 * feature_bytes(features[0])
