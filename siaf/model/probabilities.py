"""What the interaction network makes of a frame, kept at its own resolution until a mask is asked for.

A channel of full size for every object of a large frame would take gigabytes, and most of the time of a click.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from siaf.masks import IndexMask
from siaf.model.winners import winners

_AT_ONCE = 2**24  # values that are interpolated together

Window = tuple[int, int, int, int]
"""Left, top, right, bottom edge of a part of a frame, in whole pixels."""


@dataclass(frozen=True, eq=False)
class CloseUp:
    """An object's probabilities within a window of the frame, float h×w at a resolution of their own."""

    window: Window
    channel: Tensor

    def pixels(self) -> Tensor:
        """The probabilities of the window's pixels."""
        left, top, right, bottom = self.window
        return _resized(self.channel, (bottom - top, right - left), align_corners=False)


@dataclass(frozen=True, eq=False)
class Probabilities:
    """One frame's merged probabilities. `channels`: float C×h×w; `tags`: uint8 C, the tag of every channel, 0 first;
    `size`: (rows, columns) of the frame; `align_corners`: as of the network that made them. `close_ups`: by tag, what
    is known better of a part of the frame.
    """

    channels: Tensor
    tags: NDArray[np.uint8]
    size: tuple[int, int]
    align_corners: bool
    close_ups: Mapping[int, CloseUp] = field(default_factory=dict)

    def likeliest(self) -> IndexMask:
        """The likeliest tag of every pixel, uint8 H×W."""
        mask: IndexMask = self.tags[winners(self.channels, self.size, self.align_corners).cpu().numpy()]
        for close_up in self.close_ups.values():
            left, top, right, bottom = close_up.window
            step = max(1, _AT_ONCE // (len(self.channels) * (right - left)))
            for start in range(top, bottom, step):
                part = left, start, right, min(start + step, bottom)
                mask[start : part[3], left:right] = self.tags[self._within(part).argmax(0).cpu().numpy()]
        return mask

    def of(self, tag: int, size: tuple[int, int] | None = None) -> NDArray[np.float32]:
        """How likely every pixel is the object `tag`: float32 H×W; or at another `size` (rows, columns), for which its
        close-up does not count.
        """
        channel = self.channels[int(np.flatnonzero(self.tags == tag)[0])]
        whole = _resized(channel, size or self.size, self.align_corners)
        if tag in self.close_ups and size is None:
            left, top, right, bottom = self.close_ups[tag].window
            whole[top:bottom, left:right] = self.close_ups[tag].pixels()
        return np.asarray(whole.cpu().numpy(), np.float32)

    def _within(self, part: Window) -> Tensor:
        """All channels at the pixels of a part of the frame, C×rows×columns; the background is what objects leave."""
        left, top, right, bottom = part
        # grid_sample's coordinates: -1 and 1 are the edges of the frame, or the centres of its outer pixels.
        inset = (1, 0) if self.align_corners else (0, 0.5)
        y, x = (
            2 * (torch.arange(low, high, dtype=torch.float32) + inset[1]) / (length - inset[0]) - 1
            for low, high, length in ((top, bottom, self.size[0]), (left, right, self.size[1]))
        )
        grid = torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], dim=-1).to(self.channels.device)
        found = F.grid_sample(
            self.channels[None].float(), grid[None], padding_mode="border", align_corners=self.align_corners
        )[0]
        for tag, close_up in self.close_ups.items():
            own_left, own_top, own_right, own_bottom = close_up.window
            cols = slice(max(left, own_left), min(right, own_right))
            rows = slice(max(top, own_top), min(bottom, own_bottom))
            if cols.start < cols.stop and rows.start < rows.stop:
                seen = close_up.pixels()[
                    rows.start - own_top : rows.stop - own_top, cols.start - own_left : cols.stop - own_left
                ]
                channel = found[int(np.flatnonzero(self.tags == tag)[0])]
                channel[rows.start - top : rows.stop - top, cols.start - left : cols.stop - left] = seen
        found[0] = 1 - found[1:].amax(0)
        return found


def _resized(channel: Tensor, size: tuple[int, int], align_corners: bool) -> Tensor:
    resized = F.interpolate(channel[None, None].float(), size=size, mode="bilinear", align_corners=align_corners)
    return resized[0, 0]
