"""Sessions in Redis: for several replicas."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

import redis
from redis.exceptions import LockError, RedisError

from function.store.base import Busy, Unavailable
from siaf.errors import InputError

PREFIX = "siaf:"
_LEASE_S = 4.0
"""A lock outlives a killed holder by this much at most."""

_SWAP = """
if redis.call('GET', KEYS[1]) == (ARGV[1] == '1' and ARGV[2] or false) then
  redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4])
  return 1
end
return 0
"""

P = ParamSpec("P")
R = TypeVar("R")


def _available(
    method: Callable[Concatenate["RedisStore", P], R],
) -> Callable[Concatenate["RedisStore", P], R]:
    @wraps(method)
    def guarded(self: "RedisStore", /, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return method(self, *args, **kwargs)
        except RedisError as error:
            raise Unavailable(f"Redis: {type(error).__name__}: {error}") from None

    return guarded


class RedisStore:
    """One Redis key a key. What leaves when memory is short is Redis' own business (`maxmemory`, `volatile-lru`)."""

    def __init__(self, url: str) -> None:
        times = {"socket_timeout": 10, "socket_connect_timeout": 5, "health_check_interval": 30}
        try:
            self._client = redis.Redis.from_url(url, **times)
            self._swap = self._client.register_script(_SWAP)
            self._ping()
        except (ValueError, TypeError) as error:  # what the client says of an address that is none
            # Its words may hold a part of the password.
            raise InputError(f"not an address of a Redis ({type(error).__name__})", field="SIAF_STORE") from None

    @_available
    def _ping(self) -> None:
        self._client.ping()

    @_available
    def get(self, key: str) -> bytes | None:
        value = self._client.get(PREFIX + key)
        return value if isinstance(value, bytes) else None

    @_available
    def put(self, key: str, value: bytes, ttl: float) -> None:
        self._client.set(PREFIX + key, value, px=_ms(ttl))

    @_available
    def swap(self, key: str, old: bytes | None, new: bytes, ttl: float) -> bool:
        return bool(self._swap(keys=[PREFIX + key], args=[int(old is not None), old or b"", new, _ms(ttl)]))

    @_available
    def touch(self, keys: list[str], ttl: float) -> list[bool]:
        pipeline = self._client.pipeline(transaction=False)
        for key in keys:
            pipeline.pexpire(PREFIX + key, _ms(ttl))
        return [bool(found) for found in pipeline.execute()]

    @_available
    def delete(self, *keys: str) -> None:
        if keys:
            self._client.unlink(*(PREFIX + key for key in keys))

    @contextmanager
    def lock(self, name: str, wait: float) -> Iterator[None]:
        lock = self._client.lock(f"{PREFIX}lock/{name}", timeout=_LEASE_S, sleep=0.02, thread_local=False)
        try:
            if not lock.acquire(blocking_timeout=wait):
                raise Busy(name)
        except RedisError as error:
            raise Unavailable(f"Redis: {type(error).__name__}: {error}") from None
        over = threading.Event()

        def renew() -> None:
            while not over.wait(_LEASE_S / 4):
                # A lease that was lost is noticed when the holder writes: its compare-and-set fails.
                with suppress(LockError, RedisError):
                    lock.reacquire()

        heartbeat = threading.Thread(target=renew, daemon=True)
        heartbeat.start()
        try:
            yield
        finally:
            over.set()
            heartbeat.join()
            with suppress(LockError, RedisError):
                lock.release()


def _ms(ttl: float) -> int:
    return max(1, int(ttl * 1000))
