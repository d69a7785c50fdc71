"""Swin Transformer encoder with the parameter names of Microsoft's release (which AOT's Swin-B checkpoints use).

The arithmetic of shifted-window attention is torchvision's; only the module tree is ours, because torchvision names and
nests its parameters differently.
"""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.swin_transformer import shifted_window_attention

from siaf.model.layers import early_fusion

_WINDOW = 7


class WindowAttention(nn.Module):
    """Parameters of window attention with a relative position bias."""

    relative_position_index: Tensor

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * _WINDOW - 1) ** 2, heads))
        axis = torch.arange(_WINDOW)
        cells = torch.stack(torch.meshgrid(axis, axis, indexing="ij")).flatten(1)
        offsets = cells[:, :, None] - cells[:, None, :] + _WINDOW - 1
        self.register_buffer("relative_position_index", offsets[0] * (2 * _WINDOW - 1) + offsets[1])
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor, shift: int) -> Tensor:
        bias = self.relative_position_bias_table[self.relative_position_index.flatten()]
        bias = bias.view(_WINDOW**2, _WINDOW**2, -1).permute(2, 0, 1).unsqueeze(0)
        out: Tensor = shifted_window_attention(
            x,
            self.qkv.weight,
            self.proj.weight,
            bias,
            [_WINDOW, _WINDOW],
            self.heads,
            [shift, shift],
            qkv_bias=self.qkv.bias,
            proj_bias=self.proj.bias,
        )
        return out


class Mlp(nn.Module):
    """Two linear layers with GELU."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, 4 * dim)
        self.fc2 = nn.Linear(4 * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc2(F.gelu(self.fc1(x)))
        return out


class SwinBlock(nn.Module):
    """Window attention and MLP, each behind a LayerNorm, with residuals."""

    def __init__(self, dim: int, heads: int, shift: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attn = WindowAttention(dim, heads)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim)
        self.shift = shift

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x), self.shift)
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


class PatchMerging(nn.Module):
    """Halve the resolution: 2×2 neighbours are concatenated in the order (0,0), (1,0), (0,1), (1,1) and projected."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.reduction = nn.Linear(4 * dim, 2 * dim, bias=False)
        self.norm = nn.LayerNorm(4 * dim)

    def forward(self, x: Tensor) -> Tensor:
        x = F.pad(x, (0, 0, 0, x.shape[2] % 2, 0, x.shape[1] % 2))
        x = torch.cat([x[:, 0::2, 0::2], x[:, 1::2, 0::2], x[:, 0::2, 1::2], x[:, 1::2, 1::2]], dim=-1)
        out: Tensor = self.reduction(self.norm(x))
        return out


class SwinStage(nn.Module):
    """Blocks of one resolution, then an optional downsampling for the next stage."""

    def __init__(self, dim: int, depth: int, heads: int, downsample: bool) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(SwinBlock(dim, heads, 0 if i % 2 == 0 else _WINDOW // 2) for i in range(depth))
        self.downsample = PatchMerging(dim) if downsample else None

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return x


class PatchEmbed(nn.Module):
    """4×4 patches to tokens."""

    def __init__(self, in_channels: int, dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_channels, dim, 4, stride=4)
        self.norm = nn.LayerNorm(dim)

    def forward(self, image: Tensor, fused: Tensor | None = None) -> Tensor:
        height, width = image.shape[-2:]
        x = early_fusion(self.proj, F.pad(image, (0, -width % 4, 0, -height % 4)), fused)
        out: Tensor = self.norm(x.permute(0, 2, 3, 1))
        return out


class SwinEncoder(nn.Module):
    """Swin-B stages 1–3 (strides 4, 8, 16) or 1–4 (…, 32); each output has its own LayerNorm, as in AOT."""

    def __init__(self, stages: int = 3, in_channels: int = 3) -> None:
        super().__init__()
        depths, heads = (2, 2, 18, 2)[:stages], (4, 8, 16, 32)[:stages]
        self.channels = tuple(128 * 2**i for i in range(stages))
        self.patch_embed = PatchEmbed(in_channels, 128)
        self.layers = nn.ModuleList(
            SwinStage(dim, depth, n, downsample=i < stages - 1)
            for i, (dim, depth, n) in enumerate(zip(self.channels, depths, heads, strict=True))
        )
        for i, dim in enumerate(self.channels):
            self.add_module(f"norm{i}", nn.LayerNorm(dim))

    @property
    def stem(self) -> nn.Conv2d:
        """The convolution that sees the input channels."""
        return self.patch_embed.proj

    def forward(self, image: Tensor, fused: Tensor | None = None) -> list[Tensor]:
        x, levels = self.patch_embed(image, fused), []
        for i, stage in enumerate(cast(list[SwinStage], list(self.layers))):
            x = stage(x)
            levels.append(self.get_submodule(f"norm{i}")(x).permute(0, 3, 1, 2).contiguous())
            if stage.downsample is not None:
                x = stage.downsample(x)
        return levels
