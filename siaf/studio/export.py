"""A session's masks as files that other tools read."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from siaf.frames.source import FrameSource
from siaf.session.objects import ObjectInfo
from siaf.session.session import Session
from siaf.session.snapshot import SessionMasks
from siaf.session.state_file import dump_session, read_masks


@dataclass(frozen=True)
class Work:
    """What is exported, as it was at one moment. `frames` are the caller's own to read; `colors`: "#rrggbb" by tag;
    `state`: the session as the bytes of a state file.
    """

    name: str
    frames: FrameSource
    masks: SessionMasks
    objects: Sequence[ObjectInfo]
    colors: Mapping[int, str]
    state: bytes

    @classmethod
    def of(cls, session: Session, name: str, frames: FrameSource, colors: Mapping[int, str]) -> "Work":
        """A session as it is now."""
        state = dump_session(session)
        objects = [session.objects[tag] for tag in session.objects.tags]
        return cls(name, frames, read_masks(state), objects, colors, state)


def _siaf(work: Work, folder: Path) -> Path:
    path = folder / f"{work.name}.siaf"
    path.write_bytes(work.state)
    return path


FORMATS: dict[str, Callable[[Work, Path], Path]] = {"siaf": _siaf}
"""By name, what writes a format into an empty folder: the file that it made."""
