"""What a decoder is adapted on: annotated frames found from one another, and from views of themselves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from siaf.frames.source import Frame
from siaf.masks import MAX_TAG, IndexMask
from siaf.model.fine import stride_four
from siaf.model.loaded import Model
from siaf.model.preprocessing import normalise, resize_labels
from siaf.model.propagation import FrameFeatures, FrameMemory, PropagationNet, concatenate
from siaf.session.memory import MAX_PERMANENT
from siaf.session.objects import ObjectTable
from siaf.session.views import draw_view


@dataclass(frozen=True, eq=False)
class Annotated:
    """A frame, its features, and the mask that a human made of it: index mask with `tags` only, of which it speaks."""

    picture: Frame
    features: FrameFeatures
    mask: IndexMask
    tags: frozenset[int]


@dataclass(frozen=True, eq=False)
class Example:
    """All that comes before the decoder on one frame, for the objects of one group, and the truth.

    `streams`, `features`: what `PropagationNet.decode` takes. `slots`: channels of its logits that stand for something,
    background first. `key`, `carried`: what the fine decoder takes, if there is one. `labels`: long 1×H×W at the
    network's input, indices of `slots`.
    """

    streams: list[Tensor]
    features: FrameFeatures
    slots: list[int]
    key: Tensor | None
    carried: tuple[Tensor, Tensor] | None
    labels: Tensor

    def logits(self, net: PropagationNet) -> Tensor:
        """What a network with another decoder finds, float 1×K×H×W at its input, of the channels in `slots`."""
        logits, hidden = net.decode(self.streams, self.features)
        used = logits[:, self.slots]
        if net.fine is not None and self.key is not None:
            valid = torch.ones(used.shape[:2], dtype=torch.bool, device=used.device)
            trunk = net.fine.shared_features(hidden, self.key)[:, None]
            used = net.fine.weigh(used.softmax(1), trunk, self.carried, valid)
        align = net.config.align_corners
        return F.interpolate(used, size=self.labels.shape[-2:], mode="bilinear", align_corners=align)


@dataclass(frozen=True, eq=False)
class _Shown:
    """A frame or a view: features, and slots by group, uint8 G×H×W at the network's input, of the tags it speaks of."""

    features: FrameFeatures
    slots: Tensor
    tags: frozenset[int]


class Examples:
    """Draws examples of annotated frames, of a clip's size all, for a session's objects."""

    def __init__(self, model: Model, frames: Mapping[int, Annotated], objects: ObjectTable) -> None:
        self._net, self._device = model.propagation, model.device
        self._objects, self._per_pass = objects, model.objects_per_pass
        # What a cache gives was made in inference mode, which nothing can be learnt from.
        self._features = {f: one.features.map(Tensor.clone) for f, one in frames.items()}
        self._size = model.input_size(next(iter(self._features.values())))
        self._small = {f: self._resized(one) for f, one in frames.items()}
        self._tags = {f: one.tags for f, one in frames.items()}

    @torch.no_grad()
    def pairs(self, frame: int, others: Sequence[int]) -> list[Example]:
        """One frame found from the memory of others, group by group."""
        nearest = sorted(others, key=lambda f: (abs(f - frame), f))[:MAX_PERMANENT]
        return self._found(self._frame(frame), [self._frame(f) for f in nearest])

    @torch.no_grad()
    def views(self, frame: int, rng: np.random.Generator) -> list[Example]:
        """A new view of a frame, found from the frame."""
        picture, labels = draw_view(*self._small[frame], rng)
        features = self._net.encode(normalise(torch.from_numpy(picture)[None].to(self._device)))
        return self._found(_Shown(features, self._in_slots(labels), self._tags[frame]), [self._frame(frame)])

    # -- inside ---------------------------------------------------------------------------------------------------

    def _found(self, shown: _Shown, others: Sequence[_Shown]) -> list[Example]:
        """`shown` from the memory of `others`, the first of which stands for the frame before.

        A tag that no other frame shows cannot be found, and one that `shown` does not speak of has no truth there: both
        are background.
        """
        found = []
        for group in range(self._objects.groups(self._per_pass)):
            slots = self._objects.slots(group, self._per_pass)
            there = {int(slot) for one in others for slot in one.slots[group].unique() if slot}
            used = [0, *(slot for slot in sorted(there) if slots[slot] in shown.tags)]
            if len(used) > 1:
                found.append(self._example(shown, others, group, used))
        return found

    def _example(self, shown: _Shown, others: Sequence[_Shown], group: int, used: list[int]) -> Example:
        kept = torch.zeros(MAX_TAG + 1, dtype=torch.uint8, device=self._device)
        kept[used] = torch.tensor(used, dtype=torch.uint8, device=self._device)
        numbers = torch.zeros(MAX_TAG + 1, dtype=torch.long, device=self._device)
        numbers[used] = torch.arange(len(used), device=self._device)
        net, (last, *_) = self._net, others
        masks = [kept[one.slots[group].int()][None] for one in others]
        memories: list[FrameMemory] = [
            net.reference(one.features, mask) for one, mask in zip(others, masks, strict=True)
        ]
        # Few frames, as in training: read as there, without `PropagationConfig.sharpness`.
        long = [(key / net.config.sharpness, value) for key, value in concatenate(memories)]
        streams, _ = net.transform(shown.features, long, memories[0])
        key = carried = None
        if net.fine is not None:
            align = net.config.align_corners
            key, before = (net.fine.encode(one.features.levels, align) for one in (shown, last))
            shares = stride_four(numbers[masks[0].int()], len(used))
            carried = net.fine.carry(shares, key, (before, shares))
        return Example(streams, shown.features, used, key, carried, numbers[shown.slots[group].int()][None])

    def _frame(self, frame: int) -> _Shown:
        return _Shown(self._features[frame], self._in_slots(self._small[frame][1]), self._tags[frame])

    def _in_slots(self, mask: IndexMask) -> Tensor:
        return torch.from_numpy(self._objects.to_slots(mask, self._per_pass)).to(self._device)

    def _resized(self, one: Annotated) -> tuple[Frame, IndexMask]:
        """Picture and mask at the network's input size."""
        mask = resize_labels(torch.from_numpy(one.mask)[None], self._size)[0].numpy()
        way = cv2.INTER_AREA if one.mask.shape[0] > self._size[0] else cv2.INTER_LINEAR
        return cv2.resize(one.picture, self._size[::-1], interpolation=way).astype(np.uint8, copy=False), mask
