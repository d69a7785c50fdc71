"""Where a session lives: in this process here, in a deployed function in siaf.cvat.engines.remote and
siaf.cvat.engines.through_cvat.
"""

from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np

from siaf.cvat.job.frames import JobFrames
from siaf.cvat.rounds.planning import RoundInput
from siaf.masks import IndexMask
from siaf.model.loaded import Model
from siaf.prompts import FramePrompts, Prompts
from siaf.session.adaptation import MIN_FRAMES
from siaf.session.session import Session
from siaf.session.state_file import dump_session, made_with, memories_of, parse_session, read_masks, read_summary

Progress = Callable[[int, int], None]
"""Called with (done, total) frames."""


class Engine(Protocol):
    """One session. All frames are the session's, from 0."""

    def interact(self, prompts: Prompts, labels: Mapping[int, str]) -> dict[int, IndexMask]:
        """One round, as `Session.interact_with`; the masks of its frames. `labels`: the objects' label names by tag."""

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
        self.restarted = state is not None and not made_with(state, memories_of(model.identity))
        if state is None or self.restarted:
            self._session = Session(model, frames, digests=digests)
        else:  # a state of other frames is refused
            self._session = parse_session(state, model, frames, digests=digests)
        if state is not None and self.restarted:
            begin_with_masks(self, state)

    def interact(self, prompts: Prompts, labels: Mapping[int, str]) -> dict[int, IndexMask]:
        """As `Session.interact_with`."""
        masks = self._session.interact_with(prompts)
        for tag, label in labels.items():
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
        """As `siaf.session.state_file.dump_session`."""
        return dump_session(self._session)

    def tags(self) -> list[int]:
        """As the session's object table."""
        return self._session.objects.tags


def begin_with_masks(engine: Engine, state: bytes) -> None:
    """What can be taken over from another model's session: the masks of its interacted frames."""
    kept = read_masks(state)
    masks = {frame: FramePrompts(mask=kept.mask(frame)) for frame in kept.interacted}
    if masks:
        engine.interact(Prompts(masks), {})


def same_frames(state: bytes, session: Session) -> bool:
    """Whether a state is of a session's own clip: as many frames, of its size, the same pictures where people drew."""
    summary = read_summary(state)
    if (summary.frames, summary.height, summary.width) != (len(session.frames), session.height, session.width):
        return False
    return all(session.shows(frame, digest) for frame, digest in summary.digests.items())


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
    given = planned.prompts
    asked = {frame: here.drawn_tags for frame, here in given.drawn.items()}
    both = {f for f in asked.keys() & given.masks.keys() if not _all_fixed(given[f])}
    groups: dict[frozenset[int], list[int]] = {}
    for frame in given.masks:
        groups.setdefault(given[frame].about or frozenset(), []).append(frame)
    drawn = given.drawn_tags
    if not both and (not groups or (len(groups) == 1 and drawn <= next(iter(groups)))):
        engine.interact(given, labels)
        return
    for about, frames in sorted(groups.items(), key=lambda group: (len(group[0]), sorted(group[1]))):
        alone = {frame: FramePrompts(mask=given[frame].mask, about=about) for frame in frames}
        engine.interact(Prompts(alone), labels)
    if not asked:
        return
    unmasked = {frame: FramePrompts(here.strokes, here.boxes) for frame, here in given.drawn.items()}
    found = engine.interact(Prompts(unmasked), labels)
    again = {}
    for frame in both:
        here = given[frame]
        fixed = np.zeros_like(found[frame]) if here.fixed is None else here.fixed
        rest = np.where(np.isin(found[frame], np.unique(fixed[fixed > 0])), 0, found[frame])
        mask = np.where(fixed > 0, fixed, rest).astype(np.uint8)
        # What the strokes gave is on the mask too, but nobody has seen it.
        again[frame] = FramePrompts(mask=mask, about=(here.about or frozenset()) - asked[frame])
    if again:
        engine.interact(Prompts(again), labels)


def _all_fixed(here: FramePrompts) -> bool:
    """Whether the person drew all of a frame's mask."""
    return here.fixed is None or (here.mask is not None and np.array_equal(here.mask, here.fixed))
