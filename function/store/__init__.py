"""Where sessions live between requests: bytes under keys, in memory, in a folder, or in Redis."""

from function.store.base import Busy, Store, Unavailable
from function.store.files import FileStore
from function.store.memory import MemoryStore

__all__ = ["Busy", "FileStore", "MemoryStore", "Store", "Unavailable", "open_store"]


def open_store(url: str, max_bytes: int) -> Store:
    """The store that `url` names: `memory:`, `file:DIR` or `redis://…`.

    Raises InputError naming SIAF_STORE if it cannot be used, Unavailable if Redis does not answer.
    """
    if url == "memory:":
        return MemoryStore(max_bytes)
    if url.startswith("file:"):
        return FileStore(url.removeprefix("file:"), max_bytes)
    from function.store.redis import RedisStore  # its client is only needed by those who use it

    return RedisStore(url)
