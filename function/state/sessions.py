"""Sessions across requests, workers and crashes: rebuilt from the store, changed under a lock.

A change writes the new state file under a name of its own, then, by compare-and-set, the record that points to it, so
that a process killed at any moment leaves either the old session or the new one.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from function.http.messages import ApiError, Busy, impossible, not_found, stale
from function.runtime.heap import give_back
from function.runtime.idle import Idle
from function.runtime.timing import phase
from function.settings import Settings
from function.state.frames import FramesMissing, StoredFrames, session_frame_key
from function.state.records import Record
from function.store import Busy as StoreBusy
from function.store import Store
from siaf import Session
from siaf.engines.base import Engine
from siaf.frames.images import decode_image
from siaf.frames.source import frame_digest
from siaf.lru import LruCache
from siaf.session.feature_cache import FeatureCache
from siaf.session.state_file import dump_session, parse_session


class Change:
    """A session being changed. `repeated`: this very request was done before; only its answer was lost."""

    def __init__(self, record: Record, session: Session, repeated: bool) -> None:
        self.record, self.session, self.repeated = record, session, repeated
        self.dirty = False


class Sessions:
    """All sessions of a store, for one model. Unpacked sessions and features are kept here, but only as a cache."""

    def __init__(
        self, model: Engine, store: Store, settings: Settings, features: FeatureCache, idle: Idle | None = None
    ) -> None:
        self.model, self.store, self.settings, self.features = model, store, settings, features
        self._idle = idle
        self._live: LruCache[str, tuple[str | None, Session]] = LruCache(settings.live_sessions)

    @property
    def live_count(self) -> int:
        """Sessions kept unpacked."""
        return len(self._live)

    # -- records and frames ---------------------------------------------------------------------------------------

    def open(self, frames: int, height: int, width: int, name: str | None) -> Record:
        """A new session without frames."""
        record = Record(Record.new_id(), frames, height, width, name)
        self.store.put(f"session/{record.id}/record", record.dump(), self.settings.session_ttl)
        return record

    def record(self, session: str) -> Record:
        """The record of a session, which stays alive by being asked for. Raises ApiError 404."""
        return self._read(session)[0]

    def add_frame(self, session: str, frame: int, data: bytes) -> str:
        """Take an uploaded frame; its digest. Raises ApiError 409 if the frame is known with other content."""
        record = self.record(session)
        self._check_number(record, frame)
        with phase("decode"):
            pixels = decode_image(data, max_pixels=self.settings.max_pixels, field="body")
        if pixels.shape[:2] != (record.height, record.width):
            size = f"{pixels.shape[1]}×{pixels.shape[0]}"
            raise impossible(f"the image is {size} pixels, the session {record.width}×{record.height}", "body")
        digest = frame_digest(pixels)
        with phase("store"):
            self.store.put(session_frame_key(digest, record.height, record.width), data, self.settings.session_ttl)
            self._bind(session, {frame: digest})
        if self._idle is not None:
            self._idle.add(lambda: self.features.full or self.view(session)[1].prepare(frame))
        return digest

    def bind(self, session: str, digests: dict[int, str]) -> list[int]:
        """Bind frames of which the store has the content; the frames that are still missing."""
        record = self.record(session)
        for frame in digests:
            self._check_number(record, frame)
        if not self.settings.share_frames:  # they are another session's
            return self.missing(record)
        new = {frame: digest for frame, digest in digests.items() if frame not in record.digests}
        keys = [session_frame_key(digest, record.height, record.width) for digest in new.values()]
        there = self.store.touch(keys, self.settings.session_ttl)
        held = {frame: digest for (frame, digest), kept in zip(new.items(), there, strict=True) if kept}
        if held:
            record = self._bind(session, held)
        return self.missing(record)

    def missing(self, record: Record) -> list[int]:
        """Frames that were not uploaded, or forgotten since; all others are kept alive."""
        bound = list(record.digests.items())
        keys = [session_frame_key(digest, record.height, record.width) for _, digest in bound]
        there = self.store.touch(keys, self.settings.session_ttl)
        held = {frame for (frame, _), kept in zip(bound, there, strict=True) if kept}
        return [frame for frame in range(record.frames) if frame not in held]

    def of_frame(self, digest: str) -> tuple[Record, int] | None:
        """The session that a frame of this content was last bound to, and its number there."""
        data = self.store.get(f"index/{digest}") if self.settings.share_frames else None
        if data is None:
            return None
        entry = json.loads(data)
        key = Record.key(entry["session"])
        raw = self.store.get(key) if key else None
        return (Record.parse(raw), entry["frame"]) if raw is not None else None

    # -- sessions -------------------------------------------------------------------------------------------------

    def view(self, session: str) -> tuple[Record, Session]:
        """A session to be looked at. Raises ApiError 404 if it was forgotten."""
        record = self.record(session)
        try:
            return record, self._unpacked(record)
        except ApiError:  # another worker may have replaced the state in between
            newer = self.record(session)
            if newer.state == record.state:
                raise
            return newer, self._unpacked(newer)

    def _unpacked(self, record: Record) -> Session:
        live = self._live.get(record.id)
        if live is not None and live[0] == record.state:
            session = live[1]
        else:
            with phase("store"):
                session = self._load(record)
            self._live.put(record.id, (record.state, session))
        assert isinstance(session.frames, StoredFrames)
        session.frames.digests = record.digests
        return session

    @contextmanager
    def change(self, session: str, fingerprint: str = "", revision: int | None = None) -> Iterator[Change]:
        """Change a session alone. What was changed is written if `dirty` was set, and the revision counted if a
        `fingerprint` was given. Raises ApiError 409 if `revision` is not the session's, 503 if another request has it.
        """
        self.record(session)  # 404 before a lock is made
        with self._lock(session):
            record = self.record(session)
            repeated = bool(fingerprint) and fingerprint == record.last
            if revision is not None and revision != record.revision and not repeated:
                raise stale(f"the session is at revision {record.revision}, not {revision}")
            change = Change(record, self._unpacked(record), repeated)
            try:
                yield change
                if change.dirty:
                    with phase("store"):
                        change.record = self._commit(record, change.session, fingerprint)
            except BaseException:
                self._live.pop(session)
                raise

    def require(self, record: Record, frames: list[int]) -> None:
        """Raises FramesMissing unless all of these can be read."""
        missing = set(self.missing(record)).intersection(frames)
        if missing:
            raise FramesMissing(sorted(missing))

    def state(self, session: str) -> bytes:
        """The state file of a session."""
        record, unpacked = self.view(session)
        data = self.store.get(record.state) if record.state else None
        return data if data is not None else dump_session(unpacked)

    def delete(self, session: str) -> None:
        """Forget a session; its frames expire by themselves, as others may share them."""
        record = self.record(session)
        with self._lock(session):
            self.store.delete(f"session/{record.id}/record", *([record.state] if record.state else []))
        self._live.pop(session)

    # -- inside ---------------------------------------------------------------------------------------------------

    def _read(self, session: str) -> tuple[Record, bytes]:
        key = Record.key(session)
        raw = self.store.get(key) if key else None
        if raw is None or key is None:
            raise not_found("there is no such session, or it has expired", "session")
        record = Record.parse(raw)
        self.store.touch([key, *([record.state] if record.state else [])], self.settings.session_ttl)
        return record, raw

    def _update(self, session: str, change: Callable[[Record], Record]) -> Record:
        """Read, change and write a record until nobody comes between."""
        for _ in range(100):
            old, raw = self._read(session)
            new = change(old)
            if new == old or self.store.swap(f"session/{old.id}/record", raw, new.dump(), self.settings.session_ttl):
                return new
        raise Busy("many requests change this session at once")

    def _bind(self, session: str, digests: dict[int, str]) -> Record:
        def add(record: Record) -> Record:
            for frame, digest in digests.items():
                if record.digests.get(frame, digest) != digest:
                    raise stale(f"frame {frame} was uploaded before, with other content", "frame")
            return record.with_frames(digests)

        record = self._update(session, add)
        for frame, digest in digests.items():
            entry = json.dumps({"session": session, "frame": frame}).encode()
            self.store.put(f"index/{digest}", entry, self.settings.session_ttl)
        return record

    @contextmanager
    def _lock(self, session: str) -> Iterator[None]:
        with ExitStack() as held:
            try:
                held.enter_context(self.store.lock(f"session-{session}", self.settings.lock_wait_s))
            except StoreBusy:
                raise Busy("another request is working on this session") from None
            yield

    def _load(self, record: Record) -> Session:
        frames = StoredFrames(
            self.store, record.digests, record.frames, record.height, record.width, self.settings.max_pixels
        )
        if record.state is None:
            return Session(self.model, frames, cache=self.features, digests=record.digests)
        data = self.store.get(record.state)
        if data is None:
            raise not_found("the session's state has expired", "session")
        return parse_session(data, self.model, frames, cache=self.features, digests=record.digests)

    def _commit(self, before: Record, session: Session, fingerprint: str) -> Record:
        data = dump_session(session)
        state = before.state_key(hashlib.blake2b(data, digest_size=16).hexdigest())
        self.store.put(state, data, self.settings.session_ttl)

        def advance(record: Record) -> Record:
            if record.state != before.state or record.revision != before.revision:  # our lock was lost on the way
                raise Busy("another request changed this session")
            if not fingerprint:
                return replace(record, state=state)
            return replace(record, state=state, revision=record.revision + 1, last=fingerprint)

        record = self._update(before.id, advance)
        if before.state and before.state != state:
            self.store.delete(before.state)
        self._live.put(before.id, (state, session))
        give_back()
        return record

    @staticmethod
    def _check_number(record: Record, frame: int) -> None:
        if not 0 <= frame < record.frames:
            raise impossible(f"frame {frame} is not in the video (0 to {record.frames - 1})", "frame")
