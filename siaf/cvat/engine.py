"""Where a session lives: in this process here, in a deployed function in siaf.cvat.remote and siaf.cvat.through."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from siaf.adaptation import MIN_FRAMES
from siaf.boxes import Box
from siaf.cvat.frames import JobFrames
from siaf.cvat.results import Results
from siaf.cvat.rounds import RoundInput
from siaf.masks import IndexMask
from siaf.network import Model
from siaf.scribbles import Scribble
from siaf.session import Session
from siaf.state import dump_session, made_with, memories_of, parse_session, read_document

Progress = Callable[[int, int], None]
"""Called with (done, total) frames."""


@dataclass(frozen=True)
class Interaction:
    """What a session is told at once, as `Session.interact`; `labels` are the objects' label names by tag."""

    strokes: Mapping[int, Sequence[Scribble]] = field(default_factory=dict)
    boxes: Mapping[int, Mapping[int, Box]] = field(default_factory=dict)
    references: Mapping[int, IndexMask] = field(default_factory=dict)
    about: Mapping[int, set[int]] = field(default_factory=dict)
    labels: Mapping[int, str] = field(default_factory=dict)


class Engine(Protocol):
    """One session. All frames are the session's, from 0."""

    def interact(self, call: Interaction) -> dict[int, IndexMask]:
        """One round; the masks of its frames."""

    def remove_object(self, tag: int) -> None:
        """Forget an object that the session has."""

    def inherit(self, state: bytes) -> None:
        """Start from another job's state; only for a session without objects.

        Of the same frames, the session itself goes on; of others, its objects and memory.
        """

    def propagate(self, progress: Progress, adapt: bool = False) -> None:
        """Fill all other frames; goes on where it was stopped. `adapt`: first learn from verified masks, if there are
        enough.

        Raises InputError naming "adapt" if this engine cannot.
        """

    def suggest(self) -> list[int]:
        """Frames most worth annotating next."""

    def state(self) -> bytes:
        """The session as the content of a state file."""

    def tags(self) -> list[int]:
        """Objects that the session has."""

    @property
    def restarted(self) -> bool:
        """Whether the state was of another model, input size or precision: the session began again from the masks of
        its interacted frames.
        """


class EngineFactory(Protocol):
    """Makes the engine of a job, resumed from `state` if there is one; `memo` is the engine's own note of last time."""

    def __call__(self, frames: JobFrames, state: bytes | None, memo: dict[str, str], digests: dict[int, str]) -> Engine:
        """Raises StateError if the state does not fit."""


class LocalEngine:
    """A session in this process."""

    def __init__(self, model: Model, frames: JobFrames, state: bytes | None, digests: dict[int, str]) -> None:
        self._digests = digests
        self.restarted = state is not None and not made_with(state, memories_of(model))
        if state is None or self.restarted:
            self._session = Session(model, frames, digests=digests)
        else:  # a state of other frames is refused
            self._session = parse_session(state, model, frames, digests=digests)
        if state is not None and self.restarted:
            begin_with_masks(self, state)

    def interact(self, call: Interaction) -> dict[int, IndexMask]:
        """As `Session.interact`."""
        masks = self._session.interact(call.strokes, call.references, call.boxes, call.about)
        for tag, label in call.labels.items():
            if tag in self._session.objects:
                self._session.objects.add(tag, label)
        return masks

    def remove_object(self, tag: int) -> None:
        """As `Session.remove_object`."""
        self._session.remove_object(tag)

    def inherit(self, state: bytes) -> None:
        """As `Session.inherit`, or as `parse_session` for the same frames."""
        if same_frames(state, self._session):
            self._session = parse_session(state, self._session.model, self._session.frames, digests=self._digests)
        else:
            self._session.inherit(state)

    def propagate(self, progress: Progress, adapt: bool = False) -> None:
        """As `Session.adapt`, with two verified masks or more, and `Session.propagate`."""
        if adapt and len(self._session.verified) >= MIN_FRAMES:
            for _ in self._session.adapt():
                progress(0, self._session.pending)
        for done, total in self._session.propagate():
            progress(done, total)
        if self._session.rounds:
            self._digests.update({f: self._session.frame_digest(f) for f in range(len(self._session.frames))})

    def suggest(self) -> list[int]:
        """As `Session.suggest`."""
        return self._session.suggest()

    def state(self) -> bytes:
        """As `siaf.state.dump_session`."""
        return dump_session(self._session)

    def tags(self) -> list[int]:
        """As the session's object table."""
        return self._session.objects.tags


def begin_with_masks(engine: Engine, state: bytes) -> None:
    """What can be taken over from another model's session: the masks of its interacted frames."""
    results = Results(state)
    masks = {frame: results.mask(frame) for frame in results.interacted}
    if masks:
        engine.interact(Interaction(references=masks))


def same_frames(state: bytes, session: Session) -> bool:
    """Whether a state is of a session's own clip: as many frames, of its size, the same pictures where people drew."""
    document = read_document(state)
    if (document["frames"], document["height"], document["width"]) != (
        len(session.frames),
        session.height,
        session.width,
    ):
        return False
    return all(session.shows(int(f), digest) for f, digest in document["digests"].items())


def local_engines(load: Callable[[], Model]) -> EngineFactory:
    """Sessions in this process; `load` is called when the first is needed."""
    models: list[Model] = []

    def make(frames: JobFrames, state: bytes | None, memo: dict[str, str], digests: dict[int, str]) -> Engine:
        if not models:
            models.append(load())
        return LocalEngine(models[0], frames, state, digests)

    return make


def run_round(engine: Engine, planned: RoundInput) -> None:
    """One round of a job, in as few calls as say exactly what was drawn.

    Corrected frames that do not speak for the round's new objects come first, before those exist. A frame with both
    strokes and a corrected mask takes two calls more: strokes may change what siaf had there, not what a human drew.
    Boxes are as strokes.
    """
    labels = {tag: known.label for tag, known in planned.objects.items()}
    references, fixed, strokes = planned.references, planned.fixed, planned.strokes
    boxes = planned.boxes
    asked = {f: {s.tag for s in strokes.get(f, ()) if s.tag} | {*boxes.get(f, ())} for f in {*strokes, *boxes}}
    both = {f for f in asked.keys() & references.keys() if not np.array_equal(references[f], fixed[f])}
    groups: dict[frozenset[int], dict[int, IndexMask]] = {}
    for frame, mask in references.items():
        groups.setdefault(frozenset(planned.about[frame]), {})[frame] = mask
    drawn = {tag for tags in asked.values() for tag in tags}
    if not both and (not groups or (len(groups) == 1 and drawn <= next(iter(groups)))):
        engine.interact(Interaction(strokes, boxes, references, planned.about, labels))
        return
    for about, masks in sorted(groups.items(), key=lambda group: (len(group[0]), sorted(group[1]))):
        spoken = {frame: set(about) for frame in masks}
        engine.interact(Interaction(references=masks, about=spoken, labels=labels))
    if not asked:
        return
    found = engine.interact(Interaction(strokes, boxes, labels=labels))
    again = {}
    for frame in both:
        rest = np.where(np.isin(found[frame], np.unique(fixed[frame][fixed[frame] > 0])), 0, found[frame])
        again[frame] = np.where(fixed[frame] > 0, fixed[frame], rest).astype(np.uint8)
    if again:
        # What the strokes gave is on the mask too, but nobody has seen it.
        spoken = {f: planned.about[f] - asked[f] for f in both}
        engine.interact(Interaction(references=again, about=spoken, labels=labels))
