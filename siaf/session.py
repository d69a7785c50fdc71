"""A session: frames, objects, rounds and memory. The one class that users of the library meet."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from siaf.confidence import Confidence, mask_confidence, suggest_frames
from siaf.errors import InputError
from siaf.features import FeatureCache
from siaf.masks import IndexMask, as_index_mask
from siaf.memory import AcrossRoundMemory, ChainMemory, fit_to
from siaf.model.propagation import FrameFeatures
from siaf.network import Model
from siaf.objects import ObjectTable
from siaf.prompting import honour_strokes, object_tags, previous_slots, stroke_slots
from siaf.results import MaskStore
from siaf.rounds import Round, Standing, erase_other_tags
from siaf.schedule import CARRIED, Chain, Plan, chains
from siaf.scribbles import Scribble, check_scribbles
from siaf.video import as_frames, frame_digest

CONTEXT_FRAMES = 2
"""Earlier interacted frames that take part in a round's across-frame attention."""


class Session:
    """Rounds of interaction on one video.

    `frames`: a sequence of uint8 H×W×3 RGB arrays of one size, or what `siaf.open_video` returns. Frame numbers count from 0,
    tags from 1 to 255; index masks are uint8 H×W with 0 = background, so objects never overlap.
    """

    def __init__(
        self, model: Model, frames: Sequence[NDArray[np.uint8]], *, cache: FeatureCache | None = None
    ) -> None:
        self.model = model
        self.frames = as_frames(frames)
        self.height, self.width = self.frames[0].shape[:2]
        self.rounds: list[Round] = []
        self.revision = 0
        self.confidence: dict[int, Confidence] = {}
        self.memory = AcrossRoundMemory()
        self._cache = cache if cache is not None else FeatureCache()
        self._digests: dict[int, str] = {}
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
    ) -> dict[int, IndexMask]:
        """One round: strokes and masks on any frames, for any objects, all taken together (Eq. 1).

        `references` are index masks, H×W integers, that a human made; they skip the network, and their objects' pixels stay as given.
        A frame may have both: strokes then add to its mask. Returns the index masks of this round's frames. On an error the session
        is as before. Raises InputError naming `scribbles[frame]` or `references[frame]`.
        """
        strokes = {frame: list(s) for frame, s in (scribbles or {}).items() if len(s)}
        masks = {frame: self._check_reference(frame, mask) for frame, mask in (references or {}).items()}
        if not strokes and not masks:
            raise InputError("a round needs at least one stroke or mask", field="scribbles")
        for frame, drawn in strokes.items():
            self._check_frame(frame, f"scribbles[{frame}]")
            check_scribbles(drawn, height=self.height, width=self.width, field=f"scribbles[{frame}]")

        before, now = self._now, self._now.copy()
        self._now = now
        try:
            for tag in sorted(
                object_tags(strokes) | {int(t) for m in masks.values() for t in np.unique(m) if t}
            ):
                self.objects.add(tag)
            number = len(self.rounds) + 1
            result = {**masks, **self._interact(strokes, masks)}
            everything = frozenset(self.objects.tags)
            for frame, mask in result.items():
                now.masks[frame] = mask
                now.interacted[frame] = number
                now.known[frame] = everything
            now.human = (now.human - strokes.keys()) | masks.keys()
            self._complete()
        except BaseException:
            self._now = before
            raise
        self.rounds.append(Round(strokes, sorted(masks), before))
        self._replan()
        return {frame: now.masks[frame] for frame in sorted(result)}

    def propagate(self) -> Iterator[tuple[int, int]]:
        """Fill all other frames from the across-round memory (Eq. 8), nearest interacted frame first.

        A generator of (done, total). It may be dropped at any point; the next call goes on there, with the identical result.
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

        `state` is a state file's content. The clip may then be propagated before anybody draws on it; frame sizes may differ. Raises
        InputError if this session has objects already, StateError if the state is of another model or other weights.
        """
        if self.objects.tags:
            raise InputError("only a session without objects can inherit", field="state")
        from siaf.state import parse_memories

        self._now.objects, memories, grid = parse_memories(state, self.model)
        own = self._features(0).size
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
        self, strokes: dict[int, list[Scribble]], masks: dict[int, IndexMask]
    ) -> dict[int, IndexMask]:
        """AFI on all scribbled frames, with a few earlier interacted frames as context."""
        if not strokes:
            return {}
        size = self.model.interaction_size(self.height, self.width)
        known = {**{f: self._now.masks[f] for f in self._now.interacted}, **masks}
        context = sorted(known.keys() - strokes.keys(), key=lambda f: (min(abs(f - s) for s in strokes), f))
        frames = sorted([*strokes, *context[:CONTEXT_FRAMES]])
        previous = {f: masks.get(f, self._current(f)) for f in frames}
        drawn = np.stack(
            [stroke_slots(strokes.get(f, []), self.objects, size, (self.height, self.width)) for f in frames],
            axis=1,
        )
        before = np.stack(
            [previous_slots(previous[f], strokes.get(f, []), self.objects, size) for f in frames], axis=1
        )
        slots, tags = self._slots()
        probabilities = self.model.interact([self.frames[f] for f in frames], drawn, before, slots)
        result = {}
        for i, frame in enumerate(frames):
            if frame in strokes:
                mask = honour_strokes(tags[probabilities[i].argmax(0).cpu().numpy()], strokes[frame])
                given = masks.get(frame)
                result[frame] = mask if given is None else np.where(given > 0, given, mask)
        return result

    def _complete(self) -> None:
        """Look for objects on interacted frames that were annotated before the object existed.

        Without this, those frames would teach the memory that the object is background there. Only background pixels are
        given to it: what the user said about other objects stays.
        """
        everything = frozenset(self.objects.tags)
        partial = [f for f, known in self._now.known.items() if not everything <= known]
        if not partial:
            return
        self._remember([f for f in self._now.interacted if f not in partial])
        self._fit_carried()
        slots, tags = self._slots()
        for frame in partial:
            nearest = min(self.memory.entries, key=lambda f: (abs(f - frame), f))
            probabilities, _ = self.model.propagate(
                self._features(frame),
                self.memory.read(frame, []),
                self.memory.entries[nearest],
                slots,
                (self.height, self.width),
            )
            found = tags[probabilities.argmax(0).cpu().numpy()]
            mask = self._now.masks[frame]
            missing = list(everything - self._now.known[frame])
            self._now.masks[frame] = np.where((mask == 0) & np.isin(found, missing), found, mask)
            self._now.known[frame] = everything

    def _propagate_to(self, chain: Chain, frame: int) -> None:
        if self._chain is None:
            self._remember(self._now.interacted)
            self._fit_carried()
            source = self.memory.carried[-1] if chain.source == CARRIED else self.memory.entries[chain.source]
            self._chain = ChainMemory(source)
        slots, tags = self._slots()
        probabilities, seen = self.model.propagate(
            self._features(frame),
            self.memory.read(frame, self._chain.transient),
            self._chain.short,
            slots,
            (self.height, self.width),
        )
        self._chain.advance(seen, self.model.propagation.config.memory_gap)
        self._results[frame], self.confidence[frame] = mask_confidence(probabilities, tags)

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
        grid = self._features(0).size
        if self.memory.carried and len(self.memory.carried[0][0][0]) < self.objects.groups:
            self.memory.carry([fit_to(m, self.objects.groups, grid, grid) for m in self.memory.carried])

    def _features(self, frame: int) -> FrameFeatures:
        key = f"{self.frame_digest(frame)}/{self.model.digest}/{self.model.short_side}"
        features = self._cache.get(key)
        if features is None:
            features = self.model.encode(self.frames[frame])
            self._cache.put(key, features)
        return features

    def _slots(self) -> tuple[list[list[int]], NDArray[np.uint8]]:
        """Slots in use by group, and the tag of every merged channel (channel 0 is background)."""
        groups = [self.objects.slots(g) for g in range(self.objects.groups)]
        return [list(g) for g in groups], np.array(
            [0, *(tag for g in groups for tag in g.values())], np.uint8
        )

    def _current(self, frame: int) -> IndexMask | None:
        for store in (self._now.masks, self._results):
            if frame in store:
                return store[frame]
        return None

    def _replan(self) -> None:
        plan = chains(len(self.frames), self._now.interacted)
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
