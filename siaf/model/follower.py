"""From one frame of a chain to the next: what the frame before says of this one, and what this one leaves."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from siaf.masks import MAX_TAG
from siaf.model import motion
from siaf.model.fine import KEY_DIM, stride_four
from siaf.model.identity import Slots, merge_groups
from siaf.model.propagation import FrameFeatures, PropagationNet
from siaf.model.trail import Trail


@dataclass(frozen=True)
class Follower:
    """Motion prior and fine decoder of a propagation network; official ones have neither, and leave no trails.

    `precision` makes the context in which the network computes.
    """

    net: PropagationNet
    device: torch.device
    precision: Callable[[], torch.autocast]

    @property
    def traces(self) -> bool:
        """Whether chains leave trails."""
        return self.net.config.motion_prior or self.net.config.fine

    def begin(self, features: FrameFeatures, labels: Tensor) -> Trail:
        """The trail of a chain that starts here. `labels`: tags, uint8 H×W at the network's input."""
        return Trail.begin(labels, self._key(features))

    def shapes(self, rows: int, columns: int) -> dict[str, tuple[int, ...]]:
        """Shapes of the tensors of a trail, by name, at an input of this size."""
        if not self.traces:
            return {}
        shapes: dict[str, tuple[int, ...]] = {"labels": (rows, columns), "pace": (MAX_TAG + 1,)}
        if self.net.fine is not None:
            shapes["key"] = (1, KEY_DIM, -(-rows // motion.STRIDE), -(-columns // motion.STRIDE))
        return shapes

    def follow(
        self,
        used: list[Tensor],
        hidden: Tensor,
        features: FrameFeatures,
        slots: Slots,
        trail: Trail | None,
        tags: NDArray[np.uint8],
    ) -> tuple[list[Tensor], Tensor | None]:
        """Logits of one chain's groups, with what the frame before says: motion prior, then the fine decoder.

        `hidden`: the decoder's last maps, by group; `tags`: by merged channel. Returns logits by group, or of all
        merged channels in one, and the frame's own key for the next one.
        """
        net = self.net
        if trail is not None and net.config.motion_prior:
            before, pace = motion.cells(trail.labels), trail.pace.cpu().numpy()
            lost = [motion.penalty(before, pace, int(tag)) for tag in tags[1:]]
            if len(used) > 1:
                used = [torch.logit(merge_groups(used), 1e-5)]
            for row, less in zip(used[0][1:], lost, strict=True):
                if less is not None:
                    row -= torch.from_numpy(less).to(self.device)
        key = self._key(features)
        if net.fine is None or key is None:
            return used, None
        there = None
        if trail is not None and trail.key is not None:
            table = torch.zeros(MAX_TAG + 1, dtype=torch.uint8, device=self.device)
            table[torch.from_numpy(tags).long()] = torch.arange(len(tags), dtype=torch.uint8, device=self.device)
            there = trail.key.float(), stride_four(table[trail.labels.int()][None], len(tags))
        with self.precision():
            shared = net.fine.shared_features(hidden, key.float().expand(len(hidden), -1, -1, -1))
            own = [one for one, group in zip(shared, slots, strict=True) for _ in group]
            trunk = torch.stack([shared.mean(0), *own])
            valid = torch.ones(1, len(tags), dtype=torch.bool, device=self.device)
            refined = net.fine(merge_groups(used)[None], trunk[None], key.float(), there, valid)
        return [refined[0].float()], key

    def leave(self, winner: Tensor, key: Tensor | None, trail: Trail | None, tags: NDArray[np.uint8]) -> Trail | None:
        """The next frame's trail, from this one's merged channels at input size, integer H×W."""
        if not self.traces:
            return None
        labels = torch.from_numpy(tags).to(self.device).index_select(0, winner.flatten().int()).view(winner.shape)
        if trail is None:
            return Trail.begin(labels, key)
        pace = motion.step(motion.cells(trail.labels), motion.cells(labels), trail.pace.cpu().numpy())
        return Trail(labels, torch.from_numpy(pace), key)

    def _key(self, features: FrameFeatures) -> Tensor | None:
        """How a frame looks to the fine decoder, float16 1×C×h×w."""
        if self.net.fine is None:
            return None
        with self.precision():
            return self.net.fine.encode(features.levels, self.net.config.align_corners).half()
