"""Sessions in this process: gone when it ends."""

import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

from function.store.base import Busy


class MemoryStore:
    """A dictionary whose least recently used entries leave once `max_bytes` is exceeded."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.bytes = 0
        self._entries: OrderedDict[str, tuple[bytes, float]] = OrderedDict()
        self._guard = threading.RLock()
        self._locks: dict[str, tuple[threading.Lock, int]] = {}

    def get(self, key: str) -> bytes | None:
        with self._guard:
            entry = self._entries.get(key)
            if entry is None or entry[1] <= time.monotonic():
                self.delete(key)
                return None
            self._entries.move_to_end(key)
            return entry[0]

    def put(self, key: str, value: bytes, ttl: float) -> None:
        with self._guard:
            self.delete(key)
            self._entries[key] = (value, time.monotonic() + ttl)
            self.bytes += len(value)
            if self.bytes > self.max_bytes:
                self._shrink()

    def swap(self, key: str, old: bytes | None, new: bytes, ttl: float) -> bool:
        with self._guard:
            if self.get(key) != old:
                return False
            self.put(key, new, ttl)
            return True

    def touch(self, keys: list[str], ttl: float) -> list[bool]:
        with self._guard:
            found = [self.get(key) is not None for key in keys]
            for key in {key for key, there in zip(keys, found, strict=True) if there}:
                self._entries[key] = (self._entries[key][0], time.monotonic() + ttl)
            return found

    def delete(self, *keys: str) -> None:
        with self._guard:
            for key in keys:
                entry = self._entries.pop(key, None)
                if entry is not None:
                    self.bytes -= len(entry[0])

    @contextmanager
    def lock(self, name: str, wait: float) -> Iterator[None]:
        with self._guard:
            lock, users = self._locks.get(name, (threading.Lock(), 0))
            self._locks[name] = (lock, users + 1)
        try:
            if not lock.acquire(timeout=wait):
                raise Busy(name)
            try:
                yield
            finally:
                lock.release()
        finally:
            with self._guard:
                lock, users = self._locks[name]
                if users == 1:
                    del self._locks[name]
                else:
                    self._locks[name] = (lock, users - 1)

    def _shrink(self) -> None:
        """Expired entries first, then the oldest; the entry just written stays."""
        now = time.monotonic()
        self.delete(*[key for key, (_, until) in self._entries.items() if until <= now])
        while self.bytes > self.max_bytes and len(self._entries) > 1:
            self.delete(next(iter(self._entries)))
