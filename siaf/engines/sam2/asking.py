"""What was said of a frame in a round, object by object."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from siaf.boxes import Box
from siaf.engines.sam2.network import PromptTensors
from siaf.engines.sam2.prompting import as_input, points_of
from siaf.masks import IndexMask
from siaf.prompts import FramePrompts
from siaf.scribbles import UNSCRIBBLED, Scribble, erase_denied, rasterize

_FIRM = 10.0
"""Logit of a pixel that is known, as SAM 2 takes masks that people give."""


@dataclass(frozen=True, eq=False)
class Asked:
    """`strokes` of this round, and of earlier ones that still hold; `boxes` by tag; the mask `before`, without what
    was denied. `tags`: the objects to draw anew, which are those that were drawn, or drawn over.
    """

    strokes: Sequence[Scribble]
    boxes: Mapping[int, Box]
    before: IndexMask | None
    tags: frozenset[int]
    size: tuple[int, int]

    @classmethod
    def of(
        cls,
        given: FramePrompts,
        standing: Sequence[Scribble],
        before: IndexMask | None,
        size: tuple[int, int],
    ) -> "Asked":
        """Of what was given on a frame of `size` (rows, columns)."""
        tags = set(given.drawn_tags)
        if before is not None:
            drawn = rasterize([s for s in given.strokes if s.polarity == "positive"], *size)
            over = (drawn != UNSCRIBBLED) & (drawn != before)
            tags |= set(np.unique(before[over]).tolist()) - {0}
            before = erase_denied(before, given.strokes)
        return cls([*standing, *given.strokes], given.boxes, before, frozenset(tags), size)

    def prompts(self, tag: int, side: int, mask_size: tuple[int, int], device: torch.device) -> PromptTensors | None:
        """One object's prompts on an input of `side`; None where it is not asked about, or nothing says where it is."""
        box, had = self.boxes.get(tag), self.before is not None and bool((self.before == tag).any())
        on, beside = points_of(self.strokes, tag, max(self.size))
        if tag not in self.tags or not (len(on) or box is not None or had):
            return None
        points, labels = as_input(on, beside, box, self.size, side)
        mask = self.mask_logits(tag, mask_size)[None, None].to(device) if had and box is None else None
        if not len(labels):  # nothing but its mask
            points, labels = np.zeros((1, 2), np.float32), np.full(1, -1, np.int32)
        places, kinds = (torch.from_numpy(x)[None].to(device) for x in (points, labels))
        return PromptTensors(places, kinds, mask)

    def mask_logits(self, tag: int, size: tuple[int, int]) -> Tensor:
        """The object's mask before as logits of this size; all of it is background where there was none."""
        own = np.zeros(self.size, bool) if self.before is None else self.before == tag
        given = torch.from_numpy(own)[None, None].float()
        shares = F.interpolate(given, size=size, mode="bilinear", antialias=True)[0, 0]
        return _FIRM * (2 * shares - 1)
