"""EdgeTAM or SAM 2.1 behind a session: what `siaf.engines.base.Engine` asks of the networks.

Every object has a group of its own, so a memory's first axis is the object axis, and one batch finds all of them. A
frame's memory is one layer: its tokens are the keys, the object pointers the values.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from siaf.engines.sam2.asking import Asked
from siaf.engines.sam2.competing import aggregate, likeliest
from siaf.engines.sam2.network import MemoryRead, Sam2Features, Sam2Network
from siaf.engines.sam2.recent import Recent
from siaf.errors import InputError, OutOfMemory
from siaf.masks import IndexMask
from siaf.model.encodings import Encodings
from siaf.model.identity import Slots
from siaf.model.loaded import Frame, Model, ModelIdentity, StepOutput
from siaf.model.partial_attention import PartialAttention
from siaf.model.preprocessing import normalise
from siaf.model.probabilities import Probabilities
from siaf.model.propagation import FrameMemory
from siaf.model.request import Footage, InteractionRequest, Reference
from siaf.model.segmenter import Segmenter
from siaf.model.trail import Place


@dataclass(frozen=True, eq=False)
class Sam2Engine:
    """Networks ready to run. `digest` identifies the weights. `autocast`: compute in bfloat16 where torch deems that
    safe; what comes out is float32 all the same.
    """

    name: str
    digest: str
    network: Sam2Network
    device: torch.device
    autocast: bool = False

    # -- what it is -----------------------------------------------------------------------------------------------

    @property
    def identity(self) -> ModelIdentity:
        """Whose memories it can read."""
        return ModelIdentity(self.name, self.digest, self.short_side, self.autocast, self.objects_per_pass)

    @property
    def short_side(self) -> int:
        """Side in pixels of the square that every frame is scaled to."""
        return self.network.image_size

    @property
    def interaction_short_side(self) -> int:
        """As `short_side`."""
        return self.network.image_size

    @property
    def objects_per_pass(self) -> int:
        """One: objects do not share an entry of a memory."""
        return 1

    @property
    def segmenter(self) -> Segmenter | None:
        """None: its own decoder draws the masks."""
        return None

    @property
    def adaptable(self) -> Model | None:
        """None: a session cannot adapt it."""
        return None

    @property
    def window_side(self) -> None:
        """It sees whole frames only."""
        return None

    @property
    def memory_gap(self) -> int:
        """0: what it remembers of predicted frames is its trail."""
        return 0

    @property
    def memory_kept(self) -> int:
        """0, likewise."""
        return 0

    @property
    def partial_reader(self) -> None:
        """None: each of its layers reads the memory as the one before left the frame."""
        return None

    def adjusted(self, short_side: int | None, interaction_short_side: int | None, autocast: bool) -> "Sam2Engine":
        """The same, in half precision also where it is not yet. Raises InputError for another input size."""
        for field, side in (("short_side", short_side), ("interaction_short_side", interaction_short_side)):
            if side not in (None, self.short_side):
                raise InputError(f"{self.name} takes frames of {self.short_side} pixels only, not {side}", field=field)
        return replace(self, autocast=self.autocast or autocast)

    # -- frames ---------------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def encode_batch(self, frames: Sequence[Frame]) -> list[Sam2Features]:
        """Features of frames, each scaled to a square; one after another, as they are large."""
        found = []
        for frame in frames:
            image = torch.from_numpy(np.ascontiguousarray(frame))[None].to(self.device)
            side = self.network.image_size
            square = F.interpolate(normalise(image), size=(side, side), mode="bilinear", antialias=True)
            maps = self._in_parts(1, lambda _, x=square: [*self.network.encode(x).named().values()])  # type: ignore[misc]
            found.append(Sam2Features(*maps))
        return found

    def features_of(self, tensors: Mapping[str, Tensor]) -> Sam2Features:
        """Features from their tensors by name; KeyError if one is missing."""
        return Sam2Features.of(tensors)

    # -- a round --------------------------------------------------------------------------------------------------

    def interaction_size(self, height: int, width: int) -> tuple[int, int]:
        """(rows, columns) of the square that frames are scaled to."""
        return self.network.image_size, self.network.image_size

    @torch.inference_mode()
    def interact(
        self,
        footage: Footage,
        request: InteractionRequest,
        asked_before: Encodings | None = None,
        beside_before: Encodings | None = None,
    ) -> dict[int, Probabilities]:
        """Masks of the asked frames, each object from its own points, box and mask before.

        An object that interacted frames of earlier rounds know is looked for with their memory, also where nothing
        was drawn for it and the frame has no mask yet. Objects of this round that were drawn on another frame are
        brought here by the session's walks.
        """
        whole = footage.frames.height, footage.frames.width
        objects = request.objects
        places = {tag: g for g in range(objects.groups(1)) for tag in objects.slots(g, 1).values()}
        tags = objects.channels()[1]
        found = {}
        for number, here in sorted(request.prompts.items()):
            features: Sam2Features = footage.features([number])[0]
            before, standing = request.masks.get(number), request.standing.get(number, ())
            asked = Asked.of(here, standing, before, whole)
            references = footage.references(number)
            logits = []
            for tag in tags[1:].tolist():
                known = [r for r in references if tag in r.tags and places[tag] < len(r.memory[0][0])]
                logits.append(self._object(features, asked, tag, _of_object(known, places[tag]), number))
            channels = aggregate(logits) if logits else torch.ones(1, *self._mask_size, device=self.device)
            found[number] = Probabilities(channels, tags, whole, align_corners=False)
        return found

    def _object(
        self, features: Sam2Features, asked: Asked, tag: int, known: Sequence[Reference], number: int
    ) -> Tensor:
        """Logits 4h×4w of one object on a frame that was drawn on; `known`: what others remember of this object."""
        prompts = asked.prompts(tag, self.network.image_size, self._mask_size, self.device)
        if prompts is None and (asked.before is not None or not known):
            return asked.mask_logits(tag, self._mask_size).to(self.device)

        def run(_: slice) -> list[Tensor]:
            if known:
                tokens, pointers = (torch.cat([r.memory[0][i] for r in known], 1) for i in (0, 1))
                away = [abs(number - r.frame) for r in known]
                seen = self.network.conditioned(features, self._read(tokens, pointers, away, Recent()))
            else:
                seen = self.network.alone(features)
            count = 0 if prompts is None else int((prompts.labels >= 0).sum())
            several = self.network.several(count, tracking=bool(known))
            return [self.network.decode(features, seen.float(), prompts, several=several).logits]

        return self._in_parts(1, run)[0][0]

    # -- memories -------------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def reference_batch(
        self, features: Sequence[Sam2Features], masks: Sequence[NDArray[np.uint8]]
    ) -> list[FrameMemory]:
        """Memories of frames whose masks are known. `masks`, of each: uint8 G×H×W, 1 where the object is."""
        return [self._reference(*each) for each in zip(features, masks, strict=True)]

    def _reference(self, features: Sam2Features, masks: NDArray[np.uint8]) -> FrameMemory:
        def run(part: slice) -> list[Tensor]:
            shares = self._as_input(masks[part])
            present = shares.flatten(1).any(1, keepdim=True)
            pointers = self.network.no_object_pointers(len(shares)).clone()
            there = present[:, 0].nonzero()[:, 0]
            if len(there):
                pointers[there] = self.network.given(features, shares[there]).pointers
            return [self.network.remember(features, shares, present), pointers]

        tokens, pointers = self._in_parts(len(masks), run)
        return [(tokens, pointers)]

    def _as_input(self, masks: NDArray[np.uint8]) -> Tensor:
        """Masks G×H×W at the size of the input, G×1×S×S, 0 or 1. One that has a pixel keeps one."""
        side = self.network.image_size
        given = torch.from_numpy(np.ascontiguousarray(masks))[:, None].to(self.device, torch.float32)
        shares = F.interpolate(given, size=(side, side), mode="bilinear", antialias=True)
        most = shares.flatten(1).amax(1).view(-1, 1, 1, 1)
        return ((shares >= most.clamp(max=0.5)) & (most > 0)).float()

    def memory_shapes(self, height: int, width: int) -> list[tuple[tuple[int, int], tuple[int, int]]]:
        """One layer: tokens and channels of a frame's memory, and of its object pointer."""
        net = self.network
        return [((net.memory_tokens, net.memory_channels), (1, net.pointer_channels))]

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """(rows, columns) of a frame's map; the same for all sizes of frames."""
        return self.network.grid

    def fit_memory(self, memory: FrameMemory, groups: int, grid: tuple[int, int], own: tuple[int, int]) -> FrameMemory:
        """A memory for so many objects: of one that it never heard of it says nothing, which are zeros."""

        def fit(x: Tensor) -> Tensor:
            return torch.cat((x[:groups], x.new_zeros(max(0, groups - len(x)), *x.shape[1:])))

        return [(fit(tokens), fit(pointers)) for tokens, pointers in memory]

    # -- propagation ----------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def propagate(
        self,
        features: Sequence[Sam2Features],
        long: Sequence[FrameMemory],
        short: Sequence[FrameMemory],
        slots: Slots,
        size: tuple[int, int],
        known: PartialAttention | None = None,
        trails: Sequence[Recent | None] = (),
        tags: NDArray[np.uint8] | None = None,
        places: Sequence[Place] = (),
    ) -> list[StepOutput]:
        """One step on each of several chains, one after another, each with all its objects as one batch.

        Interacted frames (`long`) are the model's conditioning frames; its pointers count of those that the chain has
        passed. `trails` hold what the chain predicted; `short`, `known` and `tags` are of no use to it.
        """
        trails = trails or [None] * len(features)
        steps = zip(features, long, trails, places, strict=True)
        return [self._step(own, memory, trail or Recent(), slots, size, place) for own, memory, trail, place in steps]

    def _step(
        self,
        features: Sam2Features,
        memory: FrameMemory,
        recent: Recent,
        slots: Slots,
        size: tuple[int, int],
        place: Place,
    ) -> StepOutput:
        active = [g for g, group in enumerate(slots) if group]
        if not active:
            nothing = torch.zeros(size, dtype=torch.long, device=self.device)
            scores = torch.ones(1, *self._mask_size, device=self.device)
            return StepOutput(nothing, scores, self.fit_memory(memory, 0, self.network.grid, self.network.grid), None)
        tokens, pointers = (x[active] for x in memory[0])
        trail = Recent(*(tuple(x[active] for x in kept) for kept in (recent.features, recent.pointers)))

        def run(part: slice) -> list[Tensor]:
            own = Recent(*(tuple(x[part] for x in kept) for kept in (trail.features, trail.pointers)))
            read = self._read(tokens[part], pointers[part], list(place.offsets), own)
            seen = self.network.conditioned(features, read).float()
            found = self.network.decode(features, seen, None, several=self.network.several(0, tracking=True))
            shares = self.network.enlarge(found.logits).sigmoid()
            return [found.logits, self.network.remember(features, shares, found.scores > 0), found.pointers]

        logits, *left = self._in_parts(len(active), run)
        features_left, pointers_left = (self._spread(x, active, len(slots)) for x in left)
        kept = recent.after(features_left, pointers_left, self.network.recent_frames, self.network.recent_pointers)
        labels = likeliest(list(logits), size)
        return StepOutput(labels, aggregate(list(logits)), [(features_left, pointers_left)], kept)

    def _read(self, tokens: Tensor, pointers: Tensor, offsets: Sequence[int], recent: Recent) -> MemoryRead:
        """What B objects read: `tokens` B×(k·N)×C and `pointers` B×k×C' of k interacted frames at these offsets."""
        net = self.network
        ago = range(len(recent.features), 0, -1)
        positions = [net.memory_position(0)] * len(offsets) + [net.memory_position(i) for i in ago]
        passed = [i for i, offset in enumerate(offsets) if offset >= 0]
        steps = [offsets[i] for i in passed] + list(range(len(recent.pointers), 0, -1))
        return MemoryRead(
            torch.cat((tokens, *recent.features), 1),
            torch.cat(positions),
            torch.cat((pointers[:, passed], *recent.pointers), 1),
            net.pointer_positions(steps),
        )

    def trail(self, features: Sam2Features, mask: IndexMask) -> Recent | None:
        """None: at its start a chain has predicted nothing."""
        return None

    def trail_of(self, tensors: Mapping[str, Tensor], height: int, width: int, groups: int) -> Recent:
        """A trail from its tensors; ValueError, naming the tensor, for a misfit."""
        net = self.network
        shapes: dict[str, tuple[int, ...]] = {
            "features": (net.recent_frames, groups, net.memory_tokens, net.memory_channels),
            "pointers": (net.recent_pointers, groups, 1, net.pointer_channels),
        }
        return Recent.checked(tensors, shapes)

    # -- inside ---------------------------------------------------------------------------------------------------

    @property
    def _mask_size(self) -> tuple[int, int]:
        """(rows, columns) of the decoder's masks."""
        return 4 * self.network.grid[0], 4 * self.network.grid[1]

    def _spread(self, found: Tensor, active: list[int], groups: int) -> Tensor:
        """What was found of the active groups as of all; zeros of the others, whose objects were removed."""
        if len(active) == groups:
            return found
        result = found.new_zeros(groups, *found.shape[1:])
        result[active] = found
        return result

    def _in_parts(self, objects: int, run: Callable[[slice], list[Tensor]]) -> list[Tensor]:
        """What `run` gives for all objects together, or, where the GPU's memory is too small, for fewer at a time."""
        step = objects
        while True:
            try:
                with self._precision():
                    parts = [run(slice(i, i + step)) for i in range(0, objects, step)]
                return [torch.cat(tensors).float() for tensors in zip(*parts, strict=True)]
            except torch.OutOfMemoryError:
                if step == 1:
                    raise OutOfMemory(f"{self.name}: the GPU has too little free memory for one object") from None
            # Out here, because what was computed lives as long as the exception.
            step = (step + 1) // 2
            torch.cuda.empty_cache()

    def _precision(self) -> torch.autocast:
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.autocast)


def _of_object(references: Sequence[Reference], place: int) -> list[Reference]:
    """The same with one object's memory only."""
    own = slice(place, place + 1)
    return [replace(r, memory=[(key[own], value[own]) for key, value in r.memory]) for r in references]
