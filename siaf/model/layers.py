"""Small layers that the networks share."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ConvGN(nn.Module):
    """Convolution and GroupNorm (8 groups), as in AOT's decoder."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2)
        self.gn = nn.GroupNorm(8, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.gn(self.conv(x))
        return out


class GNActDWConv(nn.Module):
    """GroupNorm, GELU and a 5×5 depthwise convolution on tokens: the non-linearity of AOT's feed-forward."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.gn = nn.GroupNorm(32, dim)
        self.conv = nn.Conv2d(dim, dim, 5, padding=2, groups=dim, bias=False)

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """B×N×C on the grid `size` → B×N×C."""
        return to_tokens(self.conv(to_map(F.gelu(group_norm_tokens(x, self.gn)), size)))


def group_norm_tokens(x: Tensor, norm: nn.GroupNorm) -> Tensor:
    """GroupNorm of a map that is given as tokens B×N×C. PyTorch's own would copy it to channels first, and the next
    convolution copy it back.
    """

    def spread(channels: Tensor) -> Tensor:
        """A group's mean of means B×1×C, for every of its channels."""
        groups: Tensor = channels.unflatten(2, (norm.num_groups, -1))
        return groups.mean(3, keepdim=True).expand_as(groups).flatten(2)

    centred = x - spread(x.mean(1, keepdim=True))
    variance = spread(centred.square().mean(1, keepdim=True))
    return centred * ((variance + norm.eps).rsqrt() * norm.weight) + norm.bias


def early_fusion(stem: nn.Conv2d, image: Tensor, fused: Tensor | None) -> Tensor:
    """A stem's convolution of an image N×C×H×W whose further input channels somebody else has convolved already.

    `fused` is what they give, at the stem's output; None if the image has all the channels that the stem reads.
    """
    if fused is None:
        out: Tensor = stem(image)
        return out
    return F.conv2d(image, stem.weight[:, : image.shape[1]], stem.bias, stem.stride, stem.padding) + fused


def to_tokens(x: Tensor) -> Tensor:
    """B×C×H×W → B×(H·W)×C."""
    return x.flatten(2).transpose(1, 2)


def to_map(x: Tensor, size: tuple[int, int]) -> Tensor:
    """B×(H·W)×C → B×C×H×W."""
    return x.transpose(1, 2).reshape(len(x), -1, *size)


def sine_position(size: tuple[int, int], dim: int, device: torch.device) -> Tensor:
    """Normalised 2-D sine position embedding: float 1×(H·W)×dim, first half rows, second half columns (DETR, AOT)."""
    half = dim // 2
    frequency = 10000 ** (2 * torch.div(torch.arange(half, device=device), 2, rounding_mode="floor") / half)

    def axis(length: int) -> Tensor:
        position = torch.arange(length, dtype=torch.float32, device=device) / (length - 1 + 1e-6) * (2 * math.pi)
        angle = position[:, None] / frequency
        return torch.stack((angle[:, 0::2].sin(), angle[:, 1::2].cos()), dim=2).flatten(1)

    rows, cols = axis(size[0]), axis(size[1])
    grid = (rows[:, None].expand(*size, half), cols[None].expand(*size, half))
    return torch.cat(grid, dim=-1).reshape(1, -1, dim)
