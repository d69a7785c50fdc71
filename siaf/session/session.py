"""A session: frames, objects, rounds and memory. The one class that users of the library meet."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from siaf.arguments import frame_number, frame_range, strokes_of_frame
from siaf.boxes import Box
from siaf.engines.base import Engine
from siaf.errors import InputError
from siaf.frames.source import as_frames
from siaf.masks import IndexMask, as_index_mask
from siaf.model.encodings import Encodings
from siaf.model.loaded import Model
from siaf.model.probabilities import Probabilities
from siaf.model.request import Footage, InteractionRequest, Reference
from siaf.prompts import FramePrompts, Prompts
from siaf.scribbles import Scribble, check_scribbles
from siaf.session.adaptation import MIN_FRAMES, Adaptation, Decoder, choose, content_of
from siaf.session.annotations import Annotations, Round, erase_other_tags
from siaf.session.barriers import Barriers, plan_stages
from siaf.session.confidence import Confidence, suggest_frames
from siaf.session.editing import Edit, apply, free_tag, merge, split, swap
from siaf.session.examples import Annotated
from siaf.session.feature_cache import FeatureCache
from siaf.session.interaction import to_masks
from siaf.session.mask_store import MaskStore
from siaf.session.memory import AcrossRoundMemory, ChainMemory
from siaf.session.objects import ObjectTable
from siaf.session.propagation import Carried, Propagator, Repropagate
from siaf.session.schedule import CARRIED
from siaf.session.shrinking import Shrunk, summarise
from siaf.session.snapshot import SessionSnapshot
from siaf.session.standing_strokes import standing_on

_CONTEXT_FRAMES = 2
"""Interacted frames that take part when a single frame is looked at."""
_PREVIEWED_FRAMES = 8
"""Frames that were previewed, whose encodings the round may use."""


class Session:
    """Rounds of interaction on one video.

    `frames`: a sequence of uint8 H×W×3 RGB arrays of one size, or what `siaf.open_video` returns. Frame numbers count
    from 0, tags from 1 to 255; index masks are uint8 H×W with 0 = background, so objects never overlap. `cache` may be
    shared by sessions; `digests` are content digests of frames that are known already.
    """

    def __init__(
        self,
        model: Engine,
        frames: Sequence[NDArray[np.uint8]],
        *,
        cache: FeatureCache | None = None,
        digests: Mapping[int, str] | None = None,
    ) -> None:
        if hasattr(frames, "encode_batch") or isinstance(model, str | PathLike | Sequence | np.ndarray):
            raise InputError("the model comes first: Session(model, frames)", field="model")
        self.model = model
        self.frames = as_frames(frames)
        self.height, self.width = self.frames.height, self.frames.width
        self.rounds: list[Round] = []
        self.revision = 0
        self._annotations = Annotations(MaskStore(self.height, self.width), {}, {}, frozenset(), ObjectTable())
        self._context = Encodings(_CONTEXT_FRAMES)
        self._previewed = Encodings(_PREVIEWED_FRAMES)
        self._adapting: Adaptation | None = None
        cache = cache if cache is not None else FeatureCache()
        self._propagator = Propagator(model, self.frames, cache, dict(digests or {}))

    # -- what the session knows -----------------------------------------------------------------------------------

    @property
    def objects(self) -> ObjectTable:
        """The objects: tags, labels."""
        return self._annotations.objects

    @property
    def confidence(self) -> dict[int, Confidence]:
        """By propagated frame and tag, how sure the network is."""
        return self._propagator.confidence

    @property
    def memory(self) -> AcrossRoundMemory:
        """What propagation reads: the interacted frames of all rounds."""
        return self._propagator.memory

    @property
    def repropagate(self) -> Repropagate:
        """What a round propagates again: "all" (default, the paper's) every frame whose inputs changed; "near" only
        frames whose nearest interacted frame changed, which is faster and lets corrections reach less far.
        """
        return self._propagator.repropagate

    @repropagate.setter
    def repropagate(self, which: Repropagate) -> None:
        if which not in get_args(Repropagate):
            raise InputError(f"is {which!r}, not one of {', '.join(get_args(Repropagate))}", field="repropagate")
        self._propagator.repropagate = which

    @property
    def within(self) -> range | None:
        """Frames that `propagate` fills, as `range(20, 31)`; None, the default, all of them.

        Others keep the mask they have. Frames in between are looked at all the same, so that masks are those that a
        propagation to all frames would give.
        """
        return self._propagator.plan.within

    @within.setter
    def within(self, frames: range | None) -> None:
        if frames is not None:
            frame_range(frames, len(self.frames), "within")
        if frames != self.within:
            self._replan(frames)

    @property
    def barriers(self) -> tuple[int, ...]:
        """Frames that nothing crosses, ascending: those from one on get nothing from those before it, and the other way
        round. None by default; frame 0 cannot be one.
        """
        return self.memory.barriers.at

    @barriers.setter
    def barriers(self, frames: Collection[int]) -> None:
        found = Barriers.of(frames, len(self.frames))
        if found == self.memory.barriers:
            return
        self.memory.barriers = found
        self._annotations = self._annotations.copy()
        self._annotations.forget_adopted()
        self._replan(self.within)

    @property
    def interacted(self) -> list[int]:
        """Frames that a user scribbled on or gave a mask for, ascending."""
        return sorted(self._annotations.interacted)

    @property
    def verified(self) -> list[int]:
        """Frames whose mask a human made, or saw and gave back, and that show an object: what `adapt` learns from."""
        return sorted(f for f in self._annotations.human if self._verified(f)[0].any())

    @property
    def decoder(self) -> Decoder | None:
        """What came of the last `adapt`, of this round or one before; None if there was none."""
        return self._annotations.decoder

    @property
    def pending(self) -> int:
        """Frames that `propagate` still has to do for the present round."""
        return self._propagator.plan.total - self._propagator.plan.done

    @property
    def results(self) -> list[int]:
        """Frames whose mask the present round's propagation makes, in order: interacted frames that take over an
        object drawn elsewhere, then all others. The first `results_done` are made."""
        return self._propagator.plan.results

    @property
    def results_done(self) -> int:
        """How many of `results` have their mask."""
        return self._propagator.plan.results_done

    @property
    def remaining_frames(self) -> list[int]:
        """Frames that `propagate` still has to look at, in order."""
        return self._propagator.plan.remaining_frames

    def mask(self, frame: int) -> IndexMask:
        """Index mask of a frame, uint8 H×W: the user's, else the newest propagated one, else all background."""
        self._check_frame(frame, "frame")
        mask = self._current(frame)
        return np.zeros((self.height, self.width), np.uint8) if mask is None else mask

    def frame_digest(self, frame: int) -> str:
        """Content digest of a frame's pixels."""
        return self._propagator.digest(frame)

    @property
    def shrunk(self) -> list[Shrunk]:
        """Objects that the present round's propagation, as far as it has come, made vanish or shrink by more than half
        on frames where they were.
        """
        return summarise(self._propagator.lost)

    def shows(self, frame: int, digest: str) -> bool:
        """Whether a content digest that was taken earlier, maybe by another siaf, is that of a frame."""
        return self.frame_digest(frame) == digest or self.frames.shows(frame, digest)

    def suggest(self, count: int = 3) -> list[int]:
        """Propagated frames most worth annotating next: least confident first, not close to each other."""
        propagated = {f: scores for f, scores in self.confidence.items() if f not in self._annotations.interacted}
        return suggest_frames(propagated, len(self.frames), count)

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
        size = {"frames": len(self.frames), "height": self.height, "width": self.width}
        return self.interact_with(Prompts.of(scribbles, references, boxes, about, **size))

    def interact_with(self, prompts: Prompts) -> dict[int, IndexMask]:
        """As `interact`. Which pixels of a mask a person drew (`FramePrompts.fixed`) makes no difference here."""
        given = prompts.checked(frames=len(self.frames), height=self.height, width=self.width)
        if not given:
            raise InputError("a round needs at least one stroke or mask", field="scribbles")
        before, now = self._annotations, self._annotations.copy()
        now.let_go()
        self._annotations = now
        try:
            for tag in sorted(given.tags):
                self.objects.add(tag)
            number = len(self.rounds) + 1
            result = {**given.masks, **self._run_interaction(given)}
            everything = frozenset(self.objects.tags)
            for frame, mask in result.items():
                here = given[frame]
                named = frozenset(here.drawn_tags)
                if here.mask is not None:
                    named |= everything if here.about is None else here.about
                now.annotated_tags[frame] = (self._spoken_for(frame) | named) & everything
                now.masks[frame] = mask
                now.interacted[frame] = number
            spoken = {f: everything if (own := given[f].about) is None else own for f in given.masks}
            whole = {f for f, mask in given.masks.items() if spoken[f].issuperset(np.unique(mask[mask > 0]).tolist())}
            # Strokes draw what nobody has seen yet.
            now.human = (now.human - given.masks.keys() | whole) - given.drawn.keys()
        except BaseException:
            self._annotations = before
            raise
        self._previewed.clear()
        strokes = {frame: here.strokes for frame, here in given.drawn.items()}
        boxes = {frame: here.boxes for frame, here in given.drawn.items() if here.boxes}
        self.rounds.append(Round(strokes, sorted(given.masks), before, boxes))
        self._replan(self.within)
        return {frame: now.masks[frame] for frame in sorted(result)}

    def propagate(self) -> Iterator[tuple[int, int]]:
        """Fill all other frames from the across-round memory (Eq. 8), nearest interacted frame first.

        A generator of (done, total) frames; `done` stands still while objects are first carried to interacted frames
        they were not drawn on. It may be dropped at any point; the next call goes on there, with the identical result.
        """
        plan = self._propagator.plan
        while not plan.finished:
            carried = self._propagator.advance(self._annotations)
            if carried is not None:
                self._take_over(carried)
            if plan.finished:
                self.revision += 1
            yield plan.done, plan.total
            if plan is not self._propagator.plan:  # a new round began while the caller held this generator
                return

    def adapt(self) -> Iterator[tuple[int, int]]:
        """Fit the session's own decoder to the `verified` masks; it then finds their objects in all other frames.

        A generator of (done, total) steps. It always starts from the shipped weights, and the same masks give the same
        bits. Until it is through, the session is as before; if it was dropped, the next call goes on there. Then the
        round's propagation begins again, unless the decoder stayed what it was. The shipped one stays where a trial on
        all of three masks or more but one finds that one worse. Call it before `propagate`.
        Raises InputError if less than two masks are verified, or if the model has no decoder of this kind.
        """
        shipped = self.model.adaptable
        if shipped is None:
            raise InputError(f"{self.model.name} has no decoder that a session can adapt", field="adapt")
        frames = self.verified
        if len(frames) < MIN_FRAMES:
            raise InputError(
                f"needs masks on {MIN_FRAMES} frames that somebody has drawn, corrected or accepted, there are"
                f" {len(frames)}; what strokes give does not count",
                field="adapt",
            )
        return self._adapt(shipped, choose(frames))

    def preview(
        self,
        frame: int,
        scribbles: Sequence[Scribble] = (),
        boxes: Mapping[int, Box] | None = None,
        previous: IndexMask | None = None,
    ) -> Probabilities:
        """What strokes on this one frame give, as probabilities; the session stays as it is.

        The nearest interacted frames take part in across-frame attention.
        `previous` is the mask to start from, by default the frame's own, or what the across-round memory finds there.
        Raises InputError naming `scribbles[i]`.
        """
        self._check_frame(frame, "frame")
        scribbles = strokes_of_frame(scribbles, "scribbles")
        check_scribbles(scribbles, height=self.height, width=self.width)
        before = self._estimated_mask(frame) if previous is None else previous
        shown = () if before is None else np.unique(before[before > 0]).tolist()
        objects = self.objects.copy()
        given = FramePrompts(list(scribbles), dict(boxes or {}))
        for tag in sorted(given.drawn_tags.union(shown)):
            objects.add(tag)
        near = set(self.memory.barriers.same_side(frame, self._annotations.interacted))
        others = sorted(near - {frame}, key=lambda f: (abs(f - frame), f))
        known = {f: self._annotations.masks[f] for f in others[:_CONTEXT_FRAMES]}
        if before is not None:
            known[frame] = before
        request = InteractionRequest({frame: given}, known, objects)
        return self.model.interact(self._footage, request, beside_before=self._context)[frame]

    def preview_round(self, prompts: Prompts, elsewhere: Collection[int] = ()) -> dict[int, IndexMask]:
        """The index masks that `interact_with` would give now; the session stays as it is. Raises as that does.

        The round that follows takes less time. `elsewhere`: tags of what else will be in it, on other frames; they
        decide which places in the network new objects get, and so what of a preview is of use to the round.
        """
        given = prompts.checked(frames=len(self.frames), height=self.height, width=self.width)
        before, self._annotations = self._annotations, self._annotations.copy()
        try:
            for tag in sorted(given.tags.union(elsewhere)):
                self.objects.add(tag)
            for tag in set(elsewhere) - given.tags - set(before.objects.tags):
                self.objects.discard(tag)
            return {**given.masks, **self._run_interaction(given)}
        finally:
            self._annotations = before

    def estimate_mask(self, frame: int) -> IndexMask:
        """Index mask of a frame, as `mask`; but where none was propagated yet, what the memory alone finds there."""
        mask = self._estimated_mask(frame)
        return np.zeros((self.height, self.width), np.uint8) if mask is None else mask

    def set_propagated_mask(self, frame: int, mask: IndexMask) -> None:
        """Take a mask as if it had been propagated to this frame: the next round on the frame starts from it."""
        self._propagator.results[frame] = self._check_reference(frame, mask)
        self._propagator.made.forget(frame)

    def prepare(self, frame: int) -> bool:
        """Encode a frame while there is time, so that the round that needs it waits less; masks stay the same.

        False, and nothing done, where the cache of features has no room for another frame.
        """
        self._check_frame(frame, "frame")
        return self._propagator.prepare(frame)

    def pass_frame(self) -> bool:
        """Begin `propagate` while there is time, as far as that changes no mask: look at the next frame on the way of
        an object to one that it was not drawn on. Masks stay the same, also if a round comes in between.

        False, and nothing done, if the next frame gets a mask, or none is left.
        """
        if not self._propagator.plan.passes:
            return False
        self._propagator.advance(self._annotations)
        return True

    def pop_propagated_mask(self, frame: int) -> IndexMask:
        """Hand out a propagated mask and keep it no longer; `set_propagated_mask` brings it back."""
        mask = self._propagator.results[frame]
        del self._propagator.results[frame]
        return mask

    def chain(self, source: int) -> ChainMemory:
        """A chain that starts at an interacted frame, for `track`."""
        return self._propagator.chain(source, self._annotations)

    def track(
        self, picture: NDArray[np.uint8], digest: str, chain: ChainMemory, near: int
    ) -> tuple[IndexMask, Confidence]:
        """One step of a chain onto a picture, uint8 H×W×3, that is none of the session's frames; the chain advances.

        `digest` is the picture's content digest, `near` the frame of the session that it is nearest to. Returns its
        index mask and confidence.
        """
        features = self._propagator.encode([digest], [lambda: picture])
        return self._propagator.step(features, [near], [chain], [1], self.objects, beyond=chain.taken + 1)[0]

    def undo(self) -> None:
        """Take back the last round; the frames it touched are as before, the others are to be propagated again."""
        if not self.rounds:
            raise InputError("there is no round to undo", field="round")
        self._annotations = self.rounds.pop().before
        self._propagator.erase_other_tags(self.objects.tags)
        grid = self.model.grid(self.height, self.width)
        groups = self.objects.groups(self.model.objects_per_pass)
        self.memory.carry([self.model.fit_memory(memory, groups, grid, grid) for memory in self.memory.carried])
        self._replan(self.within)

    def remove_object(self, tag: int) -> None:
        """Forget an object: its pixels become background everywhere, other objects stay as they are."""
        self.objects.remove(tag)
        for each in (self._annotations, *(past.before for past in self.rounds)):  # an undo must not bring it back
            each.objects.discard(tag)
            each.annotated_tags = {frame: tags - {tag} for frame, tags in each.annotated_tags.items()}
            each.adopted = {frame: tags - {tag} for frame, tags in each.adopted.items()}
            erase_other_tags(each.masks, keep=each.objects.tags)
        for past in self.rounds:  # nor a later object of the same tag find its strokes
            for frame, strokes in past.scribbles.items():
                past.scribbles[frame] = [stroke for stroke in strokes if stroke.tag != tag]
            for boxes in past.boxes.values():
                boxes.pop(tag, None)
        self._propagator.erase_other_tags(self.objects.tags)
        for scores in self.confidence.values():
            scores.pop(tag, None)
        if self._propagator.plan.finished:
            self.revision += 1
        else:  # it may hold walks of the object
            self._replan(self.within)

    def swap_objects(self, first: int, second: int, from_frame: int, keep: Collection[int] = ()) -> None:
        """Two objects change places from a frame on, in its masks and in all that later rounds start from.

        Frames in `keep` stay as they are. `undo` takes it back as a round. Raises InputError naming "objects",
        "from_frame", or "round" if a propagation is not finished; the session is then as before.
        """
        self._edit(swap(first, second, from_frame), keep)

    def merge_objects(self, into: int, other: int, from_frame: int, keep: Collection[int] = ()) -> None:
        """From a frame on `other` becomes `into`, and is forgotten if it is on no frame before. As `swap_objects`."""
        self._edit(merge(into, other, from_frame), keep)

    def split_object(self, tag: int, from_frame: int, new: int | None = None, keep: Collection[int] = ()) -> int:
        """From a frame on an object is another, `new` one, by default of the lowest free tag, which is returned.

        As `swap_objects`.
        """
        other = free_tag(self.objects.tags) if new is None else new
        self._edit(split(tag, from_frame, other), keep)
        return other

    def inherit(self, state: bytes) -> None:
        """Start from what another clip's session knew: its objects with their tags, and its across-round memory.

        `state` is a state file's content. The clip may then be propagated before anybody draws on it; frame sizes may
        differ. Raises InputError if this session has objects already, StateError if the state is of another model or
        other weights.
        """
        if self.objects.tags:
            raise InputError("only a session without objects can inherit", field="state")
        if not isinstance(state, bytes):
            raise InputError("must be the bytes of a state file: Path(…).read_bytes()", field="state")
        from siaf.session.state_file import parse_memories

        self._annotations.objects, memories, grid = parse_memories(state, self.model)
        own = self.model.grid(self.height, self.width)
        groups = self.objects.groups(self.model.objects_per_pass)
        self.memory.carry([self.model.fit_memory(memory, groups, own, grid) for memory in memories])
        self._replan(self.within)

    # -- as plain data, and as one file ---------------------------------------------------------------------------

    def snapshot(self) -> SessionSnapshot:
        """The session as plain data. It holds what the session holds, and is of use until that goes on."""
        return SessionSnapshot(
            model=self.model.identity,
            frames=len(self.frames),
            height=self.height,
            width=self.width,
            grid=self.model.grid(self.height, self.width),
            revision=self.revision,
            digests={frame: self.frame_digest(frame) for frame in self.interacted},
            rounds=self.rounds,
            annotations=self._annotations,
            propagation=self._propagator.snapshot(),
        )

    def restore(self, snapshot: SessionSnapshot) -> None:
        """Become what `snapshot` gave of a session of the same model and frames; the snapshot is then this one's."""
        self.revision, self.rounds = snapshot.revision, snapshot.rounds
        self._annotations = snapshot.annotations
        self._propagator.restore(snapshot.propagation)

    def save(self, path: str | Path) -> None:
        """Write the session to one `.siaf` file (safetensors), by rename."""
        from siaf.session.state_file import save_session

        save_session(self, Path(path))

    @classmethod
    def load(cls, path: str | Path, model: Engine, frames: Sequence[NDArray[np.uint8]]) -> "Session":
        """Read a session back; StateError if the file, the model, the weights or the frames do not fit."""
        from siaf.session.state_file import load_session

        if not isinstance(path, str | PathLike):
            raise InputError("the path comes first: Session.load(path, model, frames)", field="path")
        return load_session(Path(path), model, frames)

    # -- inside ---------------------------------------------------------------------------------------------------

    @property
    def _footage(self) -> Footage:
        return Footage(self.frames, self._propagator.features, self._references)

    def _references(self, frame: int) -> list[Reference]:
        """Interacted frames that another may be compared with while it is drawn on."""
        return self._propagator.references(frame, self._annotations)

    def _edit(self, edit: Edit, keep: Collection[int]) -> None:
        snapshot = self.snapshot()
        apply(snapshot, edit, self.frame_digest, keep)
        self.restore(snapshot)

    def _run_interaction(self, given: Prompts) -> dict[int, IndexMask]:
        """AFI's index masks of all frames that were drawn on."""
        drawn = given.drawn
        if not drawn:
            return {}
        # Frames of earlier rounds take no part: with the two nearest J&F after three rounds was 0.811 instead of 0.810
        # (DAVIS, one frame a round), for up to three times the frames.
        known = {f: mask for f, here in drawn.items() if (mask := self._mask_before(f, here.mask)) is not None}
        standing = {f: self._standing(f, here.strokes) for f, here in drawn.items() if here.mask is None}
        found: dict[int, IndexMask] = {}
        for side in self.memory.barriers.sides(sorted(drawn)):
            here = {f: drawn[f] for f in side}
            request = InteractionRequest(here, {f: known[f] for f in side if f in known}, self.objects, standing)
            answer = self.model.interact(self._footage, request, self._previewed)
            masks = to_masks(self.model, answer, request, self.frames)
            found |= masks if not self.barriers else self._without_strangers(masks, given)
        return found

    def _without_strangers(self, masks: dict[int, IndexMask], given: Prompts) -> dict[int, IndexMask]:
        """Masks of one side of a barrier without objects that nobody ever drew on that side."""
        side = self.memory.barriers.same_side(min(masks), range(len(self.frames)))
        tags = {tag for f in side for tag in self._annotations.annotated_tags.get(f, ())}
        tags |= {tag for f in side if f in given for tag in given[f].tags}
        if side[0] == 0 and self.memory.carried:
            tags |= set(self.objects.tags)
        return {f: np.where(np.isin(mask, list(tags)), mask, 0).astype(np.uint8) for f, mask in masks.items()}

    def _take_over(self, carried: Carried) -> None:
        """Objects that were carried to an interacted frame become part of its mask."""
        now, frame, tags = self._annotations, carried.frame, carried.walk.adopts
        if carried.mask is not None:
            now.adopt(frame, carried.mask, tags, self._standing(frame))
            self._propagator.took_over(carried, now)
        now.take_over(frame, tags)

    def _verified(self, frame: int) -> tuple[IndexMask, frozenset[int]]:
        """What a human says of a frame: its mask without objects that were carried there, and the tags it speaks of."""
        tags = self._annotations.annotated_tags[frame] - self._annotations.adopted.get(frame, frozenset())
        mask = self._annotations.masks[frame]
        return np.where(np.isin(mask, list(tags)), mask, 0).astype(np.uint8), tags

    def _adapt(self, shipped: Model, frames: list[int]) -> Iterator[tuple[int, int]]:
        now = self._annotations
        said = {f: self._verified(f) for f in frames}
        features = dict(zip(frames, self._propagator.features(frames), strict=True))
        digests = {f: self.frame_digest(f) for f in frames}
        packed = {f: (mask.tobytes(), tags) for f, (mask, tags) in said.items()}
        content = content_of(shipped, digests, packed, self.objects)
        if now.decoder is not None and now.decoder.content == content:
            return
        if self._adapting is None or self._adapting.content != content:
            annotated = {f: Annotated(self.frames[f], features[f], *said[f]) for f in frames}
            self._adapting = Adaptation(shipped, content, annotated, self.objects)
        work = self._adapting
        while not work.finished:
            work.step()
            if self._annotations is not now:  # a new round began while the caller held this generator
                return
            if work.finished:
                self._adapting = None
                self._take_decoder(work.decoder)
            yield work.done, work.total

    def _take_decoder(self, decoder: Decoder) -> None:
        before, self._annotations.decoder = self._annotations.decoder, decoder
        if decoder.version != (before.version if before else ""):
            self._annotations.let_go()
            self._replan(self.within)

    def _spoken_for(self, frame: int) -> frozenset[int]:
        """Tags about which the present mask of a frame says something, be it that they are absent."""
        if frame in self._annotations.annotated_tags:
            return self._annotations.annotated_tags[frame]
        return frozenset(self.confidence.get(frame, ()))

    def _standing(self, frame: int, new: Sequence[Scribble] = ()) -> list[Scribble]:
        """Strokes of earlier rounds that still hold on a frame beside `new` ones."""
        return standing_on(frame, self.rounds, (self.height, self.width), self.objects.tags, new)

    def _estimated_mask(self, frame: int) -> IndexMask | None:
        """The frame's mask; if it has none, what the memory finds there; None if there is no memory."""
        mask = self._current(frame)
        near = self.memory.barriers.same_side(frame, self._annotations.interacted)
        if mask is None and (near or self.memory.taught(frame)):
            nearest = min(near, key=lambda f: (abs(f - frame), f), default=CARRIED)
            features = self._propagator.features([frame])
            chain = self._propagator.chain(nearest, self._annotations, near=abs(nearest - frame) == 1)
            way = 1 if frame > nearest else -1
            mask = self._propagator.step(features, [frame], [chain], [way], self.objects)[0][0]
        return mask

    def _mask_before(self, frame: int, given: IndexMask | None) -> IndexMask | None:
        """What a round on a frame starts from. Objects that come from another clip are looked for in its memory: no
        other frame of this one can tell where they are.
        """
        if given is not None:
            return given
        return self._estimated_mask(frame) if self.memory.carried else self._current(frame)

    def _current(self, frame: int) -> IndexMask | None:
        for store in (self._annotations.masks, self._propagator.results):
            if frame in store:
                return store[frame]
        return None

    def _replan(self, within: range | None) -> None:
        now = self._annotations
        carried = bool(self.memory.carried)
        planned = plan_stages(
            len(self.frames),
            now.interacted,
            now.annotated_tags,
            self.objects.tags,
            carried,
            self.memory.barriers,
            within,
        )
        self._propagator.restart(planned, within)
        self.revision += 1

    def _check_frame(self, frame: int, name: str) -> None:
        frame_number(frame, len(self.frames), name)

    def _check_reference(self, frame: int, mask: NDArray[np.generic]) -> IndexMask:
        name = f"references[{frame}]"
        self._check_frame(frame, name)
        return as_index_mask(mask, height=self.height, width=self.width, field=name)
