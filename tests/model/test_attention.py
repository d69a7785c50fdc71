"""Local attention is exact: tiles give what a plain loop over windows gives."""

import math

import pytest
import torch
from torch import Tensor

from siaf.model.attention import LocalAttention, MultiheadAttention


def plain_local_attention(
    layer: LocalAttention, query: Tensor, key: Tensor, value: Tensor, size: tuple[int, int]
) -> Tensor:
    """The definition, position by position: scaled dot products plus relative terms over the window inside the
    image.
    """
    (height, width), heads, r = size, layer.heads, layer.radius
    dim = query.shape[-1] // heads
    bias_weight = layer.relative_emb_k.weight.view(heads, layer.window**2, dim)
    bias_shift = layer.relative_emb_k.bias.view(heads, layer.window**2)
    split = lambda x: x.view(height, width, heads, dim)  # noqa: E731
    q, k, v = split(query[0]), split(key[0]), split(value[0])
    out = torch.zeros_like(q)
    for y in range(height):
        for x in range(width):
            for h in range(heads):
                logits, values = [], []
                for dy in range(-r, r + 1):
                    for dx in range(-r, r + 1):
                        if 0 <= y + dy < height and 0 <= x + dx < width:
                            w = (dy + r) * layer.window + dx + r
                            bias = bias_weight[h, w] @ q[y, x, h] + bias_shift[h, w]
                            logits.append(q[y, x, h] @ k[y + dy, x + dx, h] / math.sqrt(dim) + bias)
                            values.append(v[y + dy, x + dx, h] + layer.relative_emb_v[h, :, w])
                out[y, x, h] = torch.stack(logits).softmax(0) @ torch.stack(values)
    return layer.projection(out.view(1, height * width, -1))


@pytest.mark.parametrize("size", [(3, 5), (8, 8), (9, 17), (1, 1)])
def test_tiles_equal_the_definition(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    layer = LocalAttention(dim=8, heads=2, radius=2)
    torch.nn.init.normal_(layer.relative_emb_v)
    tensors = [torch.randn(1, size[0] * size[1], 8) for _ in range(3)]
    with torch.no_grad():
        assert torch.allclose(layer(*tensors, size), plain_local_attention(layer, *tensors, size), atol=1e-5)


def test_batch_equals_one_by_one() -> None:
    torch.manual_seed(0)
    layer = LocalAttention(dim=8, heads=2, radius=3)
    query, key, value = (torch.randn(3, 7 * 9, 8) for _ in range(3))
    with torch.no_grad():
        batched = layer(query, key, value, (7, 9))
        single = torch.cat([layer(query[i : i + 1], key[i : i + 1], value[i : i + 1], (7, 9)) for i in range(3)])
    assert torch.allclose(batched, single, atol=1e-6)


def test_global_attention_ignores_the_order_of_memory() -> None:
    torch.manual_seed(0)
    layer = MultiheadAttention(16, heads=4, use_linear=False)
    query, key, value = torch.randn(1, 5, 16), torch.randn(1, 20, 16), torch.randn(1, 20, 16)
    order = torch.randperm(20)
    with torch.no_grad():
        assert torch.allclose(layer(query, key, value), layer(query, key[:, order], value[:, order]), atol=1e-5)


def test_sharpness_multiplies_the_logits_but_in_training() -> None:
    torch.manual_seed(0)
    plain = MultiheadAttention(16, heads=4, use_linear=False).eval()
    sharp = MultiheadAttention(16, heads=4, use_linear=False, sharpness=1.5).eval()
    sharp.load_state_dict(plain.state_dict())
    query, key, value = torch.randn(1, 5, 16), torch.randn(1, 20, 16), torch.randn(1, 20, 16)
    with torch.no_grad():
        found, expected = sharp(query, key, value), plain(1.5 * query, key, value)
        assert torch.allclose(found, expected, atol=1e-6)
        assert torch.allclose(sharp.finish(sharp.part(query, key, value)), expected, atol=1e-6)
        assert torch.allclose(sharp.train()(query, key, value), plain(query, key, value), atol=1e-6)


def test_a_key_with_a_bias_counts_as_if_it_were_there_more_often() -> None:
    torch.manual_seed(0)
    layer = MultiheadAttention(16, heads=4, use_linear=False).eval()
    query, key, value = torch.randn(1, 5, 16), torch.randn(1, 3, 16), torch.randn(1, 3, 16)
    bias = torch.tensor([math.log(2), 0, 0]).view(1, 1, 1, 3)
    twice = [0, 0, 1, 2]
    with torch.no_grad():
        found, expected = layer(query, key, value, bias), layer(query, key[:, twice], value[:, twice])
    assert torch.allclose(found, expected, atol=1e-6)


def test_training_works_after_inference_on_the_same_size() -> None:
    layer = LocalAttention(dim=8, heads=2, radius=2)
    tokens = torch.randn(1, 6 * 7, 8)
    with torch.inference_mode():
        layer(tokens, tokens, tokens, (6, 7))
    layer(tokens, tokens, tokens, (6, 7)).sum().backward()
    assert layer.relative_emb_v.grad is not None
