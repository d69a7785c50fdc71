"""Index masks without resizing every channel: the same as with."""

import pytest
import torch
import torch.nn.functional as F

from siaf.model.winners import winners


def smooth_logits(channels: int, size: tuple[int, int], seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    rough = torch.randn(1, channels, 4, 5, generator=generator) * 5
    return F.interpolate(rough, size=size, mode="bicubic")[0]


@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize("channels", [1, 2, 11])
@pytest.mark.parametrize(
    ("coarse", "full"),
    [((17, 23), (65, 89)), ((17, 23), (101, 97)), ((9, 9), (5, 7)), ((1, 6), (1, 40)), ((3, 3), (3, 3))],
)
def test_every_pixel_gets_the_strongest_interpolated_channel(
    coarse: tuple[int, int], full: tuple[int, int], channels: int, align_corners: bool
) -> None:
    for seed in range(3):
        logits = smooth_logits(channels, coarse, seed)
        resized = F.interpolate(logits[None], size=full, mode="bilinear", align_corners=align_corners)[0]
        found = winners(logits, full, align_corners)
        chosen = resized.gather(0, found.long()[None])[0]
        assert (resized.max(0).values - chosen).max() <= 1e-4
        assert (found == resized.argmax(0)).float().mean() > 0.999
