"""The fine decoder: tag by tag at stride 4, with what the frame before says of each tag's pixels.

The transformer matches on a grid of stride 16, and its decoder has to guess edges, thin parts and which of two
look-alikes is which. Here every cell of stride 4 looks for itself in a window of the frame before and takes over whose
it was there. A small head, the same for every tag, weighs that against the decoder's answer.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from siaf.model.attention import LocalAttention
from siaf.model.layers import to_map, to_tokens

KEY_DIM = 32
_WIDTH = 24
_LEAST = 1e-4
"""Probabilities are kept this far from 0 and 1."""


class LabelTransport(LocalAttention):
    """Local attention of one head whose values are labels: they come through as they are."""

    def __init__(self, dim: int, radius: int = 7) -> None:
        super().__init__(dim, heads=1, radius=radius)
        del self.projection
        self.register_parameter("relative_emb_v", None)
        self.sharpness = nn.Parameter(torch.tensor(3.0))
        """Logarithm of the factor of the cosine between a cell and another one."""
        nn.init.zeros_(self.relative_emb_k.weight)
        assert self.relative_emb_k.bias is not None
        nn.init.zeros_(self.relative_emb_k.bias)

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:  # type: ignore[override]
        """Maps of unit vectors B×C×h×w of this frame and of the one before, labels B×K×h×w there → labels here.

        Channel 0 of the labels is the background. Where a window sees nothing else, nothing is looked up.
        """
        seeing = _box(value[:, 0] < 1, self.radius)
        near = _box(value[:, 0] < 1, 2 * self.radius)  # whatever the windows of `seeing` see
        moved = torch.zeros_like(value)
        moved[:, 0] = 1
        if seeing is None or near is None:
            return moved
        query, key, value = (x[(..., *near)] for x in (query, key, value))
        grid = (query.shape[2], query.shape[3])
        scale = self.sharpness.exp() * query.shape[1] ** 0.5
        found = to_map(self.read(to_tokens(query) * scale, to_tokens(key), to_tokens(value), grid), grid)
        rows, cols = (slice(s.start - n.start, s.stop - n.start) for s, n in zip(seeing, near, strict=True))
        moved[(..., *seeing)] = found[..., rows, cols].to(moved.dtype)
        return moved


class FineDecoder(nn.Module):
    """See the module. `shortcuts`: channels of the encoder's maps at strides 4, 8, 16; `hidden`: of the decoder's last
    map."""

    def __init__(self, shortcuts: tuple[int, ...], hidden: int) -> None:
        super().__init__()
        self.key = nn.Conv2d(sum(shortcuts), KEY_DIM, 1, bias=False)
        nn.init.orthogonal_(self.key.weight.view(KEY_DIM, -1))
        self.transport = LabelTransport(KEY_DIM)
        self.trunk = nn.Conv2d(hidden + KEY_DIM, _WIDTH, 3, padding=1)
        self.own = nn.Conv2d(7, _WIDTH, 3, padding=1)
        self.mix = nn.Sequential(
            nn.ReLU(), nn.Conv2d(_WIDTH, _WIDTH, 3, padding=1), nn.ReLU(), nn.Conv2d(_WIDTH, 1, 3, padding=1)
        )
        last = self.mix[-1]
        assert isinstance(last, nn.Conv2d) and last.bias is not None
        nn.init.zeros_(last.weight)  # begins as the decoder's own answer
        nn.init.zeros_(last.bias)

    def encode(self, levels: tuple[Tensor, Tensor, Tensor], align_corners: bool) -> Tensor:
        """The encoder's maps at strides 4, 8, 16 → unit vectors B×KEY_DIM×h×w at stride 4, for `forward`."""
        size = levels[0].shape[-2:]
        maps = [
            F.interpolate(F.normalize(x, dim=1), size=size, mode="bilinear", align_corners=align_corners)
            for x in levels
        ]
        return F.normalize(self.key(torch.cat(maps, dim=1)), dim=1)

    def shared_features(self, hidden: Tensor, key: Tensor) -> Tensor:
        """What all tags share: a map of the decoder B×hidden×h×w, and the frame's own `encode` → B×C×h×w."""
        out: Tensor = self.trunk(torch.cat((hidden, key), dim=1))
        return out

    def forward(
        self, scores: Tensor, trunk: Tensor, key: Tensor, before: tuple[Tensor, Tensor] | None, valid: Tensor
    ) -> Tensor:
        """Probabilities B×K×h×w, background first, and `shared_features` for each, B×K×C×h×w (or B×1×…, for all alike).

        `key`: `encode` of this frame; `before`: that of the frame before, and its labels B×K×h×w in 0…1, if there is
        one; `valid` bool B×K: channels that stand for something. Returns logits B×K×h×w, meaningful where valid.
        """
        return self.weigh(scores, trunk, self.carry(scores, key, before), valid)

    def carry(self, scores: Tensor, key: Tensor, before: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor] | None:
        """What the frame before says, as of `forward`: its labels where their cells went, and where they were."""
        if before is None:
            return None
        previous = before[1].to(scores.dtype)
        return self.transport(key, before[0], previous).to(scores.dtype), previous

    def weigh(self, scores: Tensor, trunk: Tensor, carried: tuple[Tensor, Tensor] | None, valid: Tensor) -> Tensor:
        """The rest of `forward`, with what `carry` gave."""
        batch, tags = scores.shape[:2]
        moved, previous = (torch.zeros_like(scores),) * 2 if carried is None else carried
        scores = scores.clamp(_LEAST, 1 - _LEAST)
        background = torch.zeros_like(scores)
        background[:, 0] = 1
        known = torch.full_like(scores, float(carried is not None))
        rivals = _rivals(moved, valid), _rivals(previous, valid)
        given = torch.stack([scores.logit() / 4, moved, previous, *rivals, background, known], dim=2)
        own = self.own(given.flatten(0, 1)).unflatten(0, (batch, tags))
        change = self.mix((own + trunk).flatten(0, 1)).unflatten(0, (batch, tags))[:, :, 0]
        out: Tensor = scores.log() + change
        return out


def _box(shown: Tensor, margin: int) -> tuple[slice, slice] | None:
    """Rows and columns of the box around all that is true in B×h×w, grown by `margin`; None if nothing is."""
    spans = []
    for axis in (1, 2):
        at = shown.any(0).any(2 - axis).nonzero().flatten()
        if not len(at):
            return None
        spans.append(slice(max(0, int(at[0]) - margin), min(shown.shape[axis], int(at[-1]) + margin + 1)))
    return spans[0], spans[1]


def stride_four(labels: Tensor, channels: int) -> Tensor:
    """Integer labels B×H×W of the network's input → the share of every channel in each cell, float B×channels×h×w."""
    tags = torch.arange(channels, dtype=labels.dtype, device=labels.device)
    shown = (labels[:, None] == tags[:, None, None]).float()
    return F.avg_pool2d(shown, 5, stride=4, padding=2, count_include_pad=False)


def _rivals(maps: Tensor, valid: Tensor) -> Tensor:
    """For every channel the largest of the other valid ones, B×K×h×w."""
    maps = maps.masked_fill(~valid[:, :, None, None], 0)
    if maps.shape[1] == 1:
        return torch.zeros_like(maps)
    best = maps.topk(2, dim=1)
    first = best.values[:, :1]
    own = torch.arange(maps.shape[1], device=maps.device)[:, None, None]
    return torch.where(best.indices[:, :1] == own, best.values[:, 1:2], first)
