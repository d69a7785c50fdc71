"""A session: frames, objects, rounds and memory. The one class that users of the library meet."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from siaf.boxes import Box, box_pixels, fill_boxes, surround
from siaf.confidence import Confidence, mask_confidence, suggest_frames
from siaf.errors import InputError
from siaf.features import FeatureCache
from siaf.masks import IndexMask, as_index_mask
from siaf.memory import AcrossRoundMemory, ChainMemory, fit_to
from siaf.model.propagation import FrameFeatures
from siaf.network import Model
from siaf.objects import ObjectTable
from siaf.prompting import honour_strokes, object_tags, previous_slots, stroke_slots
from siaf.refinement import refine_mask
from siaf.results import MaskStore
from siaf.rounds import Round, Standing, erase_other_tags
from siaf.schedule import CARRIED, Chain, Plan, chains, walks
from siaf.scribbles import Scribble, check_scribbles
from siaf.video import as_frames, frame_digest

CONTEXT_FRAMES = 2
"""Earlier interacted frames that take part in a round's across-frame attention."""


class Session:
    """Rounds of interaction on one video.

    `frames`: a sequence of uint8 H×W×3 RGB arrays of one size, or what `siaf.open_video` returns. Frame numbers count
    from 0, tags from 1 to 255; index masks are uint8 H×W with 0 = background, so objects never overlap. `cache` may be
    shared by sessions; `digests` are content digests of frames that are known already.
    """

    def __init__(
        self,
        model: Model,
        frames: Sequence[NDArray[np.uint8]],
        *,
        cache: FeatureCache | None = None,
        digests: Mapping[int, str] | None = None,
    ) -> None:
        self.model = model
        self.frames = as_frames(frames)
        self.height, self.width = self.frames.height, self.frames.width
        self.rounds: list[Round] = []
        self.revision = 0
        self.confidence: dict[int, Confidence] = {}
        self.memory = AcrossRoundMemory()
        self._cache = cache if cache is not None else FeatureCache()
        self._digests = dict(digests or {})
        self._now = Standing(MaskStore(self.height, self.width), {}, {}, frozenset(), ObjectTable())
        self._results = MaskStore(self.height, self.width)
        self._remembered: dict[int, tuple[bytes, int]] = {}
        self._plan = Plan()
        self._chain: ChainMemory | None = None

    # -- what the session knows -----------------------------------------------------------------------------------

    @property
    def objects(self) -> ObjectTable:
        """The objects: tags, labels."""
        return self._now.objects

    @property
    def interacted(self) -> list[int]:
        """Frames that a user scribbled on or gave a mask for, ascending."""
        return sorted(self._now.interacted)

    @property
    def pending(self) -> int:
        """Frames that `propagate` still has to do for the present round."""
        return self._plan.total - self._plan.done

    @property
    def results(self) -> list[int]:
        """Frames whose mask the present round's propagation makes, in order: interacted frames that take over an
        object drawn elsewhere, then all others. The first `settled` are made."""
        return self._plan.results

    @property
    def settled(self) -> int:
        """How many of `results` have their mask."""
        return self._plan.settled

    @property
    def ahead(self) -> list[int]:
        """Frames that `propagate` still has to look at, in order."""
        return self._plan.ahead

    def mask(self, frame: int) -> IndexMask:
        """Index mask of a frame, uint8 H×W: the user's, else the newest propagated one, else all background."""
        self._check_frame(frame, "frame")
        mask = self._current(frame)
        return np.zeros((self.height, self.width), np.uint8) if mask is None else mask

    def frame_digest(self, frame: int) -> str:
        """Content digest of a frame's pixels."""
        if frame not in self._digests:
            self._digests[frame] = frame_digest(self.frames[frame])
        return self._digests[frame]

    def suggest(self, count: int = 3) -> list[int]:
        """Propagated frames most worth annotating next: least confident first, not close to each other."""
        return suggest_frames(self.confidence, len(self.frames), count)

    # -- rounds ---------------------------------------------------------------------------------------------------

    def interact(
        self,
        scribbles: Mapping[int, Sequence[Scribble]] | None = None,
        references: Mapping[int, NDArray[np.generic]] | None = None,
        boxes: Mapping[int, Mapping[int, Box]] | None = None,
        about: Mapping[int, Collection[int]] | None = None,
    ) -> dict[int, IndexMask]:
        """One round: strokes, masks and boxes on any frames, for any objects, all taken together (Eq. 1).

        `references` are index masks, H×W integers, that a human made; they skip the network, and their objects' pixels
        stay as given. A frame may have both: strokes then add to its mask. `boxes` say by frame and tag where an object
        is (`siaf.boxes.as_box`). `about` limits by frame the tags that a reference speaks for, by default all: others
        are looked for there. Returns the index masks of this round's frames. On an error the session is as before.
        Raises InputError naming `scribbles[frame]`, `references[frame]` or `boxes[frame]`.
        """
        strokes = {frame: list(s) for frame, s in (scribbles or {}).items() if len(s)}
        framed = {frame: dict(b) for frame, b in (boxes or {}).items() if b}
        for frame in framed:
            self._check_frame(frame, f"boxes[{frame}]")
            strokes.setdefault(frame, [])
        masks = {frame: self._check_reference(frame, mask) for frame, mask in (references or {}).items()}
        if not strokes and not masks:
            raise InputError("a round needs at least one stroke or mask", field="scribbles")
        for frame, drawn in strokes.items():
            self._check_frame(frame, f"scribbles[{frame}]")
            check_scribbles(drawn, height=self.height, width=self.width, field=f"scribbles[{frame}]")

        before, now = self._now, self._now.copy()
        self._now = now
        try:
            given = {int(t) for m in masks.values() for t in np.unique(m) if t}
            for tag in sorted(object_tags(strokes) | given | {t for b in framed.values() for t in b}):
                self.objects.add(tag)
            number = len(self.rounds) + 1
            result = {**masks, **self._interact(strokes, masks, framed)}
            everything = frozenset(self.objects.tags)
            for frame, mask in result.items():
                named = object_tags({frame: strokes.get(frame, [])}) | framed.get(frame, {}).keys()
                if frame in masks:
                    named |= set((about or {}).get(frame, everything))
                now.known[frame] = (self._spoken_for(frame) | named) & everything
                now.masks[frame] = mask
                now.interacted[frame] = number
            now.human = (now.human - strokes.keys()) | masks.keys()
        except BaseException:
            self._now = before
            raise
        self.rounds.append(Round(strokes, sorted(masks), before))
        self._replan()
        return {frame: now.masks[frame] for frame in sorted(result)}

    def propagate(self) -> Iterator[tuple[int, int]]:
        """Fill all other frames from the across-round memory (Eq. 8), nearest interacted frame first.

        A generator of (done, total) frames; `done` stands still while objects are first carried to interacted frames
        they were not drawn on. It may be dropped at any point; the next call goes on there, with the identical result.
        """
        plan = self._plan
        while not plan.finished:
            self._propagate_to(*plan.next())
            if plan.advance():
                self._chain = None
            if plan.finished:
                self.revision += 1
            yield plan.done, plan.total
            if plan is not self._plan:  # a new round began while the caller held this generator
                return

    def preview(
        self,
        frame: int,
        scribbles: Sequence[Scribble] = (),
        boxes: Mapping[int, Box] | None = None,
        previous: IndexMask | None = None,
    ) -> tuple[Tensor, NDArray[np.uint8]]:
        """What a round on this one frame would give, as probabilities; the session stays as it is.

        `previous` is the mask to start from, by default the frame's own, or what the across-round memory finds there.
        Returns float (1 + objects)×H×W and the tag of each channel. Raises InputError naming `scribbles[i]`.
        """
        self._check_frame(frame, "frame")
        check_scribbles(scribbles, height=self.height, width=self.width)
        before = self._known_mask(frame) if previous is None else previous
        shown = () if before is None else np.unique(before[before > 0]).tolist()
        objects = self.objects.copy()
        for tag in sorted({*object_tags({frame: scribbles}), *(boxes or ()), *shown}):
            objects.add(tag)
        start = {} if before is None else {frame: before}
        frames, probabilities, tags = self._ask({frame: list(scribbles)}, start, {frame: dict(boxes or {})}, objects)
        return probabilities[frames.index(frame)], tags

    def look(self, frame: int) -> IndexMask:
        """Index mask of a frame, as `mask`; but where none was propagated yet, what the memory alone finds there."""
        mask = self._known_mask(frame)
        return np.zeros((self.height, self.width), np.uint8) if mask is None else mask

    def presume(self, frame: int, mask: IndexMask) -> None:
        """Take a mask as if it had been propagated to this frame: the next round on the frame starts from it."""
        self._results[frame] = self._check_reference(frame, mask)

    def release(self, frame: int) -> IndexMask:
        """Hand out a propagated mask and keep it no longer; `presume` brings it back."""
        mask = self._results[frame]
        del self._results[frame]
        return mask

    def chain(self, source: int) -> ChainMemory:
        """A chain that starts at an interacted frame, for `track`."""
        self._remember(self._now.interacted)
        self._fit_carried()
        return ChainMemory(self.memory.carried[-1] if source == CARRIED else self.memory.entries[source])

    def track(self, picture: NDArray[np.uint8], chain: ChainMemory, near: int) -> tuple[IndexMask, Confidence]:
        """One step of a chain onto a picture, uint8 H×W×3, that is none of the session's frames; the chain advances.

        `near` is the frame of the session that the picture is nearest to. Returns its index mask and confidence.
        """
        return self._step(self._encode(frame_digest(picture), lambda: picture), near, chain)

    def undo(self) -> None:
        """Take back the last round; the frames it touched are as before, the others are to be propagated again."""
        if not self.rounds:
            raise InputError("there is no round to undo", field="round")
        self._now = self.rounds.pop().before
        erase_other_tags(self._results, keep=self.objects.tags)
        self._replan()

    def remove_object(self, tag: int) -> None:
        """Forget an object: its pixels become background everywhere, other objects stay as they are."""
        self.objects.remove(tag)
        for standing in (self._now, *(past.before for past in self.rounds)):  # an undo must not bring it back
            standing.objects.discard(tag)
            standing.known = {frame: tags - {tag} for frame, tags in standing.known.items()}
            erase_other_tags(standing.masks, keep=standing.objects.tags)
        erase_other_tags(self._results, keep=self.objects.tags)
        for scores in self.confidence.values():
            scores.pop(tag, None)
        self.revision += 1

    def inherit(self, state: bytes) -> None:
        """Start from what another clip's session knew: its objects with their tags, and its across-round memory.

        `state` is a state file's content. The clip may then be propagated before anybody draws on it; frame sizes may
        differ. Raises InputError if this session has objects already, StateError if the state is of another model or
        other weights.
        """
        if self.objects.tags:
            raise InputError("only a session without objects can inherit", field="state")
        from siaf.state import parse_memories

        self._now.objects, memories, grid = parse_memories(state, self.model)
        own = self.model.grid(self.height, self.width)
        self.memory.carry([fit_to(memory, self.objects.groups, own, grid) for memory in memories])
        self._replan()

    # -- one file -------------------------------------------------------------------------------------------------

    def save(self, path: str | Path) -> None:
        """Write the session to one `.siaf` file (safetensors), by rename."""
        from siaf.state import save_session

        save_session(self, Path(path))

    @classmethod
    def load(cls, path: str | Path, model: Model, frames: Sequence[NDArray[np.uint8]]) -> "Session":
        """Read a session back; StateError if the file, the model, the weights or the frames do not fit."""
        from siaf.state import load_session

        return load_session(Path(path), model, frames)

    # -- inside ---------------------------------------------------------------------------------------------------

    def _interact(
        self,
        strokes: dict[int, list[Scribble]],
        masks: dict[int, IndexMask],
        boxes: dict[int, dict[int, Box]],
    ) -> dict[int, IndexMask]:
        """AFI's index masks of all scribbled frames; what the user drew or gave is in them as it is."""
        if not strokes:
            return {}
        current = {f: mask for f in strokes if (mask := self._current(f)) is not None}
        frames, probabilities, tags = self._ask(strokes, {**current, **masks}, boxes, self.objects)
        result = {}
        for frame, probability in zip(frames, probabilities, strict=True):
            if frame in strokes:
                refined = refine_mask(self.frames[frame], probability.cpu().numpy(), tags, strokes[frame])
                mask = honour_strokes(refined, strokes[frame])
                for tag, box in boxes.get(frame, {}).items():
                    if not (mask == tag).any():  # the box itself says at least that much
                        mask[box_pixels(box, self.height, self.width)] = tag
                given = masks.get(frame)
                result[frame] = mask if given is None else np.where(given > 0, given, mask)
        return result

    def _ask(
        self,
        strokes: dict[int, list[Scribble]],
        previous: dict[int, IndexMask],
        boxes: dict[int, dict[int, Box]],
        objects: ObjectTable,
    ) -> tuple[list[int], Tensor, NDArray[np.uint8]]:
        """AFI on all frames of `strokes`, with a few other frames whose mask is known as context.

        Returns frame numbers ascending, probabilities f×(1 + objects)×H×W, and the tag of every channel.
        """
        whole = (self.height, self.width)
        size = self.model.interaction_size(*whole)
        known = {**{f: self._now.masks[f] for f in self._now.interacted}, **previous}
        context = sorted(known.keys() - strokes.keys(), key=lambda f: (min(abs(f - s) for s in strokes), f))
        frames = sorted([*strokes, *context[:CONTEXT_FRAMES]])
        drawn, before = [], []
        for frame in frames:
            marks, start = strokes.get(frame, []), known.get(frame)
            framed = boxes.get(frame)
            if framed:
                start = fill_boxes(np.zeros(whole, np.uint8) if start is None else start, framed)
                marks = [*surround(framed, start, self.height / size[0]), *marks]
            drawn.append(stroke_slots(marks, objects, size, whole))
            before.append(previous_slots(start, marks, objects, size))
        slots, tags = _channels(objects)
        pictures = [self.frames[f] for f in frames]
        probabilities = self.model.interact(pictures, np.stack(drawn, axis=1), np.stack(before, axis=1), slots)
        return frames, probabilities, tags

    def _spoken_for(self, frame: int) -> frozenset[int]:
        """Tags about which the present mask of a frame says something, be it that they are absent."""
        if frame in self._now.known:
            return self._now.known[frame]
        return frozenset(self.confidence.get(frame, ()))

    def _propagate_to(self, chain: Chain, frame: int) -> None:
        if self._chain is None:
            self._chain = self.chain(chain.source)
        among = [f for f, known in self._now.known.items() if chain.adopts <= known] if chain.adopts else None
        mask, confidence = self._step(self._features(frame), frame, self._chain, among)
        if not chain.adopts:
            self._results[frame], self.confidence[frame] = mask, confidence
        elif frame == chain.frames[-1]:
            self._adopt(frame, mask, chain.adopts)

    def _step(
        self, features: FrameFeatures, near: int, chain: ChainMemory, among: Sequence[int] | None = None
    ) -> tuple[IndexMask, Confidence]:
        slots, tags = _channels(self.objects)
        long = self.memory.read(near, chain.transient, among)
        whole = (self.height, self.width)
        probabilities, seen = self.model.propagate(features, long, chain.short, slots, whole)
        chain.advance(seen, self.model.propagation.config.memory_gap)
        return mask_confidence(probabilities, tags)

    def _adopt(self, frame: int, found: IndexMask, tags: frozenset[int]) -> None:
        """Take objects that were annotated elsewhere into an interacted frame's mask, on its background only.

        What the interaction network guessed of them there gives way; what the user said of other objects stays.
        """
        mask = self._now.masks[frame]
        free = (mask == 0) | np.isin(mask, list(tags))
        mask = np.where(free, np.where(np.isin(found, list(tags)), found, 0), mask).astype(np.uint8)
        drawn = [past.scribbles[frame] for past in self.rounds if frame in past.scribbles]
        self._now.masks[frame] = honour_strokes(mask, drawn[-1]) if drawn else mask
        self._now.known[frame] |= tags

    def _remember(self, frames: Iterable[int]) -> None:
        """Bring the permanent memory up to date with the masks of these interacted frames, and drop all others."""
        frames = list(frames)
        for frame in [f for f in self.memory.entries if f not in frames]:
            self.memory.forget(frame)
            del self._remembered[frame]
        for frame in frames:
            version = (self._now.masks.packed(frame), self.objects.groups)
            if self._remembered.get(frame) != version:
                slots = self.objects.to_slots(self._now.masks[frame])
                self.memory.put(frame, self.model.reference(self._features(frame), slots))
                self._remembered[frame] = version

    def _fit_carried(self) -> None:
        """An object of a new group: what another clip remembered says nothing about it."""
        grid = self.model.grid(self.height, self.width)
        if self.memory.carried and len(self.memory.carried[0][0][0]) < self.objects.groups:
            self.memory.carry([fit_to(m, self.objects.groups, grid, grid) for m in self.memory.carried])

    def _features(self, frame: int) -> FrameFeatures:
        return self._encode(self.frame_digest(frame), lambda: self.frames[frame])

    def _encode(self, digest: str, picture: Callable[[], NDArray[np.uint8]]) -> FrameFeatures:
        key = f"{digest}/{self.model.digest}/{self.model.short_side}"
        features = self._cache.get(key)
        if features is None:
            features = self.model.encode(picture())
            self._cache.put(key, features)
        return features

    def _known_mask(self, frame: int) -> IndexMask | None:
        """The frame's mask; if it has none, what the memory finds there; None if there is no memory."""
        mask = self._current(frame)
        if mask is None and (self._now.interacted or self.memory.carried):
            nearest = min(self._now.interacted, key=lambda f: (abs(f - frame), f), default=CARRIED)
            mask = self._step(self._features(frame), frame, self.chain(nearest))[0]
        return mask

    def _current(self, frame: int) -> IndexMask | None:
        for store in (self._now.masks, self._results):
            if frame in store:
                return store[frame]
        return None

    def _replan(self) -> None:
        plan = walks(self._now.known, self.objects.tags) + chains(len(self.frames), self._now.interacted)
        if not self._now.interacted and self.memory.carried:
            plan = [Chain(CARRIED, tuple(range(len(self.frames))))]
        self._plan, self._chain = Plan(plan), None
        self.revision += 1

    def _check_frame(self, frame: int, name: str) -> None:
        if not 0 <= frame < len(self.frames):
            raise InputError(f"frame {frame} is not in the video (0 to {len(self.frames) - 1})", field=name)

    def _check_reference(self, frame: int, mask: NDArray[np.generic]) -> IndexMask:
        name = f"references[{frame}]"
        self._check_frame(frame, name)
        return as_index_mask(mask, height=self.height, width=self.width, field=name)


def _channels(objects: ObjectTable) -> tuple[list[list[int]], NDArray[np.uint8]]:
    """Slots in use by group, and the tag of every merged channel (channel 0 is background)."""
    groups = [objects.slots(g) for g in range(objects.groups)]
    return [list(g) for g in groups], np.array([0, *(tag for g in groups for tag in g.values())], np.uint8)
