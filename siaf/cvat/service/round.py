"""One round that somebody asked for, as its caller follows it."""

import json
import threading
import time
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, Literal

State = Literal["waiting", "running", "done", "failed", "cancelled", "interrupted"]
ACTIVE = ("waiting", "running")
STOPPED = "the service was stopped before this round was done: ask again, it goes on where it was"
_READING, _PLACING, _WRITING = 1, 5, 95
"""Per cent when the job is read, when the session is told, when masks are written; between these, frames count."""


@dataclass
class Round:
    """`percent` 0 to 100; `left_s` seconds that the propagation still takes, once that can be told; `ahead` rounds that
    come before. `report` is the `SyncReport` or `ControlReport` of one that is done, `lines` the same for people;
    `error` has code, message, field and, if the round has questions, those.
    """

    id: str
    job: int
    by: str
    state: State = "waiting"
    asked: float = field(default_factory=time.time)
    started: float | None = None
    ended: float | None = None
    percent: int = 0
    left_s: float | None = None
    ahead: int = 0
    message: str = "waiting"
    report: dict[str, Any] | None = None
    lines: list[str] = field(default_factory=list)
    error: dict[str, Any] | None = None
    stop: threading.Event = field(default_factory=threading.Event, repr=False, compare=False)
    _first: tuple[float, int] | None = field(default=None, repr=False, compare=False)

    @property
    def active(self) -> bool:
        """Whether it waits or runs."""
        return self.state in ACTIVE

    @property
    def asked_at(self) -> str:
        """When, for people: UTC."""
        return datetime.fromtimestamp(self.asked, UTC).strftime("%H:%M:%S UTC")

    def begin(self) -> None:
        """A replica has taken it."""
        self.state, self.started, self.ahead = "running", time.time(), 0
        self.percent, self.message = _READING, "reading the job"

    def placing(self) -> None:
        """The job is read, the session opens."""
        self.percent, self.message = _PLACING, "placing the objects"

    def changing(self) -> None:
        """Masks are changed without a propagation."""
        self.percent, self.message = _PLACING, "changing masks"

    def progress(self, done: int, total: int) -> None:
        """So many frames are filled."""
        now = time.monotonic()
        if self._first is None:
            self._first = (now, done)
        since, before = self._first
        if done > before:
            self.left_s = round((now - since) / (done - before) * (total - done), 1)
        self.percent = _PLACING + (_WRITING - _PLACING) * done // max(1, total)
        self.message = f"frame {done} of {total}" if done < total else "writing masks"

    def end(self, state: State, message: str) -> None:
        """It waits and runs no more."""
        self.ended, self.left_s, self.message = time.time(), None, message
        self.percent = 100 if state == "done" else self.percent
        self.state = state  # last: whoever sees it sees the rest

    def as_json(self) -> dict[str, Any]:
        """For the caller and the store."""
        shown = [f.name for f in fields(self) if f.name != "stop" and not f.name.startswith("_")]
        message = self.message
        if self.state == "waiting" and self.ahead:
            message = f"waiting; {self.ahead} other round{'s are' if self.ahead > 1 else ' is'} before it"
        elif self.active and self.stop.is_set():
            message = "stopping at the next frame"
        return {**{name: getattr(self, name) for name in shown}, "message": message}

    def dump(self) -> bytes:
        """For the store."""
        return json.dumps(self.as_json()).encode()

    @classmethod
    def parse(cls, data: bytes) -> "Round | None":
        """The inverse of `dump`; None for what is damaged: it is a notice, nothing depends on it."""
        try:
            return cls(**json.loads(data))
        except (ValueError, TypeError):
            return None
