"""What the interaction network makes of a frame, kept at its own resolution until a mask is asked for.

A channel of full size for every object of a large frame would take gigabytes, and most of the time of a click.
"""

from dataclasses import dataclass

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from siaf.masks import IndexMask
from siaf.model.winners import winners


@dataclass(frozen=True, eq=False)
class Probabilities:
    """One frame's merged probabilities. `channels`: float C×h×w; `tags`: uint8 C, the tag of every channel, 0 first;
    `size`: (rows, columns) of the frame; `align_corners`: as of the network that made them.
    """

    channels: Tensor
    tags: NDArray[np.uint8]
    size: tuple[int, int]
    align_corners: bool

    def likeliest(self) -> IndexMask:
        """The likeliest tag of every pixel, uint8 H×W."""
        mask: IndexMask = self.tags[winners(self.channels, self.size, self.align_corners).cpu().numpy()]
        return mask

    def of(self, tag: int, size: tuple[int, int] | None = None) -> NDArray[np.float32]:
        """How likely every pixel is the object `tag`: float32 H×W, or at another `size` (rows, columns)."""
        channel = self.channels[int(np.flatnonzero(self.tags == tag)[0])]
        resized = F.interpolate(
            channel[None, None], size=size or self.size, mode="bilinear", align_corners=self.align_corners
        )
        return np.asarray(resized[0, 0].float().cpu().numpy(), np.float32)
