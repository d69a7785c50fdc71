"""Global and local multi-head attention of AOT's transformer, written for speed on CPUs and GPUs alike.

Token tensors are float B×N×C (N = height × width, row-major); maps are B×C×H×W.
"""

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

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
    read).
    """

    def __init__(self, dim: int, heads: int, use_linear: bool = True) -> None:
        super().__init__()
        self.heads = heads
        if use_linear:
            self.linear_Q = nn.Linear(dim, dim)
            self.linear_K = nn.Linear(dim, dim)
            self.linear_V = nn.Linear(dim, dim)
        self.use_linear = use_linear
        self.projection = nn.Linear(dim, dim)

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """B×N×C queries against B×M×C keys and values → B×N×C."""
        if self.use_linear:
            query, key, value = self.linear_Q(query), self.linear_K(key), self.linear_V(value)
        query, key, value = (split_heads(x, self.heads) for x in (query, key, value))
        read = F.scaled_dot_product_attention(query, key, value)
        out: Tensor = self.projection(merge_heads(read))
        return out


class LocalAttention(nn.Module):
    """Attention of every position to the window around it, with relative position terms (AOT's short-term read).

    Computed exactly in tiles: a tile of queries is multiplied with the one halo of keys that its windows cover, so no
    H·W×H·W matrix and no unfolded copy of the keys ever exists.
    """

    _TILE = 8
    relative_emb_v: nn.Parameter | None

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
        batch, tokens, _ = query.shape
        height, width = size
        tile, radius, heads = self._TILE, self.radius, self.heads
        rows, cols = -(-height // tile), -(-width // tile)
        halo = tile + 2 * radius

        def to_map(x: Tensor) -> Tensor:
            return x.transpose(1, 2).reshape(batch, -1, height, width)

        bias = self.relative_emb_k(to_map(query)).view(batch, heads * self.window**2, height, width)
        pad = (0, cols * tile - width, 0, rows * tile - height)

        def tiles(x: Tensor) -> Tensor:
            # B×(heads·D)×H×W → (B·tiles)×heads×(tile²)×D
            x = F.pad(x, pad).view(batch, heads, -1, rows, tile, cols, tile)
            return x.permute(0, 3, 5, 1, 4, 6, 2).reshape(batch * rows * cols, heads, tile * tile, -1)

        def halos(x: Tensor) -> Tensor:
            # B×C×H×W → (B·tiles)×heads×(halo²)×D
            x = F.pad(x, (radius, pad[1] + radius, radius, pad[3] + radius))
            x = x.unfold(2, halo, tile).unfold(3, halo, tile).reshape(batch, heads, -1, rows, cols, halo, halo)
            return x.permute(0, 3, 4, 1, 5, 6, 2).reshape(batch * rows * cols, heads, halo * halo, -1)

        q, k, v = tiles(to_map(query)), halos(to_map(key)), halos(to_map(value))
        index = _window_index(tile, radius, query.device).expand(*q.shape[:2], -1, -1)
        outside = _outside(height, width, tile, radius, query.device)
        outside = outside.repeat(batch, 1, 1).unsqueeze(1)

        logits = ((q / math.sqrt(q.shape[-1])) @ k.transpose(-1, -2)).gather(-1, index)
        attention = (logits + tiles(bias)).masked_fill(outside, MASKED).softmax(-1)
        spread = torch.zeros(*q.shape[:3], halo * halo, dtype=attention.dtype, device=q.device)
        read = spread.scatter(-1, index, attention) @ v
        if self.relative_emb_v is not None:
            read = read + attention @ self.relative_emb_v.transpose(1, 2).to(v.dtype)

        read = read.view(batch, rows, cols, heads, tile, tile, -1).permute(0, 1, 4, 2, 5, 3, 6)
        read = read.reshape(batch, rows * tile, cols * tile, -1)[:, :height, :width]
        return read.reshape(batch, tokens, -1)


@lru_cache(maxsize=8)
@torch.inference_mode(mode=False)  # kept for later calls, which may train
def _window_index(tile: int, radius: int, device: torch.device) -> Tensor:
    """Where in the flattened halo each query's window lies: long tile²×window²."""
    halo, window = tile + 2 * radius, 2 * radius + 1
    at, offset = torch.arange(tile, device=device), torch.arange(window, device=device)
    rows = at[:, None, None, None] + offset[None, None, :, None]
    cols = at[None, :, None, None] + offset[None, None, None, :]
    return (rows * halo + cols).reshape(tile * tile, window * window)


@lru_cache(maxsize=32)
@torch.inference_mode(mode=False)
def _outside(height: int, width: int, tile: int, radius: int, device: torch.device) -> Tensor:
    """Which window positions lie outside the image: bool tiles×tile²×window²."""

    def axis(length: int) -> Tensor:
        start = torch.arange(0, -(-length // tile) * tile, device=device)
        reach = start[:, None] + torch.arange(-radius, radius + 1, device=device)
        return ((reach < 0) | (reach >= length)).view(-1, tile, 2 * radius + 1)

    rows, cols = axis(height), axis(width)
    both = rows[:, None, :, None, :, None] | cols[None, :, None, :, None, :]
    return both.reshape(len(rows) * len(cols), tile * tile, -1)
