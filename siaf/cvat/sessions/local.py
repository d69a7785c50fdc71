"""Sessions in this process."""

from collections.abc import Callable, Mapping, Sequence

from siaf.cvat.job.frames import JobFrames
from siaf.cvat.sessions.base import JobSession, Progress, SessionFactory, begin_with_masks
from siaf.engines.base import Engine
from siaf.masks import IndexMask
from siaf.prompts import Prompts
from siaf.session.session import Session
from siaf.session.state_file import dump_session, made_with, memories_of, parse_session, read_summary


class LocalSession:
    """A session in this process."""

    def __init__(self, model: Engine, frames: JobFrames, state: bytes | None, digests: dict[int, str]) -> None:
        self._digests = digests
        self.restarted = state is not None and not made_with(state, memories_of(model.identity))
        if state is None or self.restarted:
            self._session = Session(model, frames, digests=digests)
        else:  # a state of other frames is refused
            self._session = parse_session(state, model, frames, digests=digests)
        if state is not None and self.restarted:
            begin_with_masks(self, state)

    @property
    def session(self) -> Session:
        """The session itself."""
        return self._session

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

    def limit(self, within: range | None, barriers: Sequence[int]) -> None:
        """As the session's own."""
        self._session.barriers = barriers
        self._session.within = within

    def propagate(self, progress: Progress, adapt: bool | None = None) -> None:
        """As `Session.adapt`, where it pays, and `Session.propagate`."""
        if self._session.adapts if adapt is None else adapt and self._session.verified:
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


def same_frames(state: bytes, session: Session) -> bool:
    """Whether a state is of a session's own clip: as many frames, of its size, the same pictures where people drew."""
    summary = read_summary(state)
    if (summary.frames, summary.height, summary.width) != (len(session.frames), session.height, session.width):
        return False
    return all(session.shows(frame, digest) for frame, digest in summary.digests.items())


def local_sessions(load: Callable[[], Engine]) -> SessionFactory:
    """Sessions in this process; `load` is called when the first is needed."""
    models: list[Engine] = []

    def make(frames: JobFrames, state: bytes | None, memo: dict[str, str], digests: dict[int, str]) -> JobSession:
        if not models:
            models.append(load())
        return LocalSession(models[0], frames, state, digests)

    return make
