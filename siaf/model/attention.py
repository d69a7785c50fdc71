"""Global and local multi-head attention of AOT's transformer, written for speed on CPUs and GPUs alike.

Token tensors are float B×N×C (N = height × width, row-major); maps are B×C×H×W.
"""

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from siaf.model.partial_attention import PartialAttention, read_part

MASKED = -1e8  # AOT's logit of a position outside the image: finite, so that a padded query gives no NaN


def split_heads(x: Tensor, heads: int) -> Tensor:
    """B×N×C → B×heads×N×(C/heads)."""
    batch, tokens, dim = x.shape
    return x.view(batch, tokens, heads, dim // heads).transpose(1, 2)


def merge_heads(x: Tensor) -> Tensor:
    """B×heads×N×D → B×N×(heads·D)."""
    return x.transpose(1, 2).flatten(2)


class MultiheadAttention(nn.Module):
    """Attention over all tokens; `use_linear=False` takes queries, keys and values as they come (AOT's long-term
    read). `sharpness` multiplies the logits, but in training.
    """

    def __init__(self, dim: int, heads: int, use_linear: bool = True, sharpness: float = 1.0) -> None:
        super().__init__()
        self.heads, self.sharpness = heads, sharpness
        if use_linear:
            self.linear_Q = nn.Linear(dim, dim)
            self.linear_K = nn.Linear(dim, dim)
            self.linear_V = nn.Linear(dim, dim)
        self.use_linear = use_linear
        self.projection = nn.Linear(dim, dim)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None = None) -> Tensor:
        """B×N×C queries against B×M×C keys and values → B×N×C. `bias`, B×1×1×M, is added to the keys' logits."""
        if self.use_linear:
            query, key, value = self.linear_Q(query), self.linear_K(key), self.linear_V(value)
        query, key, value = (split_heads(x, self.heads) for x in (self._sharpened(query), key, value))
        return self._project(F.scaled_dot_product_attention(query, key, value, bias))

    def part(self, query: Tensor, key: Tensor, value: Tensor) -> PartialAttention:
        """What `forward` reads of some keys, without `use_linear`; `finish` makes of all parts what it returns."""
        return read_part(*(split_heads(x, self.heads) for x in (self._sharpened(query), key, value)))

    def finish(self, read: PartialAttention) -> Tensor:
        """All parts together → B×N×C."""
        return self._project(read.values)

    def _sharpened(self, query: Tensor) -> Tensor:
        return query if self.training or self.sharpness == 1 else query * self.sharpness

    def _project(self, read: Tensor) -> Tensor:
        out: Tensor = self.projection(merge_heads(read))
        return out


