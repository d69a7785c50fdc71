"""Across-frame attention, AFA (paper Eq. 4): deformable self-attention inside each frame, then attention between
frames.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from siaf.model.attention import MultiheadAttention
from siaf.model.layers import sine_position, to_map, to_tokens


class DeformableAttention(nn.Module):
    """Multi-scale deformable self-attention (Deformable DETR): every token samples a few points of every scale."""

    def __init__(self, dim: int, heads: int, levels: int = 2, points: int = 4) -> None:
        super().__init__()
        self.heads, self.levels, self.points = heads, levels, points
        self.sampling_offsets = nn.Linear(dim, heads * levels * points * 2)
        self.attention_weights = nn.Linear(dim, heads * levels * points)
        self.value_proj = nn.Linear(dim, dim)
        self.output_proj = nn.Linear(dim, dim)
        self._initialise()

    def _initialise(self) -> None:
        # Each head starts by looking in its own direction, point i at distance i + 1 cells; all points weigh the same.
        nn.init.zeros_(self.sampling_offsets.weight)
        nn.init.zeros_(self.attention_weights.weight)
        nn.init.zeros_(self.attention_weights.bias)
        angle = torch.arange(self.heads) * (2 * math.pi / self.heads)
        direction = torch.stack((angle.cos(), angle.sin()), -1)
        direction = direction / direction.abs().amax(-1, keepdim=True)
        reach = torch.arange(1, self.points + 1).view(1, 1, -1, 1)
        with torch.no_grad():
            bias = (direction.view(self.heads, 1, 1, 2) * reach).expand(-1, self.levels, -1, -1)
            self.sampling_offsets.bias.copy_(bias.flatten())
        for linear in (self.value_proj, self.output_proj):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)

    def forward(self, query: Tensor, values: Tensor, sizes: list[tuple[int, int]]) -> Tensor:
        """Queries and values B×N×C over the concatenated scales `sizes` → B×N×C."""
        batch, tokens, dim = query.shape
        heads, points = self.heads, self.points
        offsets = self.sampling_offsets(query).view(batch, tokens, heads, self.levels, points, 2)
        weights = self.attention_weights(query).view(batch, tokens, heads, -1).softmax(-1)
        weights = weights.view(batch, tokens, heads, self.levels, points)
        centres = _cell_centres(sizes, query.device)  # N×2, (x, y) in 0…1
        value = self.value_proj(values).split([h * w for h, w in sizes], dim=1)
        read = query.new_zeros(batch * heads, dim // heads, tokens)
        for level, (height, width) in enumerate(sizes):
            plane = to_map(value[level], (height, width)).reshape(batch * heads, dim // heads, height, width)
            scale = torch.tensor((width, height), dtype=offsets.dtype, device=query.device)
            where = centres[None, :, None, None] + offsets[:, :, :, level] / scale
            # Tokens last: sums over a few points then run along memory.
            grid = (2 * where - 1).permute(0, 2, 3, 1, 4).reshape(batch * heads, points, tokens, 2)
            sampled = F.grid_sample(plane, grid.to(plane.dtype), mode="bilinear", align_corners=False)
            weight = weights[:, :, :, level].permute(0, 2, 3, 1).reshape(batch * heads, 1, points, tokens)
            for point in range(points):  # no product of all points at once, which would be the largest tensor here
                read = read + sampled[:, :, point] * weight[:, :, point]
        out: Tensor = self.output_proj(read.view(batch, dim, tokens).transpose(1, 2))
        return out


def _cell_centres(sizes: list[tuple[int, int]], device: torch.device) -> Tensor:
    grids = []
    for height, width in sizes:
        rows = (torch.arange(height, device=device) + 0.5) / height
        cols = (torch.arange(width, device=device) + 0.5) / width
        y, x = torch.meshgrid(rows, cols, indexing="ij")
        grids.append(torch.stack((x, y), -1).flatten(0, 1))
    return torch.cat(grids)


class FeedForward(nn.Module):
    """Residual two-layer perceptron behind a LayerNorm: B×N×C → B×N×C."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.linear1 = nn.Linear(dim, 4 * dim)
        self.linear2 = nn.Linear(4 * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.linear2(F.relu(self.linear1(self.norm(x))))
        return out


class AcrossFrameAttention(nn.Module):
    """AFA: middle-level features of all interacted frames in, the same enriched from each other out."""

    def __init__(self, channels: tuple[int, int], dim: int, heads: int) -> None:
        super().__init__()
        self.inputs = nn.ModuleList(
            nn.Sequential(nn.Conv2d(c, dim, 1), nn.GroupNorm(32 if dim % 32 == 0 else 8, dim)) for c in channels
        )
        self.level_embedding = nn.Parameter(torch.randn(2, dim) * 0.02)
        self.norm_inside = nn.LayerNorm(dim)
        self.inside = DeformableAttention(dim, heads)
        self.feed_inside = FeedForward(dim)
        self.norm_across = nn.LayerNorm(dim)
        self.across = MultiheadAttention(dim, heads)
        self.feed_across = FeedForward(dim)

    def forward(self, fine: Tensor, coarse: Tensor, frames: int) -> tuple[Tensor, Tensor]:
        """Maps at strides 8 and 16, (clips·frames)×C×h×w each → the same two maps with C = dim."""
        fine, coarse = self.within(fine, coarse)
        return fine, self.between(coarse, frames)

    def within(self, fine: Tensor, coarse: Tensor) -> tuple[Tensor, Tensor]:
        """What every frame reads of itself: the two maps, N×C×h×w each, with C = dim."""
        maps = [layer(x) for layer, x in zip(self.inputs, (fine, coarse), strict=True)]
        sizes = [(m.shape[2], m.shape[3]) for m in maps]
        x = torch.cat([to_tokens(m) for m in maps], dim=1)
        position = torch.cat(
            [sine_position(s, x.shape[-1], x.device) + e for s, e in zip(sizes, self.level_embedding, strict=True)],
            dim=1,
        )
        normed = self.norm_inside(x)
        x = self.feed_inside(x + self.inside(normed + position, normed, sizes))
        parts = x.split([h * w for h, w in sizes], dim=1)
        return to_map(parts[0], sizes[0]), to_map(parts[1], sizes[1])

    def between(self, coarse: Tensor, frames: int) -> Tensor:
        """Attention between frames, on the stride-16 map of `within`: all tokens of one clip's `frames` frames."""
        x = to_tokens(coarse).unflatten(0, (-1, frames)).flatten(1, 2)
        normed = self.norm_across(x)
        x = self.feed_across(x + self.across(normed, normed, normed))
        return to_map(x.unflatten(1, (frames, -1)).flatten(0, 1), (coarse.shape[2], coarse.shape[3]))
