"""Pictures of what a network does with some clips: truth above, its answer below, one row of each per clip."""

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from siaf.model.config import MAX_TAGS
from siaf.model.identity import one_hot_mask
from siaf.model.interaction import InteractionNet
from siaf.model.losses import restrict_to_present
from siaf.model.preprocessing import normalise
from siaf.model.propagation import PropagationNet
from siaf.output.overlay import draw_masks
from siaf.output.palette import BRIGHT
from siaf.training.propagation import fine_key, refined

Picture = NDArray[np.uint8]
CLIPS = 3
"""How many clips of a batch are shown."""


def picture_of(net: PropagationNet | InteractionNet, batch: dict[str, Tensor], device: torch.device) -> Picture:
    """uint8 H×W×3 RGB, of a batch as either stage draws it. The network is left in training mode."""
    few = {name: value[:CLIPS].to(device) for name, value in batch.items()}
    net.eval()
    with torch.no_grad():  # not inference_mode: what networks keep for later must serve training too
        found = _propagated(net, few) if isinstance(net, PropagationNet) else _interacted(net, few)
    masks = found.to(torch.uint8).cpu().numpy()
    net.train()
    frames, labels = (few[name].cpu().numpy().astype(np.uint8) for name in ("frames", "labels"))
    strokes = few["strokes"].cpu().numpy() if "strokes" in few else None
    rows = []
    for clip in range(len(frames)):
        truth, below = [], []
        for t in range(frames.shape[1]):
            shown = draw_masks(frames[clip, t], labels[clip, t])
            if strokes is not None:
                marked = strokes[clip, t] >= 0
                shown[marked] = BRIGHT[strokes[clip, t][marked]]
            truth.append(shown)
            below.append(draw_masks(frames[clip, t], masks[clip, t]))
        rows += [np.hstack(truth), np.hstack(below)]
    return np.vstack(rows)


def _propagated(net: PropagationNet, clips: dict[str, Tensor]) -> Tensor:
    """Masks B×T×H×W of clips whose first frame's labels are given, its own results fed back."""
    labels = clips["labels"].long()
    present = F.one_hot(labels[:, 0].flatten(1), MAX_TAGS + 1).amax(1).bool()
    present[:, 0] = True
    features = [net.encode(normalise(frame)) for frame in clips["frames"].unbind(1)]
    long = short = net.reference(features[0], one_hot_mask(labels[:, 0]))
    masks = [labels[:, 0]]
    before = fine_key(net, features[0]), masks[0]
    for seen in features[1:]:
        step, key = net.propagate(seen, long, short), fine_key(net, seen)
        logits = refined(net, step, key, before, present)
        masks.append(_winner(logits, present, labels.shape[-2:], net.config.align_corners))
        short = net.remember(step.sources, one_hot_mask(masks[-1]))
        before = key, masks[-1]
    return torch.stack(masks, dim=1)


def _interacted(net: InteractionNet, clips: dict[str, Tensor]) -> Tensor:
    """Masks B×f×H×W from strokes and previous masks."""
    labels = clips["labels"].long()
    count = int(labels.max()) + 1
    tags = torch.arange(count, device=labels.device).expand(len(labels), -1)
    images = normalise(clips["frames"].flatten(0, 1)).unflatten(0, labels.shape[:2])
    logits = net(images, clips["strokes"].long(), clips["previous"].long(), tags).flatten(0, 1)
    present = (tags <= labels.flatten(1).amax(1, keepdim=True)).repeat_interleave(labels.shape[1], 0)
    return _winner(logits, present, labels.shape[-2:], net.config.align_corners).view_as(labels)


def _winner(logits: Tensor, present: Tensor, size: tuple[int, ...], align_corners: bool) -> Tensor:
    large = F.interpolate(logits.float(), size=size, mode="bilinear", align_corners=align_corners)
    return restrict_to_present(large, present).argmax(1)