class LocalAttention(nn.Module):
    """Attention of every position to the window around it, with relative position terms (AOT's short-term read).

    Computed exactly in tiles: a tile of queries is multiplied with the one halo of keys that its windows cover, so no
    H·W×H·W matrix and no unfolded copy of the keys ever exists.
    """

    _TILE = 8  # rows and columns at most

    def __init__(self, dim: int, heads: int, radius: int = 7) -> None:
        super().__init__()
        self.heads, self.radius = heads, radius
        self.window = 2 * radius + 1
        head_dim = dim // heads
        self.relative_emb_k = nn.Conv2d(dim, heads * self.window**2, 1, groups=heads)
        self.relative_emb_v = nn.Parameter(torch.zeros(heads, head_dim, self.window**2))
        self.projection = nn.Linear(dim, dim)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, size: tuple[int, int]) -> Tensor:
        """B×N×C each, on the same H×W grid `size` → B×N×C."""
        out: Tensor = self.projection(self.read(query, key, value, size))
        return out

    def read(self, query: Tensor, key: Tensor, value: Tensor, size: tuple[int, int]) -> Tensor:
        """What `forward` projects: B×N×C, C the width of the values, which may differ from that of queries and keys."""
        batch, tokens, dim = query.shape
        height, width = size
        radius, heads, area = self.radius, self.heads, self.window**2
        rows, cols = -(-height // self._TILE), -(-width // self._TILE)
        tile = -(-height // rows), -(-width // cols)  # evenly, so that the last tile is hardly padded
        halo = tile[0] + 2 * radius, tile[1] + 2 * radius
        down, right = rows * tile[0] - height, cols * tile[1] - width
        count, queries = batch * rows * cols, tile[0] * tile[1]

        # heads×(B·tiles)×queries×D
        q = F.pad(query.reshape(batch, height, width, dim), (0, 0, 0, right, 0, down))
        q = q.view(batch, rows, tile[0], cols, tile[1], heads, -1).permute(5, 0, 1, 3, 2, 4, 6)
        q = q.reshape(heads, count, queries, dim // heads)

        def halos(x: Tensor) -> Tensor:
            """A view heads×B×rows×columns×(halo's rows, columns)×D."""
            x = F.pad(x.reshape(batch, height, width, -1), (0, 0, radius, right + radius, radius, down + radius))
            x = x.unfold(1, halo[0], tile[0]).unfold(2, halo[1], tile[1]).unflatten(3, (heads, -1))
            return x.permute(3, 0, 1, 2, 5, 6, 4)

        outside = _outside(height, width, tile, radius, query.device).repeat(batch, 1, 1)
        weight, shift = self.relative_emb_k.weight.view(heads, area, -1), self.relative_emb_k.bias
        assert shift is not None
        shift = shift.view(heads, area)
        reads = []
        # Head by head, as what belongs to one stays in a processor's cache.
        for head, (own, keys, values) in enumerate(zip(q, halos(key), halos(value), strict=True)):
            keys, values = (x.reshape(count, halo[0] * halo[1], -1) for x in (keys, values))
            near = torch.addmm(shift[head], own.flatten(0, 1), weight[head].t())
            windows = _windows((own / math.sqrt(own.shape[-1])) @ keys.mT, tile, radius)
            near = (windows + near.view(windows.shape)).view(count, queries, area)
            attention = near.masked_fill_(outside, max(MASKED, torch.finfo(near.dtype).min)).softmax(-1)
            spread = attention.new_zeros(count, queries, halo[0] * halo[1])
            _windows(spread, tile, radius).copy_(attention.view(windows.shape))
            read = spread @ values
            if self.relative_emb_v is not None:
                relative = self.relative_emb_v[head].t().to(read.dtype)
                read = read + (attention.flatten(0, 1) @ relative).view(read.shape)
            reads.append(read)

        read = torch.stack(reads)
        read = read.view(heads, batch, rows, cols, *tile, -1).permute(1, 2, 4, 3, 5, 0, 6)
        read = read.reshape(batch, rows * tile[0], cols * tile[1], -1)[:, :height, :width]
        return read.reshape(batch, tokens, -1)


def _windows(x: Tensor, tile: tuple[int, int], radius: int) -> Tensor:
    """Each query's own window of its tile's halo, as a view.

    N×(rows·columns of a tile)×(rows·columns of a halo) → N×rows×columns×window×window. Query (y, x) of the tile sees
    halo rows y … y + 2·radius, columns likewise. One step of a query moves its window by one step of the halo, so plain
    strides say it all, and no index is read.
    """
    count, queries, area = x.shape
    halo, window = tile[1] + 2 * radius, 2 * radius + 1
    strides = (queries * area, tile[1] * area + halo, area + 1, halo, 1)
    return x.as_strided((count, *tile, window, window), strides, x.storage_offset())


@lru_cache(maxsize=32)
@torch.inference_mode(mode=False)
def _outside(height: int, width: int, tile: tuple[int, int], radius: int, device: torch.device) -> Tensor:
    """Which window positions lie outside the image: bool tiles×queries×window²."""

    def axis(length: int, step: int) -> Tensor:
        start = torch.arange(0, -(-length // step) * step, device=device)
        reach = start[:, None] + torch.arange(-radius, radius + 1, device=device)
        return ((reach < 0) | (reach >= length)).view(-1, step, 2 * radius + 1)

    rows, cols = axis(height, tile[0]), axis(width, tile[1])
    both = rows[:, None, :, None, :, None] | cols[None, :, None, :, None, :]
    return both.reshape(len(rows) * len(cols), tile[0] * tile[1], -1)
