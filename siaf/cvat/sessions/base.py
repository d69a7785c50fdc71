"""What a sync needs of a session, wherever it lives: in this process (`local`), in a function (`remote`), or in a
function behind CVAT (`through_cvat`).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from siaf.cvat.job.frames import JobFrames
from siaf.masks import IndexMask
from siaf.prompts import FramePrompts, Prompts
from siaf.session.state_file import read_masks

Progress = Callable[[int, int], None]
"""Called with (done, total) frames."""


class JobSession(Protocol):
    """The session of one job. All frames are the session's, from 0."""

    def interact(self, prompts: Prompts, labels: Mapping[int, str]) -> dict[int, IndexMask]:
        """One round, as `Session.interact_with`; the masks of its frames. `labels`: the objects' label names by tag."""

    def remove_object(self, tag: int) -> None:
        """Forget an object that the session has."""

    def inherit(self, state: bytes) -> None:
        """Start from another job's state; only for a session without objects.

        Of the same frames, the session itself goes on; of others, its objects and memory.
        """

    def limit(self, within: range | None, barriers: Sequence[int]) -> None:
        """Where masks are propagated, and what nothing crosses, as `Session.within` and `Session.barriers`.

        Raises InputError naming "frames" or "barriers" if this one cannot.
        """

    def propagate(self, progress: Progress, adapt: bool | None = None) -> None:
        """Fill all other frames; goes on where it was stopped. `adapt`: first learn from verified masks, if there are
        some and it pays (`Session.adapts`); None: if this one can, and is not set otherwise.

        Raises InputError naming "adapt" if this one cannot.
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


class SessionFactory(Protocol):
    """Opens the session of a job, from `state` if there is one; `memo` is the session's own note of last time."""

    def __call__(
        self, frames: JobFrames, state: bytes | None, memo: dict[str, str], digests: dict[int, str]
    ) -> JobSession:
        """Raises StateError if the state does not fit."""


def begin_with_masks(session: JobSession, state: bytes) -> None:
    """What can be taken over from another model's session: the masks of its interacted frames."""
    kept = read_masks(state)
    masks = {frame: FramePrompts(mask=kept.mask(frame)) for frame in kept.interacted}
    if masks:
        session.interact(Prompts(masks), {})
