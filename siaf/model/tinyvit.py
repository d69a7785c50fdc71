"""Tiny-ViT (Wu et al., ECCV 2022) as a dense encoder: 5M parameters, no map coarser than stride 16.

The layout is that of Segment Anything's small distilled encoders, whose third reduction keeps the resolution, so that
their weights fit. Batch norms are folded into their convolutions, as such weights are published.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from siaf.model.layers import early_fusion

_WIDTHS = (64, 128, 160, 320)
DEPTHS = (2, 2, 6, 2)
_WINDOWS = (0, 7, 14, 7)
_HEAD = 32


def _depthwise(channels: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels, channels, 3, stride, 1, groups=channels)


class InvertedResidual(nn.Module):
    """Expand, convolve every channel, project, add: N×C×h×w → the same shape."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.expand = nn.Conv2d(width, 4 * width, 1)
        self.depthwise = _depthwise(4 * width)
        self.project = nn.Conv2d(4 * width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.gelu(x + self.project(F.gelu(self.depthwise(F.gelu(self.expand(x))))))


class Reduction(nn.Module):
    """Between stages: N×C×h×w → N×C'×(h/stride)×(w/stride)."""

    def __init__(self, width: int, out: int, stride: int) -> None:
        super().__init__()
        self.expand = nn.Conv2d(width, out, 1)
        self.depthwise = _depthwise(out, stride)
        self.project = nn.Conv2d(out, out, 1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.project(F.gelu(self.depthwise(F.gelu(self.expand(x)))))
        return out


class WindowAttention(nn.Module):
    """Self-attention inside square windows, with a learnt bias per head and distance: N×L×C → N×L×C, L = window²."""

    def __init__(self, width: int, window: int) -> None:
        super().__init__()
        self.heads = width // _HEAD
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.attention_biases = nn.Parameter(torch.zeros(self.heads, window * window))
        cells = torch.cartesian_prod(torch.arange(window), torch.arange(window))
        apart = (cells[:, None] - cells[None]).abs()
        # Which of the window² distances (rows, columns) lies between two cells.
        self.distance: Tensor
        self.register_buffer("distance", apart[..., 0] * window + apart[..., 1], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        windows, cells, width = x.shape
        # Every head has its query, key and value side by side.
        parts = self.qkv(self.norm(x)).view(windows, cells, self.heads, 3, _HEAD).permute(3, 0, 2, 1, 4)
        query, key, value = parts.unbind(0)
        bias = self.attention_biases.index_select(1, self.distance.flatten()).to(query.dtype)
        bias = bias.view(1, self.heads, cells, cells)
        read = F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        out: Tensor = self.proj(read.transpose(1, 2).reshape(windows, cells, width))
        return out


class Perceptron(nn.Module):
    """LayerNorm and two linear layers: N×L×C → N×L×C."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc2(F.gelu(self.fc1(self.norm(x))))
        return out


class Block(nn.Module):
    """Window attention, a depthwise convolution that lets windows see each other, a perceptron: N×C×h×w."""

    def __init__(self, width: int, window: int) -> None:
        super().__init__()
        self.window = window
        self.attn = WindowAttention(width, window)
        self.local_conv = _depthwise(width)
        self.mlp = Perceptron(width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self._inside_windows(x)
        x = self.local_conv(x)
        out: Tensor = x + self.mlp(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return out

    def _inside_windows(self, x: Tensor) -> Tensor:
        batch, width, rows, columns = x.shape
        side = self.window
        down, across = -(-rows // side), -(-columns // side)
        cells = F.pad(x.permute(0, 2, 3, 1), (0, 0, 0, across * side - columns, 0, down * side - rows))
        cells = cells.view(batch, down, side, across, side, width).transpose(2, 3).reshape(-1, side * side, width)
        cells = self.attn(cells).view(batch, down, across, side, side, width).transpose(2, 3)
        whole: Tensor = cells.reshape(batch, down * side, across * side, width)
        return whole[:, :rows, :columns].permute(0, 3, 1, 2)


class TinyViTEncoder(nn.Module):
    """Maps at strides 4, 8, 16 and, with four stages, a deeper one at stride 16."""

    def __init__(self, stages: int, in_channels: int = 3) -> None:
        super().__init__()
        self.channels = _WIDTHS[:stages]
        self.patch_embed = nn.Sequential(
            nn.Conv2d(in_channels, 32, 3, 2, 1), nn.GELU(), nn.Conv2d(32, _WIDTHS[0], 3, 2, 1)
        )
        self.stages = nn.ModuleList()
        self.reductions = nn.ModuleList()
        for i, (width, depth, window) in enumerate(zip(self.channels, DEPTHS, _WINDOWS, strict=False)):
            blocks = [Block(width, window) if window else InvertedResidual(width) for _ in range(depth)]
            self.stages.append(nn.Sequential(*blocks))
            if i + 1 < stages:
                self.reductions.append(Reduction(width, _WIDTHS[i + 1], stride=1 if i == 2 else 2))

    @property
    def stem(self) -> nn.Conv2d:
        """The convolution that sees the input channels."""
        stem = self.patch_embed[0]
        assert isinstance(stem, nn.Conv2d)
        return stem

    def forward(self, image: Tensor, fused: Tensor | None = None) -> list[Tensor]:
        """Float N×C×H×W → the maps, finest first. `fused`: see `early_fusion`."""
        *_, levels = self.in_parts(image, fused)
        return levels

    def in_parts(self, image: Tensor, fused: Tensor | None = None) -> Iterator[list[Tensor]]:
        """The maps that are there after each block, all of them after the last."""
        levels: list[Tensor] = []
        x = self.patch_embed[1:](early_fusion(self.stem, image, fused))
        for i, stage in enumerate(self.stages):
            if i:
                x = self.reductions[i - 1](x)
            assert isinstance(stage, nn.Sequential)
            *first, last = stage
            for block in first:
                x = block(x)
                yield levels
            x = last(x)
            levels.append(x)
            yield levels
