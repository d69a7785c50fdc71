"""Does our propagation compute what the official AOT and DeAOT code computes? The clip, the weights and our side of it.

The other side is `siaf.evaluation.official`. Both sides get the same random weights and walk the same clip: a reference
frame, propagated frames with memory updates, a second reference in the middle, and then enough frames for a predicted
one to enter the long-term memory and to be read from it. Twelve objects make two passes of ten identities.

Inputs are built from integers and exact arithmetic, so that their digests are equal on every machine.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from siaf.model.config import PROPAGATION
from siaf.model.gated import build_propagation
from siaf.model.identity import Slots, merge_groups
from siaf.model.preprocessing import normalise
from siaf.model.propagation import FrameFeatures
from siaf.session.memory import AcrossRoundMemory, ChainMemory

VARIANTS = tuple(name for name in PROPAGATION if name != "siaf-t")
SLOTS: Slots = (tuple(range(1, 11)), (1, 2))
_FRAMES = 10
_SECOND_REFERENCE = 3
_SAMPLES = 24
_GAIN = {
    "bn3.weight": 0.2,
    "encoder_projector.weight": 0.3,
    "patch_wise_id_bank.weight": 4.0,
    "linear_Q.weight": 1.4,
    "linear_V.weight": 2.0,
    "linear_ID_V.weight": 2.0,
    "term_attn.projection.weight": 2.0,
    "adapter_16x.weight": 0.1,
    "adapter_8x.weight": 0.1,
    "adapter_4x.weight": 0.1,
}
"""Factors by end of name: image features small and memory reads large, so that an error in a memory is seen."""


@dataclass(frozen=True)
class Clip:
    """`images` float T×3×h×w, normalised, at network size; `labels` long T×h×w, objects 1…12; `size` of the answer."""

    images: Tensor
    labels: Tensor
    size: tuple[int, int]


@dataclass(frozen=True)
class Step:
    """What a side says of a propagated frame.

    `logits` float C×(h/4)×(w/4): for every group, background and its objects. `probabilities` float 13×H×W: merged, at
    the clip's `size`.
    """

    logits: Tensor
    probabilities: Tensor


class Side(Protocol):
    """One implementation, walking a clip."""

    def reference(self, image: Tensor, labels: Tensor) -> None:
        """Remember a frame whose mask is known: 3×h×w, h×w."""

    def propagate(self, image: Tensor, size: tuple[int, int]) -> Step:
        """Find the objects in the next frame."""

    def remember(self, labels: Tensor) -> None:
        """Remember the frame just propagated with this mask."""


def make_clip(*, align_corners: bool) -> Clip:
    """Twelve textured rectangles that drift over a textured ground."""
    rng = np.random.default_rng(11)
    rows, cols = (129, 321) if align_corners else (128, 320)  # 9×21 cells: wider than the local window of 15
    coarse = rng.integers(0, 256, (_FRAMES, rows // 8 + 2, cols // 8 + 2, 3), dtype=np.uint8)
    coarse[1:] = coarse[0] // 2 + coarse[1:] // 2
    frames = coarse.repeat(8, axis=1).repeat(8, axis=2)[:, :rows, :cols].copy()
    labels = np.zeros((_FRAMES, rows, cols), dtype=np.int64)
    for tag in range(1, 13):
        texture = rng.integers(0, 256, (34, 60, 3), dtype=np.uint8)
        top, left = (tag - 1) // 4 * 40 + 6, (tag - 1) % 4 * 78 + 6
        for t in range(_FRAMES):
            y, x = top + t % 3, left + (t if tag % 2 else 9 - t)
            frames[t, y : y + 34, x : x + 60] = texture
            labels[t, y : y + 34, x : x + 60] = tag
    return Clip(normalise(torch.from_numpy(frames)), torch.from_numpy(labels), (140, 345))


def random_state(net: nn.Module, seed: int = 5) -> dict[str, Tensor]:
    """Weights for a comparison: every layer alive, no activation that explodes, memories that decide the answer.

    Index buffers stay as they are.
    """
    rng = np.random.default_rng(seed)

    def draw(shape: tuple[int, ...], low: float, high: float) -> Tensor:
        # Products and sums of exactly scaled integers in float64, rounded once: the same bits everywhere.
        return torch.from_numpy(low + (high - low) * rng.integers(0, 2**16, shape) / 2**16).float()

    def fill(name: str, value: Tensor) -> Tensor:
        shape = tuple(value.shape)
        gain = next((factor for end, factor in _GAIN.items() if name.endswith(end)), 1.0)
        if not value.is_floating_point():
            return value
        if name.endswith("running_var"):
            return draw(shape, 0.6, 1.4)
        if value.ndim == 1:
            return gain * draw(shape, 0.7, 1.3) if name.endswith("weight") else draw(shape, -0.1, 0.1)
        if name.endswith(("relative_emb_v", "relative_position_bias_table", "mask_token")):
            return draw(shape, -0.5, 0.5)
        reach = gain * float(6 / value[0].numel()) ** 0.5
        return draw(shape, -reach, reach)

    return {name: fill(name, value) for name, value in sorted(net.state_dict().items())}


class Ours:
    """Our network with the memory that sessions keep."""

    def __init__(self, variant: str, state: Mapping[str, Tensor] | None = None) -> None:
        self.net = build_propagation(PROPAGATION[variant]).eval()
        self.net.load_state_dict(state or random_state(self.net))
        self.memory, self.chain, self.frame = AcrossRoundMemory(), None, 0

    memory: AcrossRoundMemory
    chain: ChainMemory | None

    def reference(self, image: Tensor, labels: Tensor) -> None:
        """Remember a frame whose mask is known."""
        memory = self.net.reference(_twice(self.net.encode(image[None])), _grouped(labels))
        self.memory.put(self.frame, memory)
        self.chain = ChainMemory(memory)

    def propagate(self, image: Tensor, size: tuple[int, int]) -> Step:
        """Find the objects in the next frame."""
        assert self.chain is not None
        self.frame += 1
        features = _twice(self.net.encode(image[None]))
        long = self.memory.read(self.frame, self.chain.transient)
        logits, self.sources, _ = self.net.propagate(features, long, self.chain.short)
        used = [logits[g, : len(group) + 1] for g, group in enumerate(SLOTS)]
        align = self.net.config.align_corners
        wide = [F.interpolate(x[None], size=size, mode="bilinear", align_corners=align)[0] for x in used]
        return Step(torch.cat(used), merge_groups(wide))

    def remember(self, labels: Tensor) -> None:
        """Remember the frame just propagated."""
        assert self.chain is not None
        self.chain.advance(self.net.remember(self.sources, _grouped(labels)), self.net.config.memory_gap)


@torch.inference_mode()
def walk(side: Side, clip: Clip) -> list[Step]:
    """Every propagated frame of the clip in turn."""
    side.reference(clip.images[0], clip.labels[0])
    steps = []
    for t in range(1, len(clip.images)):
        steps.append(side.propagate(clip.images[t], clip.size))
        if t == _SECOND_REFERENCE:
            side.reference(clip.images[t], clip.labels[t])
        else:
            side.remember(clip.labels[t])
    return steps


def difference(ours: list[Step], theirs: list[Step]) -> dict[str, float]:
    """Largest absolute differences over a clip, and the share of pixels whose winning object differs."""
    pairs = list(zip(ours, theirs, strict=True))
    return {
        "logits": max((a.logits - b.logits).abs().max().item() for a, b in pairs),
        "probabilities": max((a.probabilities - b.probabilities).abs().max().item() for a, b in pairs),
        "labels": float(
            np.mean([(a.probabilities.argmax(0) != b.probabilities.argmax(0)).float().mean().item() for a, b in pairs])
        ),
        "spread": float(np.mean([b.logits.std().item() for _, b in pairs])),
    }


def summary(steps: list[Step]) -> list[dict[str, Any]]:
    """Statistics of every frame's logits: enough to notice any change of the arithmetic, small enough to keep."""
    return [
        {
            "shape": list(step.logits.shape),
            "mean": round(step.logits.mean().item(), 6),
            "std": round(step.logits.std().item(), 6),
            "samples": [round(v, 5) for v in _samples(step.logits)],
            "probabilities": [round(v, 5) for v in _samples(step.probabilities)],
        }
        for step in steps
    ]


def digest(tensors: Iterable[Tensor]) -> str:
    """blake2b-128 of the tensors' bytes, in hex."""
    total = hashlib.blake2b(digest_size=16)
    for tensor in tensors:
        total.update(tensor.contiguous().numpy().tobytes())
    return total.hexdigest()


def _samples(x: Tensor) -> list[float]:
    flat = x.flatten()
    return [float(v) for v in flat[torch.linspace(0, len(flat) - 1, _SAMPLES).long()]]


def _grouped(labels: Tensor) -> Tensor:
    """Objects 1…12 → each group's slots, 2×h×w."""
    return torch.stack((torch.where(labels > 10, 0, labels), torch.where(labels > 10, labels - 10, 0)))


def _twice(features: FrameFeatures) -> FrameFeatures:
    return features.map(lambda x: x.expand(2, *x.shape[1:]))
