"""The one bounded cache: what was used longest ago leaves first.

Caches with a policy of their own stay where that policy is told: encoded frames (a clip that is too long would push out
just what it needs next), the store in memory (entries expire).
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


def _one(value: object) -> int:
    return 1


class LruCache(Generic[K, V]):
    """At most `room` entries, or as many as have the total `size` of `room`; one that is larger than that is not kept.

    Not for threads that work at once.
    """

    def __init__(self, room: int, size: Callable[[V], int] = _one) -> None:
        self.room = room
        self._size = size
        self._used = 0
        self._entries: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K) -> V | None:
        """An entry, which is thereby used; None if it is not there."""
        if key not in self._entries:
            return None
        self._entries.move_to_end(key)
        return self._entries[key]

    def put(self, key: K, value: V) -> None:
        """Keep an entry, in the place of one of this key."""
        self.pop(key)
        self._entries[key] = value
        self._used += self._size(value)
        while self._used > self.room:
            self.pop(next(iter(self._entries)))

    def pop(self, key: K) -> V | None:
        """Take an entry out; None if it is not there."""
        if key not in self._entries:
            return None
        value = self._entries.pop(key)
        self._used -= self._size(value)
        return value

    def clear(self) -> None:
        """Take all out."""
        self._entries.clear()
        self._used = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: object) -> bool:
        return key in self._entries

    def __iter__(self) -> Iterator[K]:
        return iter(self._entries)

    def values(self) -> list[V]:
        """All entries, those used longest ago first."""
        return list(self._entries.values())
