"""How a session's frames are filled: its across-round memory, and the chains of its plan that run (Eq. 7 and 8)."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np

from siaf.adaptation import Decoder
from siaf.confidence import Confidence, mask_confidence
from siaf.features import FeatureCache
from siaf.masks import IndexMask
from siaf.memory import AcrossRoundMemory, ChainMemory, beside, fit_to
from siaf.model.propagation import FrameFeatures
from siaf.model.reading import Read
from siaf.network import Model
from siaf.objects import ObjectTable
from siaf.prompting import honour_strokes
from siaf.provenance import Provenance
from siaf.reads import KeptReads
from siaf.results import MaskStore
from siaf.rounds import Standing
from siaf.schedule import CARRIED, LANES, Chain, Plan
from siaf.scribbles import Scribble
from siaf.shrinking import areas, losses
from siaf.video import Frame, FrameSource, frame_digest

Repropagate = Literal["all", "near"]
"""What a round propagates again: every frame whose inputs changed, which are most, as in the paper; or only frames
whose nearest interacted frame changed."""


class Propagation:
    """Memory, plan and running chains of one session. `made` says what each propagated mask was made from."""

    def __init__(self, model: Model, frames: FrameSource, cache: FeatureCache, digests: dict[int, str]) -> None:
        self.model, self.frames, self.cache, self.digests = model, frames, cache, digests
        self.deciding = model  # with the session's own decoder, if it has one
        self._decoder: Decoder | None = None
        self._user = object()  # of the cache; not the session, which the cache would keep alive
        self.memory = AcrossRoundMemory()
        self.reads = KeptReads()
        self.remembered: dict[int, tuple[bytes, int]] = {}
        self.plan = Plan()
        self.lanes: dict[int, ChainMemory] = {}
        self.lost: dict[int, dict[int, bool]] = {}  # by frame, since the plan began, as of siaf.shrinking.losses
        self.made = Provenance()
        self.repropagate: Repropagate = "all"
        # On a CPU a larger batch saves nothing (docs/performance.md).
        self.side_by_side = LANES if model.device.type != "cpu" else 1

    def use(self, decoder: Decoder | None) -> None:
        """Decode with this from now on; None: as the model does."""
        if decoder is not self._decoder:
            self._decoder = decoder
            self.deciding = self.model if decoder is None else decoder.model(self.model)

    def restart(self, stages: Sequence[Sequence[Chain]], within: range | None) -> None:
        """A new plan."""
        self.plan, self.lanes, self.lost = Plan(stages, within=within), {}, {}

    # -- one frame after another ----------------------------------------------------------------------------------

    def advance(
        self,
        now: Standing,
        results: MaskStore,
        confidence: dict[int, Confidence],
        drawn: Callable[[int], Sequence[Scribble]],
    ) -> None:
        """Do the next entry of the plan: a mask in `results`, or, at the end of a walk, in `now`.

        `drawn(frame)` are the strokes that were drawn last on an interacted frame.
        """
        self.use(now.decoder)
        lane, step = self.plan.next()
        chain = self.plan.stage[lane]
        if (lane, step) == (0, 0):
            self._begin(now, results)
        if lane in self.lanes and self.lanes[lane].taken <= step:
            for number, (mask, scores) in self._steps(lane, step, now).items():
                if not chain.adopts:
                    if not self.plan.fills(number):
                        continue
                    self._note_losses(number, results, mask)
                    results[number], confidence[number] = mask, scores
                    self.made.record(number)
                elif number == chain.frames[-1]:
                    adopt(now, number, mask, chain.adopts, drawn(number))
                    self.made.record_walk(chain, now)
        if chain.adopts and step == len(chain.frames) - 1:
            now.take_over(chain.frames[-1], chain.adopts)
        if self.plan.advance():
            self.lanes = {}

    def _note_losses(self, frame: int, results: MaskStore, mask: IndexMask) -> None:
        """Which objects the new mask of a frame takes most of."""
        if frame in results:
            lost = losses(areas(results[frame]), areas(mask), mask.size)
            if lost:
                self.lost[frame] = lost

    def _begin(self, now: Standing, results: MaskStore) -> None:
        """Start the chains of the plan's next stage, without those that would give again what is there."""
        self.remember(now)
        near_only = self.repropagate == "near"
        decoder = now.decoder.version if now.decoder else ""
        versions = {
            frame: hashlib.blake2b(packed, digest_size=12, salt=groups.to_bytes(2)).hexdigest()
            for frame, (packed, groups) in self.remembered.items()
        }
        for lane, chain in enumerate(self.plan.stage):
            if chain.adopts:
                same = self.made.walked(chain, now, near_only, decoder)
            else:
                slots = now.objects.channels(self.model.objects_per_pass)[0]
                select = None if near_only else self.memory.select
                carried = len(self.memory.carried)
                same = self.made.same(chain, versions, slots, select, results, carried, decoder)
            if not same:
                self.lanes[lane] = self._chain(chain.source, now)

    def _steps(self, lane: int, step: int, now: Standing) -> dict[int, tuple[IndexMask, Confidence]]:
        """The frame of a chain, and of others of its stage that are as far, in one pass."""
        stage = self.plan.stage
        due = [i for i in self.lanes if i >= lane and step < len(stage[i].frames) and self.lanes[i].taken == step]
        due = due[: self.side_by_side]
        numbers = [stage[i].frames[step] for i in due]
        adopts = stage[lane].adopts
        among = [f for f, known in now.known.items() if adopts <= known] if adopts else None
        lanes = [self.lanes[i] for i in due]
        found = self.step(
            self.features(numbers), numbers, lanes, now.objects, among, now.interacted if among is None else None
        )
        return dict(zip(numbers, found, strict=True))

    def step(
        self,
        features: Sequence[FrameFeatures],
        near: Sequence[int],
        chains: Sequence[ChainMemory],
        objects: ObjectTable,
        among: Sequence[int] | None = None,
        since: Mapping[int, int] | None = None,
    ) -> list[tuple[IndexMask, Confidence]]:
        """One step of several chains; each advances. `near`: the frames whose neighbours in memory are read.

        `since`, rounds by interacted frame: given where the features are those of the frames `near` themselves.
        """
        slots, tags = objects.channels(self.model.objects_per_pass)
        whole = self.frames.height, self.frames.width
        known = None
        if since is not None and self.side_by_side == 1 and self.model.reads_in_parts:
            known = self._read(features[0], near[0], since, len(slots))
            predicted = beside(self.memory.permanent(near[0]), chains[0].transient)
            long = [self.memory.joined(predicted)] if predicted else []
        else:
            long = [self.memory.read(f, c.transient, among) for f, c in zip(near, chains, strict=True)]
        gap = self.model.propagation.config.memory_gap
        result = []
        sizes = {memory[0][0].shape[1] for memory in long}
        together = [range(len(chains))] if len(sizes) == 1 else [range(i, i + 1) for i in range(len(chains))]
        for part in together:
            short, trails = [chains[i].short for i in part], [chains[i].trail for i in part]
            own = [features[i] for i in part]
            found = self.deciding.propagate(own, long[part.start : part.stop], short, slots, whole, known, trails, tags)
            for i, one in zip(part, found, strict=True):
                chains[i].advance(one.memory, gap, one.trail)
                result.append(mask_confidence(one.labels, one.scores, tags))
        return result

    def _read(self, features: FrameFeatures, frame: int, since: Mapping[int, int], groups: int) -> Read:
        """What a frame reads of the user's frames; those that it has read in an earlier round are not read again.

        They are read in the order in which they came, whether kept reads are found or not: the bits are the same.
        """
        chosen = sorted(self.memory.select(frame), key=lambda f: (since[f], f))
        entries = [*self.memory.carried, *(self.memory.entries[f] for f in chosen)]
        known, rest = self.reads.find(frame, entries)
        if rest or known is None:
            known = self.model.read(features, rest, groups, known)
            self.reads.keep(frame, entries, known)
        return known

    # -- memory ---------------------------------------------------------------------------------------------------

    def chain(self, source: int, now: Standing, *, near: bool = True) -> ChainMemory:
        """A chain that starts at an interacted frame, with the memory brought up to date.

        `near`: whether the frame that it goes to first is one that objects look much the same on as on `source`.
        """
        self.use(now.decoder)
        self.remember(now)
        return self._chain(source, now, near=near)

    def _chain(self, source: int, now: Standing, *, near: bool = True) -> ChainMemory:
        if source == CARRIED:
            return ChainMemory(self.memory.carried[-1])
        trail = self.model.trail(self.features([source])[0], now.masks[source]) if near else None
        return ChainMemory(self.memory.entries[source], trail=trail)

    def remember(self, now: Standing) -> None:
        """Bring the permanent memory up to date with the interacted frames' masks, and drop all others."""
        objects, per_pass = now.objects, self.model.objects_per_pass
        groups = objects.groups(per_pass)
        for frame in [f for f in self.memory.entries if f not in now.interacted]:
            self.memory.forget(frame)
            del self.remembered[frame]
        versions = {frame: (now.masks.packed(frame), groups) for frame in now.interacted}
        due = [frame for frame, version in versions.items() if self.remembered.get(frame) != version]
        for start in range(0, len(due), self.side_by_side):
            part = due[start : start + self.side_by_side]
            masks = [objects.to_slots(now.masks[frame], per_pass) for frame in part]
            for frame, memory in zip(part, self.model.reference_batch(self.features(part), masks), strict=True):
                self.memory.put(frame, memory)
                self.remembered[frame] = versions[frame]
        grid = self.model.grid(self.frames.height, self.frames.width)
        carried = self.memory.carried
        if carried and len(carried[0][0][0]) < groups:  # what another clip says of a new group: nothing
            self.memory.carry([fit_to(m, groups, grid, grid) for m in carried])

    # -- encoded frames -------------------------------------------------------------------------------------------

    def digest(self, frame: int) -> str:
        """Content digest of a frame's pixels."""
        if frame not in self.digests:
            self.digests[frame] = frame_digest(self.frames[frame])
        return self.digests[frame]

    def features(self, numbers: Sequence[int]) -> list[FrameFeatures]:
        """Encoded frames, by number."""
        read: dict[int, Frame] = {}
        for number in numbers:
            if number not in self.digests:  # read once, for the digest and for the network
                read[number] = self.frames[number]
                self.digests[number] = frame_digest(read[number])
        pictures = [lambda f=f: read[f] if f in read else self.frames[f] for f in numbers]
        return self.encode([self.digests[f] for f in numbers], pictures)

    def encode(self, digests: Sequence[str], pictures: Sequence[Callable[[], Frame]]) -> list[FrameFeatures]:
        """Encoded pictures by content digest; those that the cache has not are read, and encoded in one batch."""
        kept = {digest: self.cache.get(self.feature_key(digest), self._user) for digest in digests}
        device = self.model.device  # the cache's files give tensors on the CPU
        known = {digest: found.map(lambda x: x.to(device)) for digest, found in kept.items() if found is not None}
        missing = {d: read for d, read in zip(digests, pictures, strict=True) if d not in known}
        if missing:
            found = self.model.encode_batch([read() for read in missing.values()])
            for digest, features in zip(missing, found, strict=True):
                known[digest] = features
                self.cache.put(self.feature_key(digest), features, self._user)
        return [known[digest] for digest in digests]

    def prepare(self, frame: int) -> bool:
        """Encode a frame before it is needed; False where the cache has no room."""
        if self.cache.full:
            return False
        self.features([frame])
        return True

    def feature_key(self, digest: str) -> str:
        """What a frame's features are kept under: its content, the weights and the size they are made at."""
        model = self.model
        return f"{digest}/{model.digest}/{model.short_side}" + ("/autocast" if model.autocast else "")


def adopt(now: Standing, frame: int, found: IndexMask, tags: frozenset[int], drawn: Sequence[Scribble]) -> None:
    """Take objects that were annotated elsewhere into an interacted frame's mask, on its background only.

    What the interaction network guessed of them there gives way; what the user said of other objects stays.
    """
    mask = now.masks[frame]
    free = (mask == 0) | np.isin(mask, list(tags))
    mask = np.where(free, np.where(np.isin(found, list(tags)), found, 0), mask).astype(np.uint8)
    now.masks[frame] = honour_strokes(mask, drawn) if drawn else mask
