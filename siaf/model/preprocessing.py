"""From frames to network input and from logits to index masks (AOT's evaluation transforms)."""

import torch
import torch.nn.functional as F
from torch import Tensor

_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)


def normalise(frames: Tensor) -> Tensor:
    """uint8 N×H×W×3 RGB → float N×3×H×W with ImageNet statistics."""
    return _normalise(frames.permute(0, 3, 1, 2).float())


def _normalise(images: Tensor) -> Tensor:
    mean, std = (torch.tensor(v, device=images.device).view(1, 3, 1, 1) for v in (_MEAN, _STD))
    return (images / 255 - mean) / std


def network_size(
    height: int,
    width: int,
    *,
    short_side: int,
    align_corners: bool,
    enlarge: float = 1.0,
    enlarged_to: int | None = None,
) -> tuple[int, int]:
    """Input size (rows, columns) for frames of height × width.

    The short side is scaled to at most `short_side`, the long side to at most 5/3 of that times 1.3 (AOT's cap), and
    neither is scaled up by more than `enlarge`, nor the short side to more than `enlarged_to`, if that is given; then
    both are rounded to 16k + 1 (`align_corners`) or 16k, so that stride-16 cells lie where the network was trained to
    see them.
    """
    shorter, longer = sorted((height, width))
    most = enlarge if enlarged_to is None else min(enlarge, max(1.0, enlarged_to / shorter))
    scale = min(most, short_side / shorter, short_side * 800 / 480 * 1.3 / longer)
    offset = 1 if align_corners else 0
    rows, cols = (max(1, round((side * scale - offset) / 16)) * 16 + offset for side in (height, width))
    return rows, cols


def resize_frames(frames: Tensor, size: tuple[int, int]) -> Tensor:
    """uint8 N×H×W×3 → float N×3×h×w, normalised; antialiased bicubic.

    Resized first: normalising is linear, and of a 1080p frame it would take twice as long as the resize.
    """
    if frames.shape[1:3] == size:
        return normalise(frames)
    return _normalise(_resized(frames, size))


def resize_pictures(frames: Tensor, size: tuple[int, int]) -> Tensor:
    """uint8 N×H×W×3 → uint8 N×3×h×w; antialiased bicubic."""
    return _resized(frames, size).clamp(0, 255).round().to(torch.uint8)


def _resized(frames: Tensor, size: tuple[int, int]) -> Tensor:
    images = frames.permute(0, 3, 1, 2).contiguous().float()
    return F.interpolate(images, size=size, mode="bicubic", align_corners=False, antialias=True)


def resize_labels(labels: Tensor, size: tuple[int, int]) -> Tensor:
    """Integer N×H×W → N×h×w by nearest neighbour (pixel centres)."""
    if labels.shape[-2:] == size:
        return labels
    return F.interpolate(labels[:, None].float(), size=size, mode="nearest-exact")[:, 0].to(labels.dtype)
