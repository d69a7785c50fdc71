"""A session's own decoder: the shipped one, trained for a few steps on the masks that a human made of its frames.

It finds the same objects in the same clip better, edges above all. Masks that no human has seen would teach it their
faults, so they take no part. docs/model-card.md has the figures.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from siaf.model.adapted import decoder_parameters, with_decoder
from siaf.model.loaded import Model
from siaf.model.losses import segmentation_loss
from siaf.model.propagation import PropagationNet
from siaf.session.examples import Annotated, Example, Examples
from siaf.session.objects import ObjectTable

MAX_FRAMES = 8
"""Those that are used are spread over all; the time stays within bounds."""
LARGEST_CHANGE = 0.05
"""No parameter moves as far: the rates of all steps sum to 0.011, and AdamW exceeds them threefold at most."""
_STEPS, _TRIAL_STEPS, _TRIAL_FROM = 40, 15, 3
_MAY_LOSE = 0.03
"""Of intersection over union on the frame held out: one frame, after few steps, says it no more exactly."""
_WARM_UP, _RATE, _LEAST_RATE, _CLIP = 5, 5e-4, 0.1, 1.0
_VIEWS, _PAIRS = 16, 0.5
_KEPT = 0.5
"""How much of the change counts. All of it helps more where the shipped decoder fails, and harms where several objects
are and where all was well; half of it hardly ever harms (docs/training.md).
"""


@dataclass(frozen=True, eq=False)
class Decoder:
    """What came of an adaptation. `content`: digest of all that it was made from. `change`: what is added to the
    shipped parameters (`siaf.model.adapted`), float16 by name; None where a trial did harm.
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

    `frames`: at least one, by number. Where there are three or more, a short trial without the middle one comes
    first: if that frame then comes out worse than the shipped decoder finds it, the shipped one stays.
    """

    def __init__(self, model: Model, content: str, frames: Mapping[int, Annotated], objects: ObjectTable) -> None:
        self.content, self._shipped = content, model.propagation
        self.done, self.decoder = 0, Decoder(content, None)
        self._drawn = _Drawn(Examples(model, frames, objects), np.random.default_rng(int(content, 16)))
        self._frames = sorted(frames)
        self._held = self._frames[len(frames) // 2] if len(frames) >= _TRIAL_FROM else None
        self._trial = _TRIAL_STEPS if self._held is not None else 0
        self.total = self._trial + _STEPS
        self._training: _Training | None = None

    @property
    def finished(self) -> bool:
        """Whether `decoder` is what came of it."""
        return self.done == self.total

    def step(self) -> None:
        """One step of training."""
        if self._training is None:
            trial = self.done < self._trial
            frames = [f for f in self._frames if not (trial and f == self._held)]
            self._training = _Training(self._shipped, frames, _TRIAL_STEPS if trial else _STEPS)
        self._training.step(self._drawn)
        self.done += 1
        if self.done == self._trial and self._harms(self._training):
            self.done = self.total
        elif self.finished:
            self.decoder = Decoder(self.content, self._training.change())
        if self._training.finished:
            self._training = None

    def _harms(self, trial: "_Training") -> bool:
        assert self._held is not None
        change = trial.change()
        if change is None:
            return True
        judges = self._drawn.examples.pairs(self._held, trial.frames)
        return _score(with_decoder(self._shipped, change), judges) < _score(self._shipped, judges) - _MAY_LOSE


class _Drawn:
    """Examples that were drawn, by frame: pairs by the frames that they are found from, views by number."""

    def __init__(self, examples: Examples, rng: np.random.Generator) -> None:
        self.examples, self._rng = examples, rng
        self._pairs: dict[tuple[int, ...], list[Example]] = {}
        self._views: dict[tuple[int, int], list[Example]] = {}

    def draw(self, frames: list[int]) -> Example | None:
        """One of a frame and a group of objects; None where the frames drawn have no object in common."""
        paired = len(frames) > 1 and self._rng.random() < _PAIRS
        turn, number = divmod(int(self._rng.integers(len(frames) if paired else _VIEWS)), len(frames))
        frame = frames[number]
        others = [f for f in frames if f != frame]
        if paired and (frame, *others) not in self._pairs:
            self._pairs[frame, *others] = self.examples.pairs(frame, others)
        if not paired and (frame, turn) not in self._views:
            self._views[frame, turn] = self.examples.views(frame, self._rng)
        found = self._pairs[frame, *others] if paired else self._views[frame, turn]
        return found[int(self._rng.integers(len(found)))] if found else None


class _Training:
    """A decoder that learns from `frames` in so many steps; `net` is the network with it."""

    def __init__(self, shipped: PropagationNet, frames: list[int], steps: int) -> None:
        self.frames, self._steps, self._done = frames, steps, 0
        self._start = decoder_parameters(shipped)
        self.net = with_decoder(shipped, {name: torch.zeros_like(x) for name, x in self._start.items()})
        self._own = {name: x.requires_grad_() for name, x in self.net.named_parameters() if name in self._start}
        self._optimizer = torch.optim.AdamW(self._own.values(), lr=_RATE, weight_decay=0.0)

    @property
    def finished(self) -> bool:
        """Whether all steps are done."""
        return self._done == self._steps

    def step(self, drawn: _Drawn) -> None:
        """Learn from one example."""
        rate = _RATE * min((self._done + 1) / _WARM_UP, 1 - (1 - _LEAST_RATE) * self._done / self._steps)
        self._done += 1
        example = drawn.draw(self.frames)
        if example is None:
            return
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        with torch.enable_grad():
            logits = example.logits(self.net)
            present = torch.ones(logits.shape[:2], dtype=torch.bool, device=logits.device)
            loss = segmentation_loss(logits, example.labels, present, kept=1.0)
        self._optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._own.values(), _CLIP)
        self._optimizer.step()

    def change(self) -> dict[str, Tensor] | None:
        """What counts of how far the parameters have come, in half precision; None if they are no numbers any more."""
        change = {name: ((x.detach() - self._start[name]) * _KEPT).half() for name, x in self._own.items()}
        return change if all(bool((x.abs() <= LARGEST_CHANGE).all()) for x in change.values()) else None


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
