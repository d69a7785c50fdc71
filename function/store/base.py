"""What a store can do."""

from contextlib import AbstractContextManager
from typing import Protocol


class Busy(Exception):
    """Somebody else holds the lock."""


class Unavailable(Exception):
    """The store does not answer, or has no room."""


class Store(Protocol):
    """Bytes under keys, each forgotten some seconds after its last use, and locks that die with their holder.

    Keys are slash-separated words of letters, digits, `-` and `_`. Every write is whole or not at all. All methods may
    raise Unavailable.
    """

    def get(self, key: str) -> bytes | None:
        """The bytes, or None if there are none (any more)."""

    def put(self, key: str, value: bytes, ttl: float) -> None:
        """Write, to be kept for `ttl` seconds."""

    def swap(self, key: str, old: bytes | None, new: bytes, ttl: float) -> bool:
        """Write only if the bytes are still `old` (None: there are none); whether it did."""

    def touch(self, keys: list[str], ttl: float) -> list[bool]:
        """Keep these for another `ttl` seconds; which of them there are."""

    def delete(self, *keys: str) -> None:
        """Forget these, if they are there."""

    def lock(self, name: str, wait: float) -> AbstractContextManager[None]:
        """Hold `name` alone, over all processes. Raises Busy if that takes more than `wait` seconds."""
