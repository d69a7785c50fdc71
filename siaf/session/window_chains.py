"""Chains that see windows: small objects are looked for in a part of the frame, beside the chain that sees all of it.

What a window says of its objects counts; everything else stays as the whole frame said.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from siaf.engines.base import Engine, Features
from siaf.frames.source import Frame, FrameSource
from siaf.lru import LruCache
from siaf.masks import MAX_TAG, IndexMask
from siaf.model.probabilities import Window
from siaf.model.propagation import FrameMemory, concatenate
from siaf.model.trail import Place, Trace, paced
from siaf.session.confidence import Confidence, mask_confidence
from siaf.session.mask_store import unpacked
from siaf.session.memory import ChainMemory, WindowChain, beside, room
from siaf.session.objects import ObjectTable
from siaf.session.shrinking import areas
from siaf.session.windows import MOST, Site, boxes_of, clusters, side_for, sites, widest

_PATIENCE = 10  # frames on which none of a window's objects was found before it is given up
_KEPT = 32  # memories of windows of interacted frames, of 0.8 MB each


@dataclass(frozen=True)
class _Look:
    """What a window chain found on a frame: `mask` H×W of its window, the `confidence` of all objects, and what it
    leaves to the next frame, which reads `kept` predicted ones at most.
    """

    chain: WindowChain
    memory: FrameMemory
    kept: int
    trail: Trace | None
    mask: IndexMask
    confidence: Confidence


@dataclass
class WindowFollower:
    """Window chains of a model, on clips of one size. `side`: pixels of the square that a window is seen as.

    Interacted frames are seen through windows around their own objects; what is remembered of those is kept.
    """

    model: Engine
    frames: FrameSource
    side: int
    _kept: LruCache[tuple[int, bytes, int, Window], FrameMemory] = field(default_factory=lambda: LruCache(_KEPT))
    _known: LruCache[tuple[int, bytes], dict[int, Window]] = field(default_factory=lambda: LruCache(_KEPT))

    @classmethod
    def of(cls, model: Engine, frames: FrameSource) -> "WindowFollower | None":
        """None for a model that sees whole frames only."""
        return None if model.window_side is None else cls(model, frames, model.window_side)

    def begin(self, frame: int, mask: IndexMask, objects: ObjectTable) -> tuple[WindowChain, ...]:
        """Window chains that start at an interacted frame."""
        found = self._sites(mask, objects.tags)
        picture = self.frames[frame] if found else None
        return tuple(self._start(picture, mask, site, objects) for site in found if picture is not None)

    def follow(
        self,
        decider: Engine,
        chain: ChainMemory,
        picture: Frame,
        whole: tuple[IndexMask, Confidence],
        references: Mapping[int, bytes],
        place: Place,
        objects: ObjectTable,
    ) -> tuple[IndexMask, Confidence]:
        """A frame's mask and confidence, from those that the whole frame gave; the chain's windows advance.

        `references`: packed masks of the interacted frames that are read, by frame; `place`: where the frame is among
        them, and then maybe others.
        """
        looks = [self._look(decider, one, picture, references, place, objects) for one in chain.windows]
        mask, confidence = whole[0].copy(), dict(whole[1])
        for look in looks:
            _merge(look, mask, confidence)
        boxes = [one for ref in references.items() for one in self._boxes(*ref).items()]
        small = {tag for tag, box in boxes if side_for([box]) <= self._widest}
        chain.windows = self._next(looks, picture, mask, small & set(objects.tags), objects)
        return mask, confidence

    def due(self, chain: ChainMemory, mask: IndexMask, objects: ObjectTable) -> bool:
        """Whether there is anything to `follow` on a frame."""
        return bool(chain.windows or self._sites(mask, objects.tags))

    # -- one window -----------------------------------------------------------------------------------------------

    def _look(
        self,
        decider: Engine,
        chain: WindowChain,
        picture: Frame,
        references: Mapping[int, bytes],
        place: Place,
        objects: ObjectTable,
    ) -> _Look:
        features = self._seen(picture, chain.window)
        permanent: list[FrameMemory] = []
        offsets: list[int] = []
        for ref, offset in zip(references.items(), place.offsets, strict=False):
            for memory in self._remembered(*ref, chain, objects):
                permanent.append(memory)
                offsets.append(offset)
        slots, tags = objects.channels(self.model.objects_per_pass)
        long = concatenate([*permanent, *beside(permanent, chain.memory.transient)] or [chain.memory.short])
        left, top, right, bottom = chain.window
        size, trails = (bottom - top, right - left), [chain.memory.trail]
        here = [Place(tuple(offsets))]
        step = decider.propagate([features], [long], [chain.memory.short], slots, size, None, trails, tags, here)[0]
        kept = room(len(permanent), self.model.memory_kept)
        return _Look(chain, step.memory, kept, step.trail, *mask_confidence(step.labels, step.scores, tags))

    def _remembered(self, frame: int, packed: bytes, chain: WindowChain, objects: ObjectTable) -> Iterator[FrameMemory]:
        """What is remembered of an interacted frame's windows around a chain's objects."""
        side, groups = chain.window[2] - chain.window[0], objects.groups(self.model.objects_per_pass)
        boxes = [box for tag, box in self._boxes(frame, packed).items() if tag in chain.tags]
        for box in clusters(boxes, side):
            window = Site(chain.tags, box, side).window(self.frames.height, self.frames.width)
            key = frame, packed, groups, window
            memory = self._kept.get(key)
            if memory is None:
                mask = unpacked(packed, self.frames.height, self.frames.width)
                memory = self._memory(self._seen(self.frames[frame], window), mask, window, objects)
                self._kept.put(key, memory)
            yield memory

    def _boxes(self, frame: int, packed: bytes) -> dict[int, Window]:
        """Boxes of all objects of an interacted frame."""
        key = frame, packed
        boxes = self._known.get(key)
        if boxes is None:
            boxes = boxes_of(unpacked(packed, self.frames.height, self.frames.width), range(1, MAX_TAG + 1))
            self._known.put(key, boxes)
        return boxes

    def _start(
        self, picture: Frame, mask: IndexMask, site: Site, objects: ObjectTable, side: int | None = None
    ) -> WindowChain:
        """A chain that has passed nothing but a frame with this mask."""
        height, width = mask.shape
        window = site.window(height, width, side)
        features = self._seen(picture, window)
        trail = self.model.trail(features, self._labels(mask, window))
        return WindowChain(window, site.tags, ChainMemory(self._memory(features, mask, window, objects), trail=trail))

    def _memory(self, features: Features, mask: IndexMask, window: Window, objects: ObjectTable) -> FrameMemory:
        labels = objects.to_slots(self._labels(mask, window), self.model.objects_per_pass)
        return self.model.reference_batch([features], [labels])[0]

    def _seen(self, picture: Frame, window: Window) -> Features:
        part = _part(picture, window)
        how = cv2.INTER_AREA if len(part) > self.side else cv2.INTER_CUBIC
        return self.model.encode_batch([np.asarray(cv2.resize(part, (self.side, self.side), interpolation=how))])[0]

    def _labels(self, mask: IndexMask, window: Window) -> IndexMask:
        size = self.side, self.side
        return np.asarray(cv2.resize(_part(mask, window), size, interpolation=cv2.INTER_NEAREST), np.uint8)

    # -- from one frame to the next -------------------------------------------------------------------------------

    def _sites(self, mask: IndexMask, tags: Collection[int]) -> list[Site]:
        return sites(mask, tags, self._widest)

    @property
    def _widest(self) -> int:
        """The widest window, in pixels of the frame."""
        rows, _ = self.model.grid(self.frames.height, self.frames.width)
        return widest(self.side, 16 * (rows - 1) / self.frames.height)

    def _next(
        self, looks: Sequence[_Look], picture: Frame, mask: IndexMask, small: set[int], objects: ObjectTable
    ) -> tuple[WindowChain, ...]:
        """The chains that go on from a frame with this mask. `small`: objects that are small on an interacted frame;
        where others look small, most of them was lost.
        """
        shown = areas(mask).keys()
        left, result = list(looks), []
        for site in self._sites(mask, small):
            before = max(left, key=lambda look: len(look.chain.tags & site.tags), default=None)
            if before is None or not before.chain.tags & site.tags:
                result.append(self._start(picture, mask, site, objects))
                continue
            left.remove(before)
            lost = before.chain.tags - shown
            result.append(self._on(before, replace(site, tags=site.tags | lost), picture, mask, objects))
        for look in left:  # where its objects were, they may come back
            if not look.chain.tags & shown and look.chain.unseen < _PATIENCE:
                result.append(replace(self._advanced(look), unseen=look.chain.unseen + 1))
        return tuple(result[:MOST])

    def _on(self, look: _Look, site: Site, picture: Frame, mask: IndexMask, objects: ObjectTable) -> WindowChain:
        """A chain that goes on with these objects, in a new window if they leave the old one."""
        after, window = self._advanced(look), look.chain.window
        if site.tags <= look.chain.tags and site.within(window):
            return replace(after, tags=site.tags, unseen=0)
        side = window[2] - window[0]
        new = self._start(picture, mask, site, objects, side if side / 2.1 <= site.side <= side else None)
        scale = side / (new.window[2] - new.window[0])
        memory = replace(after.memory, short=new.memory.short, trail=paced(new.memory.trail, look.trail, scale))
        return replace(new, memory=memory)

    def _advanced(self, look: _Look) -> WindowChain:
        memory = replace(look.chain.memory)
        memory.advance(look.memory, self.model.memory_gap, look.trail, kept=look.kept)
        return replace(look.chain, memory=memory)


def _merge(look: _Look, mask: IndexMask, confidence: Confidence) -> None:
    """Let a window decide on its objects in a frame's mask: in place."""
    own = np.isin(look.mask, list(look.chain.tags))
    part = _part(mask, look.chain.window)
    found = areas(look.mask).keys() & look.chain.tags
    here = np.isin(part, list(look.chain.tags))
    part[here] = np.where(own, 0, look.mask)[here]
    if found:  # what the whole frame found of them elsewhere is something else
        mask[np.isin(mask, list(found))] = 0
    part[own] = look.mask[own]
    shown = areas(mask).keys()
    confidence |= {tag: look.confidence[tag] for tag in look.chain.tags if tag in found or tag not in shown}


def _part(image: NDArray[np.uint8], window: Window) -> NDArray[np.uint8]:
    """A view of a window of an image H×W or H×W×3."""
    left, top, right, bottom = window
    return image[top:bottom, left:right]
