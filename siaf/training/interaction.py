"""Train the interaction network (AFI) on frames with simulated strokes, clicks, boxes and previous masks."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from siaf.model.config import MAX_TAGS
from siaf.model.interaction import UNMARKED, InteractionNet
from siaf.model.losses import segmentation_loss
from siaf.model.preprocessing import normalise
from siaf.training.data import Batch
from siaf.training.datasets import ClipSource
from siaf.training.prompts import NO_MASK, simulate_interaction
from siaf.training.propagation import ramp

_SLOTS = 4  # background and up to three objects: what a training clip holds


@dataclass(frozen=True, kw_only=True)
class InteractionRecipe:
    """`frames`: share of steps with 1, 2, 3 interacted frames; `budget`: frames of a batch over all clips.

    `feedback`: probability of a second pass that corrects the network's own result. `again`: share of these that are
    shown nothing new, so that the network learns to better its own result. `untouched`: as of `ClipSynthesizer`.
    """

    frames: tuple[float, ...] = (0.5, 0.3, 0.2)
    budget: int = 8
    feedback: float = 0.3
    again: float = 0.0
    kept: tuple[float, float] = (1.0, 0.35)
    untouched: float = 0.6
    bfloat16: bool = False


def interaction_batches(
    make: Callable[[int], ClipSource], recipe: InteractionRecipe
) -> Callable[[np.random.Generator], Batch]:
    """A function that draws a batch: frames uint8 B×f×H×W×3, labels, strokes and previous masks int16 B×f×H×W.

    `make` gives a source of clips of so many frames.
    """
    makers = [make(f + 1) for f in range(len(recipe.frames))]

    def draw(rng: np.random.Generator) -> Batch:
        maker = makers[rng.choice(len(makers), p=recipe.frames)]
        count = max(2, round(recipe.budget / (makers.index(maker) + 1)))
        clips = [_with_prompts(maker, rng) for _ in range(count)]
        return {key: np.stack([clip[key] for clip in clips]) for key in clips[0]}

    return draw


def _with_prompts(maker: ClipSource, rng: np.random.Generator) -> Batch:
    clip = maker.sample(rng)
    frames, objects = len(clip.labels), range(1, int(clip.labels.max()) + 1)
    # Every object is prompted on a random non-empty set of frames; on the others it must be found by attention.
    wanted = rng.random((frames, len(objects))) < 0.6
    for k in range(len(objects)):
        visible = [t for t in range(frames) if (clip.labels[t] == k + 1).any()]
        if not wanted[visible, k].any():
            wanted[rng.choice(visible), k] = True
    pairs = [
        simulate_interaction(label, rng, objects_with_prompts={k for k in objects if wanted[t, k - 1]})
        for t, label in enumerate(clip.labels)
    ]
    return {
        "frames": clip.frames,
        "labels": clip.labels.astype(np.int16),
        "strokes": np.stack([strokes for strokes, _ in pairs]),
        "previous": np.stack([_unmarked(previous) for _, previous in pairs]),
    }


def _unmarked(previous: np.ndarray) -> np.ndarray:
    return np.where(previous == NO_MASK, np.int16(UNMARKED), previous.astype(np.int16))


class InteractionLoss:
    """Loss of a batch from `interaction_batches`."""

    def __init__(self, net: InteractionNet, recipe: InteractionRecipe, *, steps: int, seed: int) -> None:
        self.net, self.recipe, self.steps, self.seed = net, recipe, steps, seed
        self.random = torch.Generator()

    def __call__(self, batch: dict[str, Tensor], step: int) -> Tensor:
        self.random.manual_seed(self.seed * 1_000_003 + step)
        labels = batch["labels"].long()
        tags = torch.stack([1 + torch.randperm(MAX_TAGS, generator=self.random)[: _SLOTS - 1] for _ in labels])
        tags = F.pad(tags, (1, 0)).to(labels.device)
        present = torch.arange(_SLOTS, device=labels.device) <= labels.flatten(1).amax(1, keepdim=True)
        tags = tags.where(present, tags[:, :1])  # padding repeats the background
        images = normalise(batch["frames"].flatten(0, 1)).unflatten(0, labels.shape[:2])
        kept = ramp(self.recipe.kept, step / self.steps)

        logits = self._forward(images, batch["strokes"], batch["previous"], tags)
        loss = self._score(logits, labels, present, kept)
        if self._chance(self.recipe.feedback):
            previous = self._result(logits.detach(), labels, present)
            same = self._chance(self.recipe.again)
            strokes = batch["strokes"] if same else _corrections(labels, previous, (self.seed, step))
            loss = 0.5 * loss + 0.5 * self._score(self._forward(images, strokes, previous, tags), labels, present, kept)
        return loss

    def _forward(self, images: Tensor, strokes: Tensor, previous: Tensor, tags: Tensor) -> Tensor:
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.recipe.bfloat16):
            logits: Tensor = self.net(images, _to_tags(strokes, tags), _to_tags(previous, tags), tags)
        return F.interpolate(
            logits.float().flatten(0, 1),
            size=images.shape[-2:],
            mode="bilinear",
            align_corners=self.net.config.align_corners,
        )

    @staticmethod
    def _score(logits: Tensor, labels: Tensor, present: Tensor, kept: float) -> Tensor:
        frames = labels.shape[1]
        return segmentation_loss(logits, labels.flatten(0, 1), present.repeat_interleave(frames, 0), kept)

    def _chance(self, probability: float) -> bool:
        return torch.rand((), generator=self.random).item() < probability

    @staticmethod
    def _result(logits: Tensor, labels: Tensor, present: Tensor) -> Tensor:
        """The index masks that logits give, in the clips' own slots, as `labels`."""
        absent = ~present.repeat_interleave(labels.shape[1], 0)[:, :, None, None]
        return logits.masked_fill(absent, -torch.inf).argmax(1).view_as(labels)


def _corrections(labels: Tensor, result: Tensor, seed: tuple[int, int]) -> Tensor:
    """Strokes on what is wrong in a result, frame by frame: long, as `labels`."""
    rng = np.random.default_rng(seed)
    pairs = (x.flatten(0, 1).cpu().numpy().astype(np.uint8) for x in (labels, result))
    strokes = [simulate_interaction(label, rng, previous=mask)[0] for label, mask in zip(*pairs, strict=True)]
    return torch.from_numpy(np.stack(strokes)).view_as(labels).to(labels.device)


def _to_tags(labels: Tensor, tags: Tensor) -> Tensor:
    """Slots of a clip → its shuffled tags; UNMARKED stays."""
    labels = labels.long()
    table = torch.cat((tags, torch.full_like(tags[:, :1], UNMARKED)), dim=1)
    return table.gather(1, (labels.where(labels >= 0, tags.shape[1])).flatten(1)).view_as(labels)
