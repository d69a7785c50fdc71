"""What a studio has open: one clip, or jobs that are opened as people come."""

import re
import threading
import time
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable

from siaf.engines.base import Engine
from siaf.errors import Busy
from siaf.session.session import Session
from siaf.studio.calls import Calls
from siaf.studio.clip import Clip
from siaf.studio.desk import Desk
from siaf.studio.holding import Holder
from siaf.studio.keeping import SAVED_EVERY_S
from siaf.studio.turns import Turns

MOST_OPEN = 8
"""Jobs that are open at once: each holds up to 0.7 GB of what its frames look like to the network."""
IN_USE_S = 120.0
"""So long after its last call a job is in use: a tab that is not shown asks once a minute."""


class Room:
    """An open clip and its calls."""

    def __init__(self, clip: Clip, session: Session, turns: Turns, saved_every_s: float) -> None:
        self._desk = Desk(clip, session, turns=turns, saved_every_s=saved_every_s)
        self.calls = Calls(clip, self._desk, Holder())

    def close(self) -> None:
        """Save the session and close the clip."""
        self._desk.close()


class Rooms(ABC):
    """The clips of a studio, and where each is: the one at "/" or jobs at "/jobs/N/"."""

    start = "index.html"
    """The file of the page at "/"."""

    @abstractmethod
    def split(self, path: str) -> tuple[int | None, str]:
        """A path as the number of a job and what follows it; None: it is of no job."""

    @abstractmethod
    def enter(self, number: int | None) -> Room | None:
        """An open clip; None: there is none without a number. Raises SiafError if the job cannot be opened."""

    @abstractmethod
    def close(self) -> None:
        """Save and close everything."""


class OneRoom(Rooms):
    """One clip."""

    def __init__(self, clip: Clip, session: Session, saved_every_s: float = SAVED_EVERY_S) -> None:
        self._room = Room(clip, session, Turns(), saved_every_s)

    def split(self, path: str) -> tuple[int | None, str]:
        """All of it."""
        return None, path

    def enter(self, number: int | None) -> Room:
        """The clip."""
        return self._room

    def close(self) -> None:
        """Save and close it."""
        self._room.close()


class JobRooms(Rooms):
    """Jobs that `opened(number)` gives: each has a session of its own, and all share one model, which computes for one
    at a time. At most `most` are open; one that nobody uses is closed for another.
    """

    start = "start.html"

    def __init__(
        self,
        opened: Callable[[int], Clip],
        model: Engine,
        *,
        most: int = MOST_OPEN,
        saved_every_s: float = SAVED_EVERY_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._opened, self._model, self._most = opened, model, most
        self._saved_every_s, self._clock = saved_every_s, clock
        self._turns = Turns()
        self._changed = threading.Condition()
        self._rooms: OrderedDict[int, Room] = OrderedDict()
        self._used: dict[int, float] = {}
        self._coming: set[int] = set()
        self._going: set[int] = set()
        """Jobs that are being opened, and closed: whoever wants one of them waits."""

    def split(self, path: str) -> tuple[int | None, str]:
        """`/jobs/N/…` → N, `/…`."""
        found = re.fullmatch(r"/jobs/([1-9][0-9]{0,8})(/.*)", path)
        return (None, path) if found is None else (int(found[1]), found[2])

    def enter(self, number: int | None) -> Room | None:
        """A job, which is opened unless it is. Raises Busy if as many as there may be are in use."""
        if number is None:
            return None
        with self._changed:
            self._changed.wait_for(lambda: number not in self._coming | self._going)
            if (room := self._find(number)) is not None:
                return room
            leaving = self._leaving()
            self._coming.add(number)
        try:
            if leaving is not None:
                self._leave(*leaving)
            room = self._open(number)
            with self._changed:
                self._rooms[number] = room
                self._used[number] = self._clock()
        finally:
            self._moved(self._coming, number)
        return room

    def close(self) -> None:
        """Save and close all jobs."""
        with self._changed:
            rooms, self._rooms = self._rooms, OrderedDict()
        for room in rooms.values():
            room.close()

    # -- inside ---------------------------------------------------------------------------------------------------

    def _find(self, number: int) -> Room | None:
        room = self._rooms.get(number)
        if room is not None:
            self._rooms.move_to_end(number)
            self._used[number] = self._clock()
        return room

    def _leaving(self) -> tuple[int, Room] | None:
        """The job to close for another one, which is going from now on. Raises Busy if there is no room, nor one to
        close.
        """
        if len(self._rooms) + len(self._coming) < self._most:
            return None
        for number, room in self._rooms.items():
            if self._clock() - self._used[number] >= IN_USE_S:
                del self._rooms[number], self._used[number]
                self._going.add(number)
                return number, room
        raise Busy(f"{self._most} jobs are open here, which is the most, and people work on all; try again later")

    def _leave(self, number: int, room: Room) -> None:
        try:
            room.close()
        finally:
            self._moved(self._going, number)

    def _moved(self, moving: set[int], number: int) -> None:
        with self._changed:
            moving.discard(number)
            self._changed.notify_all()

    def _open(self, number: int) -> Room:
        clip = self._opened(number)
        try:
            return Room(clip, clip.load(self._model), self._turns, self._saved_every_s)
        except BaseException:
            clip.close()
            raise
