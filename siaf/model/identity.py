"""From identities to index masks: one-hot masks in, merged probabilities of all groups of ten objects out.

`slots` always means: for every group, the slots (1…10) that hold an object, ascending. Merged channels are background,
then the slots of group 0, then those of group 1, and so on.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from siaf.model.config import MAX_TAGS

Slots = Sequence[Sequence[int]]


def one_hot_mask(labels: Tensor) -> Tensor:
    """Integer B×H×W labels (0 = background, 1…10 = slot of an object) → float B×11×H×W."""
    tags = torch.arange(MAX_TAGS + 1, dtype=labels.dtype, device=labels.device)
    return (labels[:, None] == tags[:, None, None]).float()


def look_up_patches(weight: Tensor, labels: Tensor, stride: int, padding: int) -> Tensor:
    """The convolution of one_hot_mask(labels), as a map B×C×h×w: sums of the weights that labels point to.

    `weight` C×11×k×k, `labels` integer B×H×W; a label of none (−1) is zero in all channels. Of 11 channels ten are
    zero at every pixel, so a convolution does eleven times what there is to do.
    """
    channels, none, kernel = weight.shape[:3]
    area = kernel * kernel
    weights = weight.permute(1, 2, 3, 0).flatten(0, 2)  # (label, row, column) × C
    table = torch.cat((weights, weights.new_zeros(area, channels)))
    if labels.dtype.is_signed:
        labels = labels.where(labels >= 0, none)
    padded = F.pad(labels, (padding,) * 4, value=none)
    patches = padded.unfold(1, kernel, stride).unfold(2, kernel, stride)
    index = patches.reshape(-1, area).int() * area + torch.arange(area, dtype=torch.int32, device=labels.device)
    return F.embedding_bag(index, table, mode="sum").view(*patches.shape[:3], channels).permute(0, 3, 1, 2)


def merge_groups(logits: Sequence[Tensor]) -> Tensor:
    """Logits of every group, (1 + n_g)×H×W each with background first → probabilities (1 + Σ n_g)×H×W.

    One group: softmax. Several: AOT's soft aggregation, in which the background is what every group calls background.
    """
    if len(logits) == 1:
        return logits[0].softmax(0)
    groups = [group.softmax(0) for group in logits]
    background = torch.stack([group[0] for group in groups]).prod(0, keepdim=True)
    merged = torch.cat([background, *(group[1:] for group in groups)]).clamp(1e-5, 1 - 1e-5)
    return torch.logit(merged).softmax(0)


def split_groups(winner: Tensor, slots: Slots) -> Tensor:
    """Merged channel numbers, integer H×W → slots, uint8 G×H×W; another group's object is background."""
    count = 1 + sum(map(len, slots))
    tables = torch.zeros(len(slots), count, dtype=torch.uint8, device=winner.device)
    first = 1
    for table, group in zip(tables, slots, strict=True):
        table[first : first + len(group)] = torch.tensor(list(group), dtype=torch.uint8, device=winner.device)
        first += len(group)
    places = winner.flatten().int()  # table by table: along the first axis a look-up is several times as fast
    return torch.stack([table.index_select(0, places).view(winner.shape) for table in tables])
