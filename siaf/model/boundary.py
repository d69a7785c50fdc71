"""Boundary refinement: where an object ends, seen in the frame itself, finer than the network's cells.

The propagation network answers on a grid of stride 4. A small U-shaped network looks at the frame at one and a half
times the network's input, and at what was found of one object there, and moves the object's boundary to where the
picture has one. It works object by object, within a box around each, on the answer alone: no memory depends on it.
Boundaries between two objects stay as they are: the picture does not tell who is who.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from siaf.model.motion import STRIDE

SCALE = 1.5
"""Pixels of the picture per pixel of the network's input."""
_CELL = round(STRIDE * SCALE)
"""Pixels of the picture from one cell of the answer to the next."""
_WIDTHS = (16, 32, 48)
"""Channels at strides 1, 2 and 4."""
_COARSEST = 4
_MOST = 8.0
"""Logits are cut off here."""
_AROUND = 24
"""Pixels beside an object that may become its own."""
_YIELDS = -2.0
"""Where another object's logit against the background is above this, less than half of a change counts."""


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

    def forward(self, picture: Tensor, margin: Tensor, rival: Tensor) -> Tensor:
        """What is to be added to `margin`, float B×H×W; sides are multiples of 4.

        `picture` float B×3×H×W in 0…1; of one object each, as of `margins`, float B×H×W: how much likelier it is than
        what else is likeliest, and how much likelier the likeliest other object is than the background.
        """
        sure = margin.tanh().abs()
        given = torch.stack((margin / 4, 2 * margin.sigmoid() - 1, rival / 4, 1 - sure), dim=1)
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
        change: Tensor = self.end(seen)[:, 0] * (_YIELDS - rival).sigmoid()
        return change


def _conv(inside: int, outside: int, *, stride: int = 1, dilation: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inside, outside, 3, stride=stride, padding=dilation, dilation=dilation)


def picture_size(rows: int, columns: int) -> tuple[int, int]:
    """Size of the picture for an answer of `rows` × `columns` cells: its outer pixels are the outer cells."""
    return (rows - 1) * _CELL + 1, (columns - 1) * _CELL + 1


def margins(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Logits C×h×w, background first → of every object against all others, and of the likeliest other object against
    the background, (C - 1)×h×w each.
    """
    logits = logits.log_softmax(0)
    own, rivals = [], []
    for k in range(1, len(logits)):
        others = torch.cat((logits[1:k], logits[k + 1 :]))
        rival = others.amax(0) if len(others) else torch.full_like(logits[0], -torch.inf)
        own.append(logits[k] - torch.maximum(rival, logits[0]))
        rivals.append(rival - logits[0])
    return torch.stack(own).clamp(-_MOST, _MOST), torch.stack(rivals).clamp(-_MOST, _MOST)


def refine_boundaries(net: BoundaryRefiner, picture: Tensor, logits: Tensor) -> Tensor:
    """Logits C×h×w, background first, drawn finer: C×H×W of the picture's size, the background's 0 everywhere.

    `picture`: the frame, uint8 1×3×H×W of `picture_size(h, w)`.
    """
    size = (picture.shape[2], picture.shape[3])
    if len(logits) == 1:
        return logits.new_zeros(1, *size)
    own, rivals = (F.interpolate(x[None], size=size, mode="bilinear", align_corners=True)[0] for x in margins(logits))
    for margin, rival in zip(own, rivals, strict=True):
        box = _box(margin > 0)  # what is not there does not come back
        if box is not None:
            part = [margin[box][None], rival[box][None], picture[(..., *box)].float() / 255]
            rows, columns = part[0].shape[1:]
            padding = (0, -columns % _COARSEST, 0, -rows % _COARSEST)
            margin_in, rival_in, seen = (F.pad(x, padding, mode="replicate") for x in part)
            margin[box] += net(seen, margin_in, rival_in)[0, :rows, :columns]
    return torch.cat((torch.zeros_like(own[:1]), own))


def _box(shown: Tensor) -> tuple[slice, slice] | None:
    """Rows and columns around all that is true in H×W, with a margin; None if nothing is."""
    spans = []
    for axis in (0, 1):
        at = shown.any(1 - axis).nonzero().flatten()
        if not len(at):
            return None
        spans.append(slice(max(0, int(at[0]) - _AROUND), min(shown.shape[axis], int(at[-1]) + _AROUND + 1)))
    return spans[0], spans[1]
