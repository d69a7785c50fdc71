"""Our speed against the official code of AOT and of MiVOS, each from a checkout that the user names.

Nothing of either is in this repository: they are imported, timed and forgotten. Weights are random and, for AOT, the
same on both sides.
"""

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from siaf.bench.clip import MovingObjects
from siaf.bench.clock import Clock
from siaf.errors import InputError
from siaf.evaluation.official import Official, official_code
from siaf.evaluation.parity import random_state
from siaf.evaluation.table import Row
from siaf.model.config import INTERACTION, PROPAGATION
from siaf.model.folding import for_inference
from siaf.model.gated import build_propagation
from siaf.model.interaction import InteractionNet
from siaf.model.loaded import Model
from siaf.model.preprocessing import network_size, resize_frames, resize_labels
from siaf.session.memory import ChainMemory

_HEIGHT, _WIDTH = 480, 854
VARIANTS = ("aott", "r50_aotl")


def against_aot(checkout: Path, clock: Clock, variants: tuple[str, ...] = VARIANTS) -> Iterator[Row]:
    """Milliseconds of a frame (encode, match, decode, mask at 480×854, memory), and the largest difference of logits.

    The official local attention has two forms that run without a compiled extension: by unfolding, as it stands, and
    dense, whose last addition has to be repaired. The faster one counts.
    """
    with official_code(checkout):
        for variant in variants:
            ours = _Ours(variant)
            sides = {"unfolded": _Theirs(variant, ours.state)}
            with _dense_attention():
                sides["dense"] = _Theirs(variant, ours.state)
                difference = max((side.first - ours.first[:, :2]).abs().max().item() for side in sides.values())
                times = clock.best({"ours": ours.step, **{name: side.step for name, side in sides.items()}})
            theirs = min(times["unfolded"], times["dense"])
            yield {
                "model": variant,
                "official unfolded ms": times["unfolded"],
                "official dense ms": times["dense"],
                "ours ms": times["ours"],
                "times as fast": theirs / times["ours"],
                "logit difference": difference,
            }


