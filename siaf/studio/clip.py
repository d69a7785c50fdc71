"""What a studio is opened on: frames, a place where the session is kept, and what objects may be called."""

import os
from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from filelock import FileLock, Timeout

from siaf.engines.base import Engine
from siaf.errors import InputError, SiafError, StateError
from siaf.frames.source import FrameSource, frame_digest, open_video
from siaf.session.session import Session

ENDING = ".siaf"


@dataclass(frozen=True)
class Label:
    """A name that an object may have, with its colour, "#rrggbb"."""

    name: str
    color: str


@dataclass(frozen=True)
class JobInfo:
    """A CVAT job as the page shows it. `url` leads to it in CVAT; `written_at`: ISO time of the last writing."""

    id: int
    task: int
    server: str
    url: str
    read_only: bool
    written_at: str | None


class Unopened(InputError):
    """A clip that cannot be opened. `status`: of HTTP, as whoever has it would answer."""

    def __init__(self, message: str, *, field: str, status: int) -> None:
        super().__init__(message, field=field)
        self.status = status


class Clip(ABC):
    """A clip and the place of its session.

    `load`, `save` and `write` are called by the one thread that owns the session, properties by any.

    `name` is for people and names exported files; `key` names the session in a browser: the same whenever this clip is
    opened, another for any other. `frames` are read by the session; the page reads from `frames.another()`, in another
    thread. `place` says where the session is kept. `labels`: what objects may be called, [] for anything.
    """

    name: str
    key: str
    frames: FrameSource
    place: str
    labels: Sequence[Label] = ()

    @property
    def notes(self) -> Sequence[str]:
        """Lines that a person should read once."""
        return self.frames.notes

    @property
    def job(self) -> JobInfo | None:
        """The CVAT job, if it is one."""
        return None

    def kept_frames(self, tags: Collection[int]) -> Collection[int]:
        """Frames that stay as they are when one of these objects becomes another: people made its mask elsewhere."""
        return ()

    @abstractmethod
    def load(self, model: Engine) -> Session:
        """The session as it was kept, a new one if there is none. Raises StateError for one that does not fit."""

    @abstractmethod
    def save(self, session: Session) -> None:
        """Keep it, whole or not at all. Raises SiafError or OSError; it is tried again later."""

    def write(self, session: Session) -> list[str]:
        """Write the session's masks to where the clip came from; lines that say what was done. Raises SiafError."""
        raise InputError("only a CVAT job can be written to; export the masks instead", field="job")

    def close(self) -> None:  # noqa: B027 – not every clip holds something
        """Let go of what was opened."""


class VideoClip(Clip):
    """A video file, a picture or a folder of pictures; its session is a file, by default VIDEO.siaf beside it."""

    def __init__(self, path: Path, state: Path | None = None) -> None:
        self.frames = open_video(path)
        whole = path.resolve()
        self.name = path.name or whole.name
        self.state = whole.with_name(whole.name + ENDING) if state is None else state.resolve()
        self.place = str(self.state)
        if not self.state.parent.is_dir():
            raise InputError(f"there is no folder {self.state.parent}", field="session")
        files = [whole / name for name in self.frames.names or ()] if whole.is_dir() else [whole]
        size = f"{len(self.frames)}|{self.frames.width}|{self.frames.height}|{sum(f.stat().st_size for f in files)}"
        content = f"{whole}|{size}|{frame_digest(self.frames[0])}"
        self.key = blake2b(content.encode(errors="surrogateescape"), digest_size=12).hexdigest()
        self._lock = FileLock(self.state.with_name(f".{self.state.name}.lock"), thread_local=False)
        self._notes: list[str] = []
        self._hold()

    @property
    def notes(self) -> Sequence[str]:
        """Those of the frames, and that nothing can be kept, if so."""
        return [*self.frames.notes, *self._notes]

    def load(self, model: Engine) -> Session:
        """From the file, if it is there."""
        if not self.state.exists():
            return Session(model, self.frames)
        try:
            return Session.load(self.state, model, self.frames)
        except StateError as error:
            raise StateError(f"{error.message}; --new begins anew, and keeps this one", field=error.field) from None

    def save(self, session: Session) -> None:
        """To the file, by rename."""
        session.save(self.state)

    def set_aside(self) -> Path | None:
        """Rename the session that is kept, so that a new one begins; where it is now, None if there was none."""
        if not self.state.exists():
            return None
        number = 1
        while (place := self.state.with_name(f"{self.state.name}.{number}")).exists():
            number += 1
        os.replace(self.state, place)
        return place

    def close(self) -> None:
        """Others may open it."""
        if self._lock.is_locked:
            Path(self._lock.lock_file).unlink(missing_ok=True)  # while it is ours
        self._lock.release()

    def _hold(self) -> None:
        """Two studios on one session would each undo what the other saved."""
        try:
            self._lock.acquire(blocking=False)
        except Timeout:
            raise InputError(f"{self.name} is open in another studio; end that one first", field="video") from None
        except OSError as error:
            self._notes.append(
                f"The session cannot be kept in {self.state.parent} ({error.strerror or error}):"
                " start the studio with --session FILE to keep it elsewhere."
            )


def open_clip(path: Path, state: Path | None = None) -> VideoClip:
    """A video, a folder of pictures, or the session file of one, which lies beside it and ends in .siaf.

    Raises InputError naming "video".
    """
    if path.suffix == ENDING and path.is_file():
        if state is not None:
            raise InputError(f"{path} is a session; give its video, and the session with --session", field="video")
        video = path.with_suffix("")
        if not video.exists():
            raise InputError(
                f"{path} is a session, and {video.name} is not beside it; give the video, and the session with"
                " --session",
                field="video",
            )
        path, state = video, path
    try:
        return VideoClip(path, state)
    except OSError as error:
        raise SiafError(f"{path}: {error.strerror or error}") from None
