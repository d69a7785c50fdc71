"""The loss of AOT and SIAF, for training and adaptation: half bootstrapped cross-entropy, half soft Jaccard, over the
tags that are present.
"""

import torch.nn.functional as F
from torch import Tensor

ABSENT = -1e4  # logit of a tag that no object of the clip has; finite in half precision


def restrict_to_present(logits: Tensor, present: Tensor) -> Tensor:
    """Rule out tags that the clip does not hold. `logits` B×11×H×W, `present` bool B×11 (background always present)."""
    return logits.float().masked_fill(~present[:, :, None, None], ABSENT)


def bootstrapped_cross_entropy(logits: Tensor, labels: Tensor, kept: float) -> Tensor:
    """Mean cross-entropy of the hardest `kept` fraction of each sample's pixels. `labels` long B×H×W."""
    losses = F.cross_entropy(logits, labels, reduction="none").flatten(1)
    if kept < 1:
        losses = losses.topk(max(1, int(kept * losses.shape[1])), dim=1, sorted=False).values
    return losses.mean()


def soft_jaccard(logits: Tensor, labels: Tensor, present: Tensor) -> Tensor:
    """1 − soft intersection over union, averaged over the present tags of every sample (background counts as one)."""
    probability = logits.softmax(1).flatten(2)
    target = F.one_hot(labels, logits.shape[1]).flatten(1, 2).transpose(1, 2).to(probability.dtype)
    intersection = (probability * target).sum(2)
    union = probability.sum(2) + target.sum(2) - intersection
    loss = 1 - (intersection + 1e-2) / (union + 1e-2)
    return (loss * present).sum() / present.sum()


def segmentation_loss(logits: Tensor, labels: Tensor, present: Tensor, kept: float) -> Tensor:
    """0.5 bootstrapped cross-entropy + 0.5 soft Jaccard (paper, "Training"). Logits are restricted to present tags
    here.
    """
    logits = restrict_to_present(logits, present)
    return 0.5 * bootstrapped_cross_entropy(logits, labels, kept) + 0.5 * soft_jaccard(logits, labels, present)
