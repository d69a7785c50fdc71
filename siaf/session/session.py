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
from siaf.model.probabilities import Probabilities
from siaf.prompts import FramePrompts, Prompts
from siaf.scribbles import Scribble, check_scribbles
from siaf.session.adaptation import Decoder
from siaf.session.annotations import Annotations, Round
from siaf.session.barriers import Barriers
from siaf.session.beyond import Beyond
from siaf.session.confidence import Confidence, suggest_frames
from siaf.session.editing import Edit, apply, free_tag, merge, split, swap
from siaf.session.estimate import estimated_mask, known_mask
from siaf.session.feature_cache import FeatureCache
from siaf.session.fitting import Fitting, verified_frames
from siaf.session.interaction import Interactor
from siaf.session.memory import AcrossRoundMemory
from siaf.session.objects import ObjectTable
from siaf.session.propagation import Carried, Propagator, Repropagate
from siaf.session.schedule import Plan
from siaf.session.shrinking import Shrunk, summarise
from siaf.session.snapshot import SessionSnapshot


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
        self._annotations = Annotations.none(self.height, self.width)
        cache = cache if cache is not None else FeatureCache()
        self._propagator = Propagator(model, self.frames, cache, dict(digests or {}))
        self._interactor, self._fitting = Interactor(self._propagator), Fitting(self._propagator)

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
        return verified_frames(self._annotations)

    @property
    def adapts(self) -> bool:
        """Whether `adapt` is worth its time: there is a verified mask, and the network is one that it helps. Who has
        no wish of their own calls it then, before `propagate`.
        """
        return self._fitting.pays(self._annotations)

    @property
    def decoder(self) -> Decoder | None:
        """What came of the last `adapt`, of this round or one before; None if there was none."""
        return self._annotations.decoder

    @property
    def pending(self) -> int:
        """Frames that `propagate` still has to do for the present round."""
        return self._propagator.plan.total - self._propagator.plan.done

    @property
    def plan(self) -> Plan:
        """What the present round's propagation makes, in which order, and how far it has come; only to be read."""
        return self._propagator.plan

    def mask(self, frame: int) -> IndexMask:
        """Index mask of a frame, uint8 H×W: the user's, else the newest propagated one, else all background."""
        frame_number(frame, len(self.frames), "frame")
        return self._or_background(known_mask(frame, self._annotations, self._propagator))

    def frame_digest(self, frame: int) -> str:
        """Content digest of a frame's pixels."""
        return self._propagator.encoded.digest(frame)

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
        now = self._annotations.copy()
        now.let_go()
        for tag in sorted(given.tags):
            now.objects.add(tag)
        result = {**given.masks, **self._interactor.masks(given, now, self.rounds)}
        now.take_round(len(self.rounds) + 1, given, result, self.confidence)
        self._interactor.forget_previews()
        self.rounds.append(Round.of(given, self._annotations))
        self._annotations = now
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
        Raises InputError if no mask is verified, or if the model has no decoder of this kind.
        """
        self._fitting.check(self._annotations)
        return self._adapt()

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
        frame_number(frame, len(self.frames), "frame")
        strokes = strokes_of_frame(scribbles, "scribbles")
        check_scribbles(strokes, height=self.height, width=self.width)
        given = FramePrompts(strokes, dict(boxes or {}))
        return self._interactor.preview(frame, given, previous, self._annotations)

    def preview_round(
        self, prompts: Prompts, elsewhere: Collection[int] = (), *, close_ups: bool = True
    ) -> dict[int, IndexMask]:
        """The index masks that `interact_with` would give now; the session stays as it is. Raises as that does.

        The round that follows takes less time. `elsewhere`: tags of what else will be in it, on other frames; they
        decide which places in the network new objects get, and so what of a preview is of use to the round. Without
        `close_ups` the masks are there sooner, and small objects' edges are coarser.
        """
        given = prompts.checked(frames=len(self.frames), height=self.height, width=self.width)
        now = self._annotations.copy()
        for tag in sorted(given.tags.union(elsewhere)):
            now.objects.add(tag)
        for tag in set(elsewhere) - given.tags - set(self.objects.tags):
            now.objects.discard(tag)
        return {**given.masks, **self._interactor.masks(given, now, self.rounds, close_ups=close_ups)}

    def estimate_mask(self, frame: int) -> IndexMask:
        """Index mask of a frame, as `mask`; but where none was propagated yet, what the memory alone finds there."""
        return self._or_background(estimated_mask(frame, self._annotations, self._propagator))

    def set_propagated_mask(self, frame: int, mask: IndexMask) -> None:
        """Take a mask as if it had been propagated to this frame: the next round on the frame starts from it."""
        name = f"references[{frame}]"
        frame_number(frame, len(self.frames), name)
        self._propagator.put(frame, as_index_mask(mask, height=self.height, width=self.width, field=name))

    def prepare(self, frame: int) -> bool:
        """Encode a frame while there is time, so that the round that needs it waits less; masks stay the same.

        False, and nothing done, where the cache of features has no room for another frame.
        """
        frame_number(frame, len(self.frames), "frame")
        return self._propagator.encoded.prepare(frame)

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

    def beyond(self) -> Beyond:
        """What follows objects onto pictures that are none of the session's frames; until the next round."""
        return Beyond(self._propagator, self._annotations)

    def undo(self) -> None:
        """Take back the last round; the frames it touched are as before, the others are to be propagated again."""
        if not self.rounds:
            raise InputError("there is no round to undo", field="round")
        self._annotations = self.rounds.pop().before
        self._propagator.erase_other_tags(self.objects.tags)
        self._propagator.carry(self.memory.carried, self.objects)
        self._replan(self.within)

    def remove_object(self, tag: int) -> None:
        """Forget an object: its pixels become background everywhere, other objects stay as they are."""
        self.objects.remove(tag)
        self._annotations.erase(tag)
        for past in self.rounds:
            past.erase(tag)
        self._propagator.forget(tag, self.objects.tags)
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
        from siaf.session.state_file import parse_memories

        self._annotations.objects, memories, grid = parse_memories(state, self.model)
        self._propagator.carry(memories, self.objects, grid)
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

    def _edit(self, edit: Edit, keep: Collection[int]) -> None:
        snapshot = self.snapshot()
        apply(snapshot, edit, self.frame_digest, keep)
        self.restore(snapshot)

    def _take_over(self, carried: Carried) -> None:
        """Objects that were carried to an interacted frame become part of its mask."""
        now, frame, tags = self._annotations, carried.frame, carried.walk.adopts
        if carried.mask is not None:
            now.adopt(frame, carried.mask, tags, self._interactor.standing(frame, now, self.rounds))
            self._propagator.took_over(carried, now)
        now.take_over(frame, tags)

    def _adapt(self) -> Iterator[tuple[int, int]]:
        now = self._annotations
        for work in self._fitting.steps(now):
            if work.finished:
                self._take_decoder(work.decoder)
            yield work.done, work.total
            if self._annotations is not now:  # a new round began while the caller held this generator
                return

    def _take_decoder(self, decoder: Decoder) -> None:
        before, self._annotations.decoder = self._annotations.decoder, decoder
        if decoder.version != (before.version if before else ""):
            self._annotations.let_go()
            self._replan(self.within)

    def _replan(self, within: range | None) -> None:
        self._propagator.restart(self._annotations, within)
        self.revision += 1

    def _or_background(self, mask: IndexMask | None) -> IndexMask:
        return np.zeros((self.height, self.width), np.uint8) if mask is None else mask