def against_mivos(checkout: Path, clock: Clock, frames: int = 3) -> Iterator[Row]:
    """Milliseconds of a propagated frame of one clip, by number of objects: MiVOS's propagation, and R50_AOTL here."""
    for count in (1, 10):
        ours = _Ours("r50_aotl", count)
        with _mivos(checkout) as (network, core):
            clip = MovingObjects(frames + 1, _HEIGHT, _WIDTH, count)
            images = torch.cat([resize_frames(torch.from_numpy(f)[None], (_HEIGHT, _WIDTH)) for f in clip])[None]
            labels = torch.from_numpy(clip.mask(0))
            one_hot = torch.stack([(labels == k).float() for k in range(count + 1)])[:, None]

            def run(given: Tensor = images, mask: Tensor = one_hot, objects: int = count) -> None:
                with torch.no_grad():  # no fusion network: a first interaction does not use it
                    core(network, None, given, objects, device="cpu").interact(mask, 0)

            theirs = 1e3 * min(clock.seconds(run) for _ in range(max(1, clock.repeat // 3))) / frames
        ms = clock.best({"": ours.step})[""]
        yield {"objects": count, "MiVOS ms": theirs, "ours ms": ms, "times as fast": theirs / ms}


class _Ours:
    """One step, as a session makes it on a new frame."""

    def __init__(self, variant: str, objects: int = 1) -> None:
        net = build_propagation(PROPAGATION[variant]).eval().requires_grad_(False)
        self.state = random_state(net)
        net.load_state_dict(self.state)
        for_inference(net)
        interaction = InteractionNet(INTERACTION["siaf-t"])
        self._model = Model(variant, "random", interaction, net, torch.device("cpu"), short_side=480)
        clip = MovingObjects(2, _HEIGHT, _WIDTH, objects)
        self._frame, self._slots = clip[1], [list(range(1, objects + 1))]
        before, here = (self._model.encode_batch([clip[i]])[0] for i in (0, 1))
        (self._memory,) = self._model.reference_batch([before], [clip.mask(0)[None]])
        with torch.inference_mode():
            self.first = net.propagate(here, self._memory, self._memory)[0]

    def step(self) -> None:
        """Encode, propagate, remember."""
        chain = ChainMemory(self._memory)
        features = self._model.encode_batch([self._frame])
        self._model.propagate(features, [self._memory], [chain.short], self._slots, (_HEIGHT, _WIDTH))


class _Theirs(Official):
    """The same step with the official engine, of one object."""

    def __init__(self, variant: str, state: dict[str, Tensor]) -> None:
        super().__init__(variant)
        self.load(state)
        self.objects = 1
        clip = MovingObjects(2, _HEIGHT, _WIDTH, 1)
        align = PROPAGATION[variant].align_corners
        self._size = network_size(_HEIGHT, _WIDTH, short_side=480, align_corners=align)
        first, self._image = (resize_frames(torch.from_numpy(clip[i])[None], self._size)[0] for i in (0, 1))
        labels = resize_labels(torch.from_numpy(clip.mask(0))[None], self._size)[0]
        with torch.inference_mode():
            self.reference(first, labels)
            memories = self.engine.aot_engines[0].long_term_memories
            self._step()
        self.first: Tensor = self.engine.aot_engines[0].pred_id_logits[:, :2]
        self._memories = memories

    def step(self) -> None:
        """As its evaluator does it; the long-term memory is kept at one frame, as on our side."""
        with torch.inference_mode():
            self.engine.aot_engines[0].long_term_memories = self._memories
            self._step()

    def _step(self) -> None:
        self.engine.match_propogate_one_frame(self._image[None])
        logits = self.engine.decode_current_logits((_HEIGHT, _WIDTH))
        labels = torch.argmax(torch.softmax(logits, dim=1), dim=1, keepdim=True).float()
        self.engine.update_memory(nn.functional.interpolate(labels, size=self._size, mode="nearest"))


class _LateBias:
    """The dense attention's positional part: it arranges the other part, B×heads×N×D, as itself when they are added."""

    def __init__(self, bias: Tensor) -> None:
        self._bias = bias

    def reshape(self, *shape: int) -> "_LateBias":
        return _LateBias(self._bias.reshape(*shape))

    def __radd__(self, value: Tensor) -> Tensor:
        return value.permute(2, 0, 1, 3).reshape(self._bias.shape) + self._bias


class _Torch:
    """torch, but for the one product whose result has to be added later."""

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)

    def einsum(self, equation: str, *operands: Tensor) -> Any:
        found = torch.einsum(equation, *operands)
        return _LateBias(found) if equation == "bhnw,hcw->nbhc" else found


@contextmanager
def _dense_attention() -> Iterator[None]:
    """The official dense local attention, repaired. To be used inside `official_code`."""
    attention: Any = importlib.import_module("networks.layers.attention")
    transformer: Any = importlib.import_module("networks.layers.transformer")
    unfolded = transformer.MultiheadLocalAttentionV3
    transformer.MultiheadLocalAttentionV3 = attention.MultiheadLocalAttentionV3
    attention.torch = _Torch()
    try:
        yield
    finally:
        transformer.MultiheadLocalAttentionV3, attention.torch = unfolded, torch


@contextmanager
def _mivos(checkout: Path) -> Iterator[tuple[nn.Module, Callable[..., Any]]]:
    """MiVOS's propagation network with random weights, and its inference core; both gone afterwards."""
    if not (checkout / "inference_core.py").is_file():
        raise InputError(f"{checkout} is not a checkout of MiVOS", field="mivos")
    from torchvision import models

    model_zoo: Any = importlib.import_module("torch.utils.model_zoo")
    load, build = model_zoo.load_url, models.resnet50
    before = set(sys.modules)
    sys.path.insert(0, str(checkout.resolve()))
    model_zoo.load_url = lambda *_: build(weights=None).state_dict()  # it would fetch ImageNet's weights
    models.resnet50 = lambda **_: build(weights=None)
    try:
        network = importlib.import_module("model.propagation.prop_net").PropagationNetwork().eval()
        yield network, importlib.import_module("inference_core").InferenceCore
    finally:
        model_zoo.load_url, models.resnet50 = load, build
        sys.path.remove(str(checkout.resolve()))
        for name in set(sys.modules) - before:
            if name.split(".")[0] in ("model", "util", "inference_core"):
                del sys.modules[name]
