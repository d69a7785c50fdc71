"""How a session's frames are filled: its across-round memory, and the chains of its plan that run (Eq. 7 and 8)."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from siaf.engines.base import Engine, Features, PartialReader
from siaf.frames.source import Frame, FrameSource
from siaf.masks import IndexMask
from siaf.model.partial_attention import PartialAttention
from siaf.model.propagation import FrameMemory
from siaf.model.request import Reference
from siaf.model.trail import Place, paced
from siaf.session.adaptation import Decoder
from siaf.session.annotations import Annotations, erase_other_tags
from siaf.session.barriers import plan_stages
from siaf.session.confidence import Confidence, mask_confidence
from siaf.session.encoded_frames import EncodedFrames
from siaf.session.feature_cache import FeatureCache
from siaf.session.mask_store import MaskStore
from siaf.session.memory import AcrossRoundMemory, ChainMemory, beside, room
from siaf.session.objects import ObjectTable
from siaf.session.provenance import Provenance
from siaf.session.read_cache import ReadCache
from siaf.session.schedule import CARRIED, LANES, Chain, Plan
from siaf.session.shrinking import areas, losses
from siaf.session.snapshot import PropagationSnapshot
from siaf.session.window_chains import WindowFollower

Repropagate = Literal["all", "near"]
"""What a round propagates again: every frame whose inputs changed, which are most, as in the paper; or only frames
whose nearest interacted frame changed."""


@dataclass(frozen=True)
class Carried:
    """Objects that a walk brought to an interacted frame: `mask` is what was found there, None if they are there."""

    walk: Chain
    mask: IndexMask | None

    @property
    def frame(self) -> int:
        """Where they were brought."""
        return self.walk.frames[-1]


class Propagator:
    """Memory, plan, running chains and propagated masks of one session. `made` says what each mask was made from.

    What a user's actions have led to is only read here: `advance` returns what was carried to the user's frames.
    """

    def __init__(self, model: Engine, frames: FrameSource, cache: FeatureCache, digests: dict[int, str]) -> None:
        self.model, self.frames = model, frames
        self.encoded = EncodedFrames(model, frames, cache, digests)
        self.deciding = model  # with the session's own decoder, if it has one
        self._decoder: Decoder | None = None
        self.results = MaskStore(frames.height, frames.width)
        self.confidence: dict[int, Confidence] = {}
        self.memory = AcrossRoundMemory()
        self.reads = ReadCache()
        self.remembered: dict[int, tuple[bytes, int]] = {}
        self.plan = Plan()
        self.lanes: dict[int, ChainMemory] = {}
        self.lost: dict[
            int, dict[int, bool]
        ] = {}  # by frame, since the plan began, as of siaf.session.shrinking.losses
        self.made = Provenance()
        self.windows = WindowFollower.of(model, frames)
        self.repropagate: Repropagate = "all"
        # On a CPU a larger batch saves nothing (docs/performance.md).
        self.side_by_side = 1 if model.device.type == "cpu" or frames.one_at_a_time else LANES

    def use(self, decoder: Decoder | None) -> None:
        """Decode with this from now on; None: as the model does."""
        if decoder is not self._decoder:
            self._decoder = decoder
            shipped = self.model.adaptable
            self.deciding = self.model if decoder is None or shipped is None else decoder.model(shipped)

    def restart(self, now: Annotations, within: range | None) -> None:
        """A new plan."""
        stages = plan_stages(
            len(self.frames),
            now.interacted,
            now.annotated_tags,
            now.objects.tags,
            bool(self.memory.carried),
            self.memory.barriers,
            within,
        )
        self.plan, self.lanes, self.lost = Plan(stages, within=within), {}, {}

    # -- one frame after another ----------------------------------------------------------------------------------

    def advance(self, now: Annotations) -> Carried | None:
        """Do the next entry of the plan: a mask in `results`, or, at the end of a walk, what it carried.

        Whoever takes that over says so (`took_over`).
        """
        self.use(now.decoder)
        lane, step = self.plan.next()
        chain = self.plan.stage[lane]
        if (lane, step) == (0, 0):
            self._begin(now)
        found: IndexMask | None = None
        if lane in self.lanes and self.lanes[lane].taken <= step:
            for number, (mask, scores) in self._steps(lane, step, now).items():
                if chain.adopts:
                    found = mask
                elif self.plan.fills(number):
                    self._note_losses(number, mask)
                    self.results[number], self.confidence[number] = mask, scores
                    self.made.record(number)
        if self.plan.advance():
            self.lanes = {}
        return Carried(chain, found) if chain.adopts and step == len(chain.frames) - 1 else None

    def took_over(self, carried: Carried, now: Annotations) -> None:
        """What a walk carried is in its frame's mask: it need not be carried again from the same."""
        self.made.record_walk(carried.walk, now)

    def _note_losses(self, frame: int, mask: IndexMask) -> None:
        """Which objects the new mask of a frame takes most of."""
        if frame in self.results:
            lost = losses(areas(self.results[frame]), areas(mask), mask.size)
            if lost:
                self.lost[frame] = lost

    def _begin(self, now: Annotations) -> None:
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
                carried = len(self.memory.taught(chain.frames[0]))
                same = self.made.same(chain, versions, slots, select, self.results, carried, decoder)
            if not same:
                self.lanes[lane] = self._chain(chain.source, now)

    def _steps(self, lane: int, step: int, now: Annotations) -> dict[int, tuple[IndexMask, Confidence]]:
        """The frame of a chain, and of others of its stage that are as far, in one pass."""
        stage = self.plan.stage
        due = [i for i in self.lanes if i >= lane and step < len(stage[i].frames) and self.lanes[i].taken == step]
        due = due[: self.side_by_side]
        numbers = [stage[i].frames[step] for i in due]
        adopts = stage[lane].adopts
        among = [f for f, known in now.annotated_tags.items() if adopts <= known] if adopts else None
        lanes = [self.lanes[i] for i in due]
        ways = [1 if stage[i].frames[0] > stage[i].source else -1 for i in due]
        since = now.interacted if among is None else None
        found = self.step(self.encoded.features(numbers), numbers, lanes, ways, now.objects, among, since)
        return dict(zip(numbers, found, strict=True))

    def step(
        self,
        features: Sequence[Features],
        near: Sequence[int],
        chains: Sequence[ChainMemory],
        ways: Sequence[int],
        objects: ObjectTable,
        among: Sequence[int] | None = None,
        since: Mapping[int, int] | None = None,
        *,
        beyond: int = 0,
        picture: Frame | None = None,
    ) -> list[tuple[IndexMask, Confidence]]:
        """One step of several chains; each advances. `near`: the frames whose neighbours in memory are read.

        `ways`: 1 for chains that run forward, −1 backward. `beyond`: how many frames away from `near` the step is.
        `picture`: what is stepped onto, by default the frames `near`.
        `since`, rounds by interacted frame: given where the features are those of the frames `near` themselves.
        """
        slots, tags = objects.channels(self.model.objects_per_pass)
        whole = self.frames.height, self.frames.width
        known, reader = None, self.model.partial_reader
        if since is not None and self.side_by_side == 1 and reader is not None:
            known = self._read(reader, features[0], near[0], since, len(slots))
            predicted = beside(self.memory.permanent(near[0]), chains[0].transient)
            long = [self.memory.joined(predicted)] if predicted else []
        else:
            long = [self.memory.read(f, c.transient, among) for f, c in zip(near, chains, strict=True)]
        places = [self._place(f, way, beyond, among) for f, way in zip(near, ways, strict=True)]
        kept = [room(len(self.memory.permanent(f, among)), self.model.memory_kept) for f in near]
        result = []
        sizes = {memory[0][0].shape[1] for memory in long}
        together = [range(len(chains))] if len(sizes) == 1 else [range(i, i + 1) for i in range(len(chains))]
        for part in together:
            short, trails = [chains[i].short for i in part], [chains[i].trail for i in part]
            own, here = [features[i] for i in part], slice(part.start, part.stop)
            read = long[here], short, slots, whole, known, trails, tags, places[here]
            found = self.deciding.propagate(own, *read)
            for i, one in zip(part, found, strict=True):
                chains[i].advance(one.memory, self.model.memory_gap, one.trail, kept=kept[i])
                seen = mask_confidence(one.labels, one.scores, tags)
                result.append(self._closer(seen, chains[i], features[i], near[i], places[i], picture, objects, among))
        return result

    def _closer(
        self,
        seen: tuple[IndexMask, Confidence],
        chain: ChainMemory,
        features: Features,
        near: int,
        place: Place,
        picture: Frame | None,
        objects: ObjectTable,
        among: Sequence[int] | None,
    ) -> tuple[IndexMask, Confidence]:
        """What a chain found in the whole frame, and then of small objects in windows; the chain goes on from that."""
        if self.windows is None or not self.windows.due(chain, seen[0], objects):
            return seen
        picture = self.frames[near] if picture is None else picture
        read = {frame: self.remembered[frame][0] for frame in self.memory.select(near, among)}
        mask, confidence = self.windows.follow(self.deciding, chain, picture, seen, read, place, objects)
        if not np.array_equal(mask, seen[0]):
            slots = objects.to_slots(mask, self.model.objects_per_pass)
            memory = self.model.reference_batch([features], [slots])[0]
            chain.amend(memory, paced(self.model.trail(features, mask), chain.trail))
        return mask, confidence

    def _place(self, frame: int, way: int, beyond: int, among: Sequence[int] | None) -> Place:
        """Where a step is among what `AcrossRoundMemory.read` joins; another clip lies before the first frame."""
        taught = [-1] * len(self.memory.taught(frame)) if among is None else []
        return Place(tuple(way * (frame - f) + beyond for f in (*self.memory.select(frame, among), *taught)))

    def _read(
        self, reader: PartialReader, features: Features, frame: int, since: Mapping[int, int], groups: int
    ) -> PartialAttention:
        """What a frame reads of the user's frames; those that it has read in an earlier round are not read again.

        They are read in the order in which they came, whether kept reads are found or not: the bits are the same.
        """
        chosen = sorted(self.memory.select(frame), key=lambda f: (since[f], f))
        entries = [*self.memory.taught(frame), *(self.memory.entries[f] for f in chosen)]
        known, rest = self.reads.find(frame, entries)
        if rest or known is None:
            known = reader.read(features, rest, groups, known)
            self.reads.keep(frame, entries, known)
        return known

    # -- memory ---------------------------------------------------------------------------------------------------

    def chain(self, source: int, now: Annotations, *, near: bool = True) -> ChainMemory:
        """A chain that starts at an interacted frame, with the memory brought up to date.

        `near`: whether the frame that it goes to first is one that objects look much the same on as on `source`.
        """
        self.use(now.decoder)
        self.remember(now)
        return self._chain(source, now, near=near)

    def _chain(self, source: int, now: Annotations, *, near: bool = True) -> ChainMemory:
        if source == CARRIED:
            return ChainMemory(self.memory.carried[-1])
        if not near:
            return ChainMemory(self.memory.entries[source])
        mask = now.masks[source]
        trail = self.model.trail(self.encoded.features([source])[0], mask)
        windows = () if self.windows is None else self.windows.begin(source, mask, now.objects)
        return ChainMemory(self.memory.entries[source], trail=trail, windows=windows)

    def remember(self, now: Annotations) -> None:
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
            for frame, memory in zip(part, self.model.reference_batch(self.encoded.features(part), masks), strict=True):
                self.memory.put(frame, memory)
                self.remembered[frame] = versions[frame]
        carried = self.memory.carried
        if carried and len(carried[0][0][0]) < groups:  # what another clip says of a new group: nothing
            self.carry(carried, objects)

    def carry(self, memories: Sequence[FrameMemory], objects: ObjectTable, grid: tuple[int, int] | None = None) -> None:
        """Read another clip's memories from now on, fitted to these objects and this clip. `grid` (rows, columns): that
        of the memories, by default this clip's own.
        """
        own = self.model.grid(self.frames.height, self.frames.width)
        groups = objects.groups(self.model.objects_per_pass)
        self.memory.carry([self.model.fit_memory(memory, groups, own, grid or own) for memory in memories])

    def references(self, frame: int, now: Annotations) -> list[Reference]:
        """Interacted frames other than `frame` that are read for it, brought up to date."""
        self.remember(now)
        chosen = [f for f in self.memory.select(frame) if f != frame]
        return [Reference(f, self.memory.entries[f], now.annotated_tags[f]) for f in chosen]

    # -- as plain data --------------------------------------------------------------------------------------------

    def snapshot(self) -> PropagationSnapshot:
        """All that is needed to go on; it holds what this holds, and is of use until that changes."""
        return PropagationSnapshot(
            results=self.results,
            confidence=self.confidence,
            memory=self.memory.entries,
            carried=self.memory.carried,
            barriers=self.memory.barriers,
            remembered=self.remembered,
            plan=self.plan,
            lanes=self.lanes,
            lost=self.lost,
            made=self.made.frames,
            walked=self.made.walks,
        )

    def put(self, frame: int, mask: IndexMask) -> None:
        """Take a mask as if it had been propagated."""
        self.results[frame] = mask
        self.made.forget(frame)

    def erase_other_tags(self, keep: list[int]) -> None:
        """Make pixels of all tags but `keep` background, in every propagated mask: those that had some are no longer
        what was made, so a later round makes them again, be it from the same.
        """
        for frame in erase_other_tags(self.results, keep):
            self.made.forget(frame)

    def forget(self, tag: int, keep: list[int]) -> None:
        """As `erase_other_tags`, and nothing is said of an object that is forgotten any more."""
        self.erase_other_tags(keep)
        for scores in self.confidence.values():
            scores.pop(tag, None)

    def restore(self, snapshot: PropagationSnapshot) -> None:
        """The inverse of `snapshot`, for the same frames and model."""
        self.results, self.confidence = snapshot.results, snapshot.confidence
        for frame, memory in snapshot.memory.items():
            self.memory.put(frame, memory)
        self.memory.carry(snapshot.carried)
        self.memory.barriers = snapshot.barriers
        self.remembered = snapshot.remembered
        self.plan, self.lanes, self.lost = snapshot.plan, snapshot.lanes, snapshot.lost
        self.made.frames, self.made.walks = snapshot.made, snapshot.walked
