"""Probabilities of a frame: as if every channel had been resized, without resizing what nobody asks for."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from siaf.model.probabilities import Probabilities

TAGS = np.array([0, 4, 9], np.uint8)


@pytest.fixture(params=[True, False])
def some(request: pytest.FixtureRequest) -> Probabilities:
    torch.manual_seed(0)
    channels = F.interpolate(torch.randn(1, 3, 4, 5) * 5, size=(33, 49), mode="bicubic")[0].softmax(0)
    return Probabilities(channels, TAGS, (72, 101), request.param)


def test_the_likeliest_tag_is_that_of_the_strongest_resized_channel(some: Probabilities) -> None:
    resized = np.stack([some.of(tag) for tag in TAGS.tolist()])
    assert resized.shape == (3, 72, 101) and resized.dtype == np.float32
    found = some.likeliest()
    assert found.dtype == np.uint8 and (found == TAGS[resized.argmax(0)]).mean() > 0.999
    assert np.allclose(resized.sum(0), 1, atol=1e-5)


def test_a_channel_may_be_asked_for_at_another_size(some: Probabilities) -> None:
    assert np.array_equal(some.of(9, (33, 49)), some.channels[2].numpy())


def test_every_tag_there_is_fits() -> None:
    """256 channels: more than a byte has numbers beside the one that means "not known yet"."""
    channels = torch.zeros(256, 16, 16)
    channels[torch.arange(256), torch.arange(256) // 16, torch.arange(256) % 16] = 1
    tags = np.arange(256, dtype=np.uint8)
    found = Probabilities(channels, tags, (16, 16), align_corners=True).likeliest()
    assert np.array_equal(found, tags.reshape(16, 16))
