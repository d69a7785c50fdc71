"""Tiny-ViT as an encoder: maps at the strides that segmentation needs, windows that cover any size."""

import pytest
import torch

from siaf.model.encoders import build_encoder
from siaf.model.tinyvit import Block, TinyViTEncoder


@pytest.mark.parametrize("size", [(209, 209), (65, 113)])
def test_maps_have_strides_4_8_16_16(size: tuple[int, int]) -> None:
    net = TinyViTEncoder(4).eval()
    with torch.inference_mode():
        maps = net(torch.randn(2, 3, *size))
    expected = [tuple(-(-side // stride) for side in size) for stride in (4, 8, 16, 16)]
    assert [tuple(m.shape) for m in maps] == [(2, c, *s) for c, s in zip((64, 128, 160, 320), expected, strict=True)]
    assert net.channels == (64, 128, 160, 320)


def test_without_the_deepest_stage_the_other_maps_are_the_same() -> None:
    deep, shallow = build_encoder("tinyvit", "full").eval(), build_encoder("tinyvit", "stride16").eval()
    shallow.load_state_dict({k: v for k, v in deep.state_dict().items() if k in shallow.state_dict()})
    image = torch.randn(1, 3, 65, 65)
    with torch.inference_mode():
        for a, b in zip(shallow(image), deep(image), strict=False):
            assert torch.equal(a, b)


def test_extra_input_channels_enter_the_stem() -> None:
    net = build_encoder("tinyvit", "full", in_channels=35)
    assert net.stem.weight.shape[1] == 35


def test_a_block_sees_its_own_window_and_what_borders_it() -> None:
    torch.manual_seed(0)
    block = Block(64, window=7).eval()
    x = torch.randn(1, 64, 14, 21)
    changed = x.clone()
    changed[:, :, 0, 0] += 1
    with torch.inference_mode():
        reached = (block(x) != block(changed)).any(1)[0]
    assert reached[:7, :7].all()
    assert reached[:8, 7].all() and not reached[:, 8:].any() and not reached[8:].any()


def test_attention_is_biased_by_distance_alone() -> None:
    attention = Block(64, window=7).attn
    row, column = 2 * 7 + 3, 4 * 7 + 1  # cells (2, 3) and (4, 1): two rows and two columns apart
    assert attention.distance[row, column] == attention.distance[column, row] == 2 * 7 + 2
    assert torch.equal(attention.distance[0], torch.arange(49))
