"""From identities to index masks: one-hot masks in, merged probabilities of all groups of ten objects out.

`slots` always means: for every group, the slots (1…10) that hold an object, ascending. Merged channels are background,
then the slots of group 0, then those of group 1, and so on.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from siaf.model.config import MAX_TAGS

Slots = Sequence[Sequence[int]]


def one_hot_mask(labels: Tensor) -> Tensor:
    """Integer B×H×W labels (0 = background, 1…10 = slot of an object) → float B×11×H×W."""
    tags = torch.arange(MAX_TAGS + 1, dtype=labels.dtype, device=labels.device)
    return (labels[:, None] == tags[:, None, None]).float()


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
    """Merged channel numbers, integer H×W → float G×11×H×W one-hot; another group's object is background."""
    layers = []
    first = 1
    for group in slots:
        table = torch.zeros(1 + sum(map(len, slots)), dtype=torch.long, device=winner.device)
        table[first : first + len(group)] = torch.tensor(list(group), dtype=torch.long, device=winner.device)
        layers.append(table[winner.int()])
        first += len(group)
    return one_hot_mask(torch.stack(layers))
