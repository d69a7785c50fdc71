"""What the networks have to beat: methods that learn nothing from masks.

From the masks of some frames to those of all: `frames`: N frames uint8 H×W×3 RGB; `references`: index masks
uint8 H×W by frame number, at least one. Answers are index masks uint8 N×H×W, with the references unchanged in
their places.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from siaf.errors import InputError
from siaf.masks import IndexMask
from siaf.model.encoders import MobileNetV2Encoder
from siaf.model.loaded import Model
from siaf.model.preprocessing import network_size, resize_frames
from siaf.weights.encoders import load_encoder

Frame = NDArray[np.uint8]
Masks = NDArray[np.uint8]
Positions = NDArray[np.float32]
"""(x, y) of every pixel of a frame in another frame, float32 H×W×2."""
Method = Callable[[Sequence[Frame], Mapping[int, IndexMask]], Masks]
"""From frames and the masks of some of them, by frame number, to the masks of all."""
Features = Callable[[Frame], NDArray[np.float32]]
"""From a frame to features float32 C×h×w, whose dot product says how alike two places are."""

OUTSIDE = (-1e4, -1e4)
STRIDE8_WEIGHT = 0.7
NEIGHBOURS = 5
MATCHING_SHORT_SIDE = 256


def baselines(features: Features) -> dict[str, Method]:
    """All of them by name, for tables. `features` are those of nearest-neighbour matching."""
    return {
        "copy-nearest": lambda frames, references: copy_nearest(len(frames), references),
        "nearest-neighbour": lambda frames, references: nearest_neighbour(frames, references, features),
        "optical-flow": optical_flow,
    }


def copy_nearest(n_frames: int, references: Mapping[int, IndexMask]) -> Masks:
    """Every frame gets the mask of the nearest reference; halfway between two, that of the earlier one."""
    return np.stack([references[_nearest(i, references)] for i in range(n_frames)])


def optical_flow(frames: Sequence[Frame], references: Mapping[int, IndexMask]) -> Masks:
    """Masks carried from the nearest reference, frame by frame, along dense DIS optical flow (OpenCV, medium preset).

    Kroeger et al., "Fast Optical Flow using Dense Inverse Search", 2016.
    """
    masks = copy_nearest(len(frames), references)
    for reference, mask in references.items():
        carried_by_it = [i for i in range(len(frames)) if _nearest(i, references) == reference]
        for last in {carried_by_it[0], carried_by_it[-1]} - {reference}:
            for i, origin in _flowing(frames, reference, last):
                masks[i] = cv2.remap(mask, origin[..., 0], origin[..., 1], cv2.INTER_NEAREST)
    return masks


def nearest_neighbour(frames: Sequence[Frame], references: Mapping[int, IndexMask], features: Features) -> Masks:
    """Every place takes the label of its five most similar places in the references (mean of their one-hot labels)."""
    tags = np.unique(np.stack(list(references.values())))
    keys, labels = [], []
    for i, mask in references.items():
        found = features(frames[i])
        keys.append(found.reshape(len(found), -1))
        shares = [
            cv2.resize((mask == t).astype(np.float32), found.shape[:0:-1], interpolation=cv2.INTER_AREA) for t in tags
        ]
        labels.append(np.stack(shares).reshape(len(tags), -1))
    bank, label_bank = np.concatenate(keys, axis=1), np.concatenate(labels, axis=1)

    height, width = next(iter(references.values())).shape
    masks = []
    for i, frame in enumerate(frames):
        if i in references:
            masks.append(references[i])
            continue
        query = features(frame)
        similarity = query.reshape(len(query), -1).T @ bank
        best = np.argpartition(similarity, -NEIGHBOURS, axis=1)[:, -NEIGHBOURS:]
        votes = label_bank[:, best].mean(axis=2).reshape(len(tags), *query.shape[1:])
        large = [cv2.resize(v, (width, height), interpolation=cv2.INTER_LINEAR) for v in votes]
        masks.append(tags[np.argmax(large, axis=0)].astype(np.uint8))
    return np.stack(masks)


def mobilenet_features(weights: Path) -> Features:
    """Features for `nearest_neighbour` of an ImageNet MobileNetV2, from torchvision's state dict.

    Raises StateError, naming the file, if it holds another network.
    """
    encoder = MobileNetV2Encoder("stride16").eval()
    load_encoder(encoder, weights)
    return _matching_features(encoder, torch.device("cpu"))


def encoder_features(model: Model) -> Features:
    """Features for `nearest_neighbour` of a model's propagation encoder, which training may have left at ImageNet's."""
    return _matching_features(model.propagation.encoder, model.device)


def _matching_features(encoder: Callable[[Tensor], list[Tensor]], device: torch.device) -> Features:
    """Stride-8 features averaged to stride 16 and weighted 0.7, beside stride-16 features, each of unit length."""

    @torch.inference_mode()
    def features(frame: Frame) -> NDArray[np.float32]:
        size = network_size(*frame.shape[:2], short_side=MATCHING_SHORT_SIDE, align_corners=False)
        image = resize_frames(torch.from_numpy(frame)[None].to(device), size)
        _, fine, coarse = encoder(image)[:3]
        fine = F.adaptive_avg_pool2d(fine, (coarse.shape[-2], coarse.shape[-1]))
        joined = torch.cat([STRIDE8_WEIGHT * F.normalize(fine), F.normalize(coarse)], dim=1)
        found: NDArray[np.float32] = joined[0].cpu().numpy()
        return found

    return features


def _nearest(frame: int, references: Mapping[int, IndexMask]) -> int:
    if not references:
        raise InputError("there is no reference to start from", field="references")
    return min(references, key=lambda r: (abs(r - frame), r))


def _flowing(frames: Sequence[Frame], start: int, end: int) -> Iterator[tuple[int, Positions]]:
    """From `start` to `end`: frame number, and where in frame `start` each of its pixels comes from."""
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    step = 1 if end > start else -1
    before = cv2.cvtColor(frames[start], cv2.COLOR_RGB2GRAY)
    height, width = before.shape
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    origin = np.dstack([x, y])
    grid = origin
    for i in range(start + step, end + step, step):
        now = cv2.cvtColor(frames[i], cv2.COLOR_RGB2GRAY)
        back = grid + flow.calc(now, before, np.zeros_like(grid))
        # Composing positions instead of warping masks again and again keeps the mask's edges sharp.
        x, y = back[..., 0], back[..., 1]
        origin = cv2.remap(origin, x, y, cv2.INTER_LINEAR, borderValue=OUTSIDE).astype(np.float32, copy=False)
        yield i, origin
        before = now
