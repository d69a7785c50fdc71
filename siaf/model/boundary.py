"""Boundary refinement: where an object ends, seen in the frame itself, finer than the network's cells.

The propagation network answers on a grid of stride 4. A small U-shaped network looks at the frame, at one and a half
times an input of 321 pixels and no larger for larger ones, and at what was found of one object there, and moves the
object's boundary to where the picture has one. It works object by object, within a box around each, on the answer
alone: no memory of whole frames depends on it.
Boundaries between two objects stay as they are: the picture does not tell who is who.
"""

from typing import NamedTuple

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from siaf.model.motion import STRIDE

SCALE = 1.5
"""Pixels of the picture per pixel of the network's input, on whose short side are 321 pixels or less."""
_CELL = round(STRIDE * SCALE)
"""Pixels of the picture from one cell of the answer to the next."""
_CELLS = 81
"""Cells on the short side of such an input. Where there are more, a picture of more pixels would show no more."""
_WIDTHS = (16, 32, 48)
"""Channels at strides 1, 2 and 4."""
_COARSEST = 4
_MOST = 8.0
"""Logits are cut off here."""
_REACH = 4
"""Cells that a boundary may move, at most: where nothing is sure, a picture alone says little."""
_SPECK = 0.01
"""A smaller share of an object's largest part is a speck."""
_YIELDS = -6.0
"""Where another object's logit against the background is above this, less than half of a change counts."""


class Found(NamedTuple):
    """What was found of objects, float B×H×W each: `margin`, the logit of each against all else, the likeliest other
    object included; `rival`, that other object's logit against the background; `near`, 1 near the boundary, 0 far away.
    """

    margin: Tensor
    rival: Tensor
    near: Tensor


class BoundaryRefiner(nn.Module):
    """See the module. Begins without effect."""

    def __init__(self) -> None:
        super().__init__()
        fine, middle, coarse = _WIDTHS
        self.begin = nn.ModuleList([_conv(7, fine), _conv(fine, fine)])
        self.down = nn.ModuleList([_conv(fine, middle, stride=2), _conv(middle, coarse, stride=2)])
        self.middle = _conv(middle, middle)
        self.coarse = nn.ModuleList(_conv(coarse, coarse, dilation=2**i) for i in range(3))
        self.up = nn.ModuleList([nn.Conv2d(coarse, middle, 1), nn.Conv2d(middle, fine, 1)])
        self.joined = nn.ModuleList([_conv(middle, middle), _conv(fine, fine)])
        self.end = _conv(fine, 1)
        nn.init.zeros_(self.end.weight)
        assert self.end.bias is not None
        nn.init.zeros_(self.end.bias)

    def forward(self, picture: Tensor, found: Found) -> Tensor:
        """What is to be added to `found.margin`, float B×H×W. `picture` float B×3×H×W in 0…1; sides: multiples of 4."""
        margin, rival, near = found
        given = torch.stack((margin / 4, 2 * margin.sigmoid() - 1, rival / 4, 1 - margin.tanh().abs()), dim=1)
        x = torch.cat(((picture - 0.45) / 0.25, given), dim=1)
        for layer in self.begin:
            x = F.relu(layer(x))
        half = F.relu(self.middle(F.relu(self.down[0](x))))
        seen = F.relu(self.down[1](half))
        for layer in self.coarse:
            seen = seen + F.relu(layer(seen))
        for skip, up, join in zip((half, x), self.up, self.joined, strict=True):
            wider = F.interpolate(up(seen), size=skip.shape[-2:], mode="bilinear", align_corners=False)
            seen = F.relu(join(F.relu(wider + skip)))
        change: Tensor = self.end(seen)[:, 0] * (_YIELDS - rival).sigmoid() * near
        return change


def _conv(inside: int, outside: int, *, stride: int = 1, dilation: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inside, outside, 3, stride=stride, padding=dilation, dilation=dilation)


def picture_size(rows: int, columns: int) -> tuple[int, int]:
    """Size of the picture for an answer of `rows` × `columns` cells: its outer pixels are the outer cells."""
    cell = _CELL * min(1.0, (_CELLS - 1) / max(1, min(rows, columns) - 1))
    return round((rows - 1) * cell) + 1, round((columns - 1) * cell) + 1


def found_of(logits: Tensor, size: tuple[int, int]) -> Found:
    """Of every object of logits C×h×w, background first, at the picture's `size`: maps (C - 1)×H×W."""
    logits = logits.log_softmax(0)
    margins, rivals = [], []
    for k in range(1, len(logits)):
        others = torch.cat((logits[1:k], logits[k + 1 :]))
        rival = others.amax(0) if len(others) else torch.full_like(logits[0], -torch.inf)
        margins.append(logits[k] - torch.maximum(rival, logits[0]))
        rivals.append(rival - logits[0])
    margin = torch.stack(margins).clamp(-_MOST, _MOST)
    return Found(*(_at(x, size) for x in (margin, torch.stack(rivals).clamp(-_MOST, _MOST), near(margin))))


def near(margin: Tensor) -> Tensor:
    """1 in the cells of N×h×w that are near a boundary of margins, 0 elsewhere, and around specks."""
    inside = torch.stack([_without_specks(own) for own in margin > 0]).float()
    both = [F.max_pool2d(x[None], 2 * _REACH + 1, stride=1, padding=_REACH)[0] for x in (inside, 1 - inside)]
    return both[0] * both[1]


def _without_specks(inside: Tensor) -> Tensor:
    """A mask h×w without parts that are small beside its largest: mostly they are mistakes, which must not grow."""
    _, parts, stats, _ = cv2.connectedComponentsWithStats(inside.cpu().numpy().view(np.uint8), connectivity=8)
    areas = stats[:, cv2.CC_STAT_AREA]
    keep = areas >= _SPECK * areas[1:].max(initial=0)
    keep[0] = False  # the background
    return torch.from_numpy(keep[parts]).to(inside.device)


def _at(cells: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(cells[None], size=size, mode="bilinear", align_corners=True)[0]


def refine_boundaries(net: BoundaryRefiner, picture: Tensor, logits: Tensor) -> Tensor:
    """Logits C×h×w, background first, drawn finer: C×H×W of the picture's size, the background's 0 everywhere.

    `picture`: the frame, uint8 1×3×H×W of `picture_size(h, w)`.
    """
    size = (picture.shape[2], picture.shape[3])
    if len(logits) == 1:
        return logits.new_zeros(1, *size)
    found = found_of(logits, size)
    for k, margin in enumerate(found.margin):
        box = _box(found.near[k] > 0)
        if box is not None:
            rows, columns = (s.stop - s.start for s in box)
            padding = (0, -columns % _COARSEST, 0, -rows % _COARSEST)
            seen = F.pad(picture[(..., *box)].float() / 255, padding, mode="replicate")
            part = Found(*(F.pad(x[k][box][None], padding, mode="replicate") for x in found))
            margin[box] += net(seen, part)[0, :rows, :columns]
    return torch.cat((torch.zeros_like(found.margin[:1]), found.margin))


def _box(shown: Tensor) -> tuple[slice, slice] | None:
    """Rows and columns around all that is true in H×W; None if nothing is."""
    spans = []
    for axis in (0, 1):
        at = shown.any(1 - axis).nonzero().flatten()
        if not len(at):
            return None
        spans.append(slice(int(at[0]), int(at[-1]) + 1))
    return spans[0], spans[1]
