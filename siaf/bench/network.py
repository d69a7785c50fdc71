"""What the networks cost: by number of objects, part, input size and number of interacted frames (the paper's Fig. 6
and Tables IV to VI)."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import torch

from siaf.bench.clip import MovingObjects
from siaf.bench.clock import Clock
from siaf.engines.base import Engine
from siaf.errors import InputError
from siaf.evaluation.table import Row
from siaf.model.loaded import Model, StepOutput
from siaf.model.probabilities import Probabilities
from siaf.model.stroke_slots import stroke_slots
from siaf.model.trail import Place
from siaf.session.confidence import mask_confidence
from siaf.session.feature_cache import feature_bytes
from siaf.session.objects import ObjectTable
from siaf.session.refinement import refine

_WARM = 6  # steps after which a chain remembers as much as it ever does, or nearly


def own_networks(model: Engine) -> Model:
    """siaf's own networks; InputError naming `model` if another engine runs."""
    if model.adaptable is None:
        raise InputError(f"this table is about siaf's own networks, {model.name} has others", field="model")
    return model.adaptable


class Bench:
    """One frame with objects, and everything that a step needs."""

    def __init__(self, model: Engine, height: int, width: int, objects: int, frames: int = 1) -> None:
        self.model, self.size = model, (height, width)
        clip = MovingObjects(max(2, frames), height, width, objects)
        self.objects = ObjectTable()
        for tag in range(1, objects + 1):
            self.objects.add(tag)
        self.slots, self.tags = self.objects.channels(model.objects_per_pass)
        self.pictures = [clip[5 * i % len(clip)] for i in range(frames)]
        self.lines = clip.strokes(0)
        self.masks = self.objects.to_slots(clip.mask(0), model.objects_per_pass)
        size = model.interaction_size(height, width)
        self.strokes = np.stack([stroke_slots(self.lines, self.objects, size, self.size)] * frames, axis=1)
        (self.features,) = model.encode_batch(self.pictures[:1])
        (self.memory,) = model.reference_batch([self.features], [self.masks])
        self.trail = model.trail(self.features, clip.mask(0))
        if self.trail is None:  # an engine whose chains remember more and more
            for _ in range(_WARM):
                self.trail = self._step().trail

    def encode(self) -> object:
        return self.model.encode_batch(self.pictures[:1])

    def reference(self) -> object:
        return self.model.reference_batch([self.features], [self.masks])

    def propagate(self) -> object:
        """One propagated frame whose features are known, to its index mask."""
        found = self._step()
        return mask_confidence(found.labels, found.scores, self.tags)

    def _step(self) -> StepOutput:
        given = [self.features], [self.memory], [self.memory]
        trails, places = [self.trail], [Place((_WARM + 1,))]
        (found,) = self.model.propagate(*given, self.slots, self.size, trails=trails, tags=self.tags, places=places)
        return found

    def interact(self) -> torch.Tensor:
        """AFI on all frames."""
        slots, previous = self.objects.channels()[0], np.full_like(self.strokes, -1)
        networks = own_networks(self.model)
        seen = networks.encode_prompts(self.pictures, self.strokes, previous)
        return networks.decode_masks(seen, self.strokes, previous, slots)

    def across(self) -> Callable[[], object]:
        """AFA alone, on what it gets in `interact`."""
        levels: list[list[torch.Tensor]] = []
        net = own_networks(self.model).interaction
        hook = net.encoder.register_forward_hook(lambda _, __, found: levels.append(found))
        self.interact()
        hook.remove()
        _, fine, coarse, _ = levels[0]

        def run() -> object:
            with torch.inference_mode():
                return net.across(fine, coarse, len(self.pictures))

        return run


def objects(model: Engine, clock: Clock, height: int, width: int) -> Iterator[Row]:
    """Milliseconds of a propagated frame by number of objects: the 11th opens a second pass."""
    benches = {n: Bench(model, height, width, n) for n in range(1, 12)}
    known = clock.best({str(n): b.propagate for n, b in benches.items()})
    encode = clock.best({"": benches[1].encode})[""]
    for n in benches:
        ms = known[str(n)]
        ratio = (ms + encode) / (known["1"] + encode)
        yield {"objects": n, "features known ms": ms, "with encoder ms": ms + encode, "ratio to 1 object": ratio}


def parts(model: Engine, clock: Clock, height: int, width: int) -> Iterator[Row]:
    """Milliseconds of every part, one frame, one object."""
    align = own_networks(model).interaction.config.align_corners
    bench = Bench(model, height, width, 1)
    probabilities = Probabilities(bench.interact()[0], bench.tags, (height, width), align)
    across = bench.across()
    times = clock.best(
        {
            "encoder of propagation": bench.encode,
            "memory of an interacted frame": bench.reference,
            "propagated frame, features known": bench.propagate,
            "AFI with AFA": bench.interact,
            "AFA": across,
            **_refinement(bench, probabilities),
        }
    )
    for name, ms in times.items():
        yield {"part": name, "ms": ms}


def _refinement(bench: Bench, probabilities: Probabilities) -> dict[str, Callable[[], object]]:
    """Encoding a frame for the segmenter, and one object's mask; nothing if the model comes without."""
    segmenter = bench.model.segmenter
    if segmenter is None:
        return {}
    picture = bench.pictures[0]

    def encode() -> object:
        segmenter.forget()
        return segmenter.embed(picture)

    return {
        "segmenter: a frame": encode,
        "segmenter: an object, frame known": lambda: refine(segmenter, picture, probabilities, bench.lines, {}, None),
    }


def sizes(model: Engine, clock: Clock, height: int, width: int) -> Iterator[Row]:
    """Milliseconds and bytes by input size, one object; accuracy by size is in docs/performance.md."""
    for short_side in (241, 321, 401, 481, 601, 721):
        if short_side > min(height, width) + 1:  # enlarging says nothing about a size's worth
            break
        sized = replace(own_networks(model), short_side=short_side, interaction_short_side=short_side)
        bench = Bench(sized, height, width, 1)
        times = clock.best(
            {"encode ms": bench.encode, "propagate ms": bench.propagate, "AFI ms": bench.interact}
            | {"AFA ms": bench.across()}
        )
        entry = sum(key.nbytes + value.nbytes for key, value in bench.memory)
        yield {
            "short side": short_side,
            **times,
            "features MB": feature_bytes(bench.features) / 2**20,
            "memory entry MB": entry / 2**20,
        }


def interacted(model: Engine, clock: Clock, height: int, width: int) -> Iterator[Row]:
    """Milliseconds of one interaction by number of frames that were scribbled on."""
    benches = {f: Bench(own_networks(model), height, width, 1, frames=f) for f in range(1, 6)}
    whole = clock.best({str(f): b.interact for f, b in benches.items()})
    across = clock.best({str(f): b.across() for f, b in benches.items()})
    for f in benches:
        ms, afa = whole[str(f)], across[str(f)]
        yield {"frames": f, "AFI without AFA ms": ms - afa, "AFA ms": afa, "per frame ms": ms / f}
