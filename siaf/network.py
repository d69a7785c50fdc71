"""A loaded model: the two networks, and the way from frames and strokes to probabilities and memories (no state)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from siaf.model.identity import Slots, merge_groups, one_hot_mask, split_groups
from siaf.model.interaction import InteractionNet
from siaf.model.propagation import FrameFeatures, FrameMemory, PropagationNet
from siaf.preprocessing import network_size, resize_frames, resize_labels

Frame = NDArray[np.uint8]


@dataclass
class Model:
    """Networks ready to run. `digest` identifies the weights: a session's memory is readable under the same digest
    only.

    `short_side`, `interaction_short_side`: input size in pixels of the two networks. `slots` in the methods: for every
    group of objects the slots in use (siaf.model.identity).
    """

    name: str
    digest: str
    interaction: InteractionNet
    propagation: PropagationNet
    device: torch.device
    short_side: int = 321
    interaction_short_side: int = 321

    @torch.inference_mode()
    def encode(self, frame: Frame) -> FrameFeatures:
        """Features of one frame, uint8 H×W×3 RGB, for propagation."""
        align = self.propagation.config.align_corners
        size = network_size(*frame.shape[:2], short_side=self.short_side, align_corners=align)
        return self.propagation.encode(resize_frames(self._tensor(frame)[None], size))

    @torch.inference_mode()
    def reference(self, features: FrameFeatures, masks: NDArray[np.uint8]) -> FrameMemory:
        """Memory of a frame whose mask is known, A of Eq. 7. `masks` uint8 G×H×W: the index mask in each group's
        slots.
        """
        labels = resize_labels(self._tensor(masks), self._input_size(features))
        return self.propagation.reference(_repeat(features, len(masks)), one_hot_mask(labels))

    @torch.inference_mode()
    def propagate(
        self,
        features: FrameFeatures,
        long: FrameMemory,
        short: FrameMemory,
        slots: Slots,
        size: tuple[int, int],
    ) -> tuple[Tensor, FrameMemory]:
        """One step of Eq. 8, all groups of objects at once.

        Returns merged probabilities float (1 + objects)×H×W at `size` = (rows, columns), and what the frame leaves in
        the short-term memory.
        """
        net = self.propagation
        logits, seen = net.propagate(_repeat(features, len(slots)), long, short)
        used = [logits[g, [0, *group]].float() for g, group in enumerate(slots)]
        align = net.config.align_corners
        winner = merge_groups(_resize(used, self._input_size(features), align)).argmax(0)
        memory = net.remember(seen, split_groups(winner, slots))
        return merge_groups(_resize(used, size, align)), memory

    @torch.inference_mode()
    def interact(
        self, frames: Sequence[Frame], strokes: NDArray[np.int16], previous: NDArray[np.int16], slots: Slots
    ) -> Tensor:
        """AFI, Eq. 1: all interacted frames of a round, all objects.

        `strokes` and `previous` int16 G×f×h×w at `interaction_size`, in slots (−1 = unmarked).
        Returns merged probabilities float f×(1 + objects)×H×W.
        """
        size = (strokes.shape[2], strokes.shape[3])
        images = torch.cat([resize_frames(self._tensor(frame)[None], size) for frame in frames])[None]
        align = self.interaction.config.align_corners
        groups = []
        for g, group in enumerate(slots):  # strokes are fused at the image, so every group needs its own pass
            tags = torch.tensor([[0, *group]], device=self.device)
            marks = (self._tensor(strokes[g : g + 1]).long(), self._tensor(previous[g : g + 1]).long())
            groups.append(self.interaction(images, *marks, tags)[0].float())
        full = frames[0].shape[:2]
        return torch.stack([merge_groups(_resize([g[i] for g in groups], full, align)) for i in range(len(frames))])

    def interaction_size(self, height: int, width: int) -> tuple[int, int]:
        """Input size (rows, columns) of the interaction network for frames of height × width."""
        align = self.interaction.config.align_corners
        return network_size(height, width, short_side=self.interaction_short_side, align_corners=align)

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """(rows, columns) of the stride-16 grid on which frames of height × width are remembered."""
        align = self.propagation.config.align_corners
        rows, cols = network_size(height, width, short_side=self.short_side, align_corners=align)
        return -(-rows // 16), -(-cols // 16)

    def _tensor(self, array: NDArray[np.generic]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)

    def _input_size(self, features: FrameFeatures) -> tuple[int, int]:
        rows, cols = features.size
        if self.propagation.config.align_corners:
            return (rows - 1) * 16 + 1, (cols - 1) * 16 + 1
        return rows * 16, cols * 16


def _resize(logits: list[Tensor], size: tuple[int, int], align_corners: bool) -> list[Tensor]:
    return [F.interpolate(x[None], size=size, mode="bilinear", align_corners=align_corners)[0] for x in logits]


def _repeat(features: FrameFeatures, groups: int) -> FrameFeatures:
    """The same frame for every group of objects, without copying."""
    fine, middle, coarse = (level.expand(groups, -1, -1, -1) for level in features.levels)
    return FrameFeatures((fine, middle, coarse), features.embedding.expand(groups, -1, -1, -1))
