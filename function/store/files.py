"""Sessions in a folder that several processes may share."""

import fcntl
import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from function.store.base import Busy, Unavailable
from siaf.errors import InputError
from siaf.files import atomic_write

_SWEEP_S = 60.0
_POLL_S = 0.02
_GUARDS = 64


class FileStore:
    """One file a key. A file's modification time is when it expires, its access time when it was last used.

    Locks are the kernel's (flock), so that they end with the process that holds them, however it ends.
    """

    def __init__(self, folder: str, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._data = Path(folder).expanduser().absolute() / "data"
        self._lock_folder = self._data.parent / "locks"
        self._swept = 0.0
        try:
            for part in (self._data, self._lock_folder):
                part.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"cannot use the folder {folder!r}: {error.strerror}", field="SIAF_STORE") from None

    def get(self, key: str) -> bytes | None:
        path = self._path(key)
        try:
            if not self._renew(path, None):
                return None
            return path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Unavailable(error.strerror or "cannot read") from None

    def put(self, key: str, value: bytes, ttl: float) -> None:
        path = self._path(key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(path) as file:
                file.write(value)
                file.flush()
                now = time.time()
                os.utime(file.fileno(), (now, now + ttl))
        except OSError as error:
            raise Unavailable(error.strerror or "cannot write") from None
        except InputError as error:  # what atomic_write makes of a folder it may not write to
            raise Unavailable(error.message) from None
        if time.monotonic() - self._swept > _SWEEP_S:
            self.sweep()

    def swap(self, key: str, old: bytes | None, new: bytes, ttl: float) -> bool:
        guard = f"guard-{int(hashlib.blake2b(key.encode(), digest_size=4).hexdigest(), 16) % _GUARDS}"
        try:
            with self.lock(guard, 10.0):
                if self.get(key) != old:
                    return False
                self.put(key, new, ttl)
                return True
        except Busy:
            raise Unavailable("a write takes very long") from None

    def touch(self, keys: list[str], ttl: float) -> list[bool]:
        found = []
        for key in keys:
            try:
                found.append(self._renew(self._path(key), ttl))
            except FileNotFoundError:
                found.append(False)
            except OSError as error:
                raise Unavailable(error.strerror or "cannot write") from None
        return found

    def delete(self, *keys: str) -> None:
        for key in keys:
            with suppress(FileNotFoundError):
                self._path(key).unlink()

    @contextmanager
    def lock(self, name: str, wait: float) -> Iterator[None]:
        path = self._lock_folder / name
        deadline = time.monotonic() + wait
        while True:
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                if self._try_lock(handle, path):
                    os.utime(handle)
                    yield
                    return
            finally:
                os.close(handle)
            if time.monotonic() >= deadline:
                raise Busy(name)
            time.sleep(_POLL_S)

    def sweep(self) -> None:
        """Remove what has expired, then what was not used for longest until `max_bytes` suffices."""
        self._swept = time.monotonic()
        now = time.time()
        kept = []
        for path in self._data.rglob("*"):
            with suppress(OSError):
                status = path.stat()
                if path.is_dir():
                    continue
                # A file that is being written is hidden, and young.
                if status.st_mtime <= (now - 3600 if path.name.startswith(".") else now):
                    path.unlink()
                else:
                    kept.append((status.st_atime, status.st_size, path))
        total = sum(size for _, size, _ in kept)
        for _, size, path in sorted(kept, key=lambda entry: entry[0]):
            if total <= self.max_bytes:
                break
            with suppress(OSError):
                path.unlink()
            total -= size
        for path in self._lock_folder.iterdir():
            with suppress(OSError):
                if not path.name.startswith("guard-") and path.stat().st_mtime < now - 86400:
                    path.unlink()

    def _path(self, key: str) -> Path:
        return self._data / key

    @staticmethod
    def _renew(path: Path, ttl: float | None) -> bool:
        """Note the use, and with `ttl` a new end; False if the file has expired."""
        status = path.stat()
        now = time.time()
        if status.st_mtime <= now:
            return False
        os.utime(path, (now, status.st_mtime if ttl is None else now + ttl))
        return True

    @staticmethod
    def _try_lock(handle: int, path: Path) -> bool:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # A sweep may have removed the file while it was being opened: then others lock another one.
            return os.fstat(handle).st_ino == path.stat().st_ino
        except (BlockingIOError, FileNotFoundError):
            return False
