"""A session's own decoder: the shipped one, trained for a few steps on the masks that a human made of its frames.

It finds the same objects in the same clip better, edges above all. Masks that no human has seen would teach it their
faults, so they take no part. docs/training.md has the measurements.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from siaf.examples import Annotated, Example, Examples
from siaf.model.adapted import decoder_parameters, with_decoder
from siaf.model.propagation import PropagationNet
from siaf.network import Model
from siaf.objects import ObjectTable
from siaf.training.losses import segmentation_loss

MIN_FRAMES = 2
MAX_FRAMES = 8
"""More add time and little else; those that are used are spread over all."""
LARGEST_CHANGE = 0.05
"""No parameter moves as far in so few steps of AdamW."""
_HOLD_OUT_FROM = 3
_STEPS, _WARM_UP, _RATE, _LEAST_RATE, _CLIP = 40, 5, 5e-4, 0.1, 1.0
_VIEWS, _PAIRS = 8, 0.5


@dataclass(frozen=True, eq=False)
class Decoder:
    """What came of an adaptation. `content`: digest of all that it was made from. `change`: what is added to the
    shipped parameters (`siaf.model.adapted`), float16 by name; None where the shipped ones did as well on the frame held out.
    """

    content: str
    change: Mapping[str, Tensor] | None

    @property
    def version(self) -> str:
        """Digest of the change; empty if there is none."""
        if self.change is None:
            return ""
        found = hashlib.blake2b(digest_size=12)
        for name in sorted(self.change):
            found.update(name.encode() + self.change[name].cpu().contiguous().numpy().tobytes())
        return found.hexdigest()

    def model(self, shipped: Model) -> Model:
        """A model with this decoder; it shares all else with the shipped one, which stays as it is."""
        if self.change is None:
            return shipped
        return replace(shipped, propagation=with_decoder(shipped.propagation, self.change))


def choose(frames: list[int]) -> list[int]:
    """Annotated frames that an adaptation looks at, ascending: at most MAX_FRAMES."""
    if len(frames) <= MAX_FRAMES:
        return sorted(frames)
    return [sorted(frames)[round(i)] for i in np.linspace(0, len(frames) - 1, MAX_FRAMES)]


def content_of(
    model: Model, digests: Mapping[int, str], masks: Mapping[int, tuple[bytes, frozenset[int]]], objects: ObjectTable
) -> str:
    """Digest of all that a decoder is made from: weights, frames, masks (their pixels and the tags they speak of)."""
    found = hashlib.blake2b(digest_size=12)
    found.update(f"{model.digest}|{model.short_side}|{model.objects_per_pass}|{objects.places()}".encode())
    for frame, (pixels, tags) in sorted(masks.items()):
        found.update(f"|{frame}|{digests[frame]}|{sorted(tags)}|".encode() + pixels)
    return found.hexdigest()


class Adaptation:
    """One adaptation, step by step: `done` of `total`; `decoder` once it is through.

    `frames`: at least MIN_FRAMES, by number. Of three or more the middle one is held out, and judges.
    """

    def __init__(self, model: Model, content: str, frames: Mapping[int, Annotated], objects: ObjectTable) -> None:
        self.content, self._shipped = content, model.propagation
        self.done, self.decoder = 0, Decoder(content, None)
        self._rng = np.random.default_rng(int(content, 16))
        self._frames = sorted(frames)
        self._held = self._frames.pop(len(frames) // 2) if len(frames) >= _HOLD_OUT_FROM else None
        self.total = _STEPS + (self._held is not None)
        self._examples = Examples(model, frames, objects)
        self._known: dict[tuple[str, int], list[Example]] = {}
        start = decoder_parameters(model.propagation)
        self._net = with_decoder(model.propagation, {name: torch.zeros_like(x) for name, x in start.items()})
        self._own = {name: x.requires_grad_() for name, x in self._net.named_parameters() if name in start}
        self._optimizer = torch.optim.AdamW(self._own.values(), lr=_RATE, weight_decay=0.0)

    @property
    def finished(self) -> bool:
        """Whether `decoder` is what came of it."""
        return self.done == self.total

    def step(self) -> None:
        """One step of training; the last judges what has been learnt."""
        if self.done < _STEPS:
            self._learn()
        self.done += 1
        if self.finished:
            self.decoder = Decoder(self.content, self._change() if self._is_better() else None)

    # -- inside ---------------------------------------------------------------------------------------------------

    def _learn(self) -> None:
        example = self._draw()
        if example is None:
            return
        for group in self._optimizer.param_groups:
            falling = 1 - (1 - _LEAST_RATE) * self.done / _STEPS
            group["lr"] = _RATE * min((self.done + 1) / _WARM_UP, falling)
        with torch.enable_grad():
            logits = example.logits(self._net)
            present = torch.ones(logits.shape[:2], dtype=torch.bool, device=logits.device)
            loss = segmentation_loss(logits, example.labels, present, kept=1.0)
        self._optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._own.values(), _CLIP)
        self._optimizer.step()

    def _draw(self) -> Example | None:
        """An example of a frame and a group of objects; None where the frames drawn have no object in common."""
        paired = len(self._frames) > 1 and self._rng.random() < _PAIRS
        number = int(self._rng.integers(len(self._frames) if paired else _VIEWS))
        frame = self._frames[number % len(self._frames)]
        place = ("pair" if paired else "view", number)
        if place not in self._known:
            others = [f for f in self._frames if f != frame]
            self._known[place] = (
                self._examples.pairs(frame, others) if paired else self._examples.views(frame, self._rng)
            )
        found = self._known[place]
        return found[int(self._rng.integers(len(found)))] if found else None

    def _change(self) -> dict[str, Tensor] | None:
        """How far the parameters have come; None if they are no numbers any more."""
        start = decoder_parameters(self._shipped)
        change = {name: (x.detach() - start[name]).half() for name, x in self._own.items()}
        sound = all(bool((x.abs() <= LARGEST_CHANGE).all()) for x in change.values())
        return change if sound else None

    def _is_better(self) -> bool:
        if self._held is None:
            return True
        judges = self._examples.pairs(self._held, self._frames)
        return bool(_score(self._net, judges) > _score(self._shipped, judges))


@torch.no_grad()
def _score(net: PropagationNet, examples: list[Example]) -> float:
    """Mean intersection over union of the objects of all examples; 0 without any."""
    found = []
    for example in examples:
        winner = example.logits(net)[0].max(0).indices
        for channel in range(1, len(example.slots)):
            own, true = winner == channel, example.labels[0] == channel
            union = int((own | true).sum())
            if union:
                found.append(int((own & true).sum()) / union)
    return float(np.mean(found)) if found else 0.0
