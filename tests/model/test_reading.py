"""Attention in parts is attention to all."""

import torch
import torch.nn.functional as F

from siaf.model.partial_attention import read_part


def test_parts_join_to_what_all_keys_give_in_any_order() -> None:
    torch.manual_seed(0)
    query, key, value = (torch.randn(2, 4, n, 8) * 3 for n in (11, 30, 30))
    whole = F.scaled_dot_product_attention(query, key, value)
    parts = [read_part(query, key[:, :, a:b], value[:, :, a:b]) for a, b in ((0, 7), (7, 25), (25, 30))]
    for one, two, three in ((0, 1, 2), (2, 1, 0)):
        joined = parts[one].join(parts[two]).join(parts[three])
        assert torch.allclose(joined.values, whole, atol=1e-5)
        assert torch.allclose(joined.logsumexp, (query @ key.mT / 8**0.5).logsumexp(-1), atol=1e-5)


def test_keys_that_are_far_more_alike_leave_nothing_to_the_others() -> None:
    """Weights are logarithms: sums of exponentials would overflow."""
    query = torch.full((1, 1, 1, 4), 100.0)
    strong, weak = torch.full((1, 1, 1, 4), 100.0), torch.full((1, 1, 1, 4), -100.0)
    ours, theirs = torch.ones(1, 1, 1, 4), torch.zeros(1, 1, 1, 4)
    joined = read_part(query, weak, theirs).join(read_part(query, strong, ours))
    assert torch.equal(joined.values, ours)
