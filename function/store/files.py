"""Sessions in a folder that several processes may share."""

import hashlib
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from blake3 import blake3
from filelock import FileLock, Timeout

from function.store.base import Busy, Unavailable
from siaf.errors import InputError
from siaf.files import atomic_write

_SWEEP_S = 60.0
_POLL_S = 0.02
_GUARDS = 64
_MAGIC = b"siaf1\n"
_DIGEST = 16
_PRIVATE_FILE, _PRIVATE_FOLDER = 0o600, 0o700
_BREATH = 200
"""Files after which a sweep lets others work: it runs beside requests."""


class FileStore:
    """One file a key. A file's modification time is when it expires, its access time when it was last used.

    A file begins with a digest of the rest: one that is damaged counts as absent. Files and folders are this user's
    only. Locks are the kernel's, so that they end with the process that holds them, however it ends. A folder
    that somebody removed is made again.
    """

    def __init__(self, folder: str, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._data = Path(folder).expanduser().absolute() / "data"
        self._lock_folder = self._data.parent / "locks"
        self._swept = time.monotonic()
        self._sweeping = threading.Lock()
        try:
            for part in (self._data, self._lock_folder):
                part.mkdir(_PRIVATE_FOLDER, parents=True, exist_ok=True)
                with suppress(PermissionError):  # another user's, who lets us in
                    part.chmod(_PRIVATE_FOLDER)
        except OSError as error:
            raise InputError(f"cannot use the folder {folder!r}: {error.strerror}", field="SIAF_STORE") from None

    def get(self, key: str) -> bytes | None:
        path = self._path(key)
        try:
            if not self._renew(path, None):
                return None
            return _unsealed(path.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Unavailable(error.strerror or "cannot read") from None

    def put(self, key: str, value: bytes, ttl: float) -> None:
        path = self._path(key)
        for attempt in (1, 2):
            try:
                _make_folders(path.parent, self._data.parent)
                with atomic_write(path) as file:
                    os.chmod(file.name, _PRIVATE_FILE)
                    file.write(_MAGIC)
                    file.write(blake3(value).digest(length=_DIGEST))
                    file.write(value)
                    file.flush()
                    now = time.time()
                    os.utime(file.name, (now, now + ttl))
                break
            except OSError as error:
                raise Unavailable(error.strerror or "cannot write") from None
            except InputError as error:  # what atomic_write makes of a folder it may not write to
                if attempt == 2:  # a sweep may have removed the folder just then
                    raise Unavailable(error.message) from None
        if time.monotonic() - self._swept > _SWEEP_S and self._sweeping.acquire(blocking=False):
            self._swept = time.monotonic()
            threading.Thread(target=self._sweep_beside, name="sweep", daemon=True).start()

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
            try:
                self._path(key).unlink(missing_ok=True)
            except OSError as error:
                raise Unavailable(error.strerror or "cannot delete") from None

    @contextmanager
    def lock(self, name: str, wait: float) -> Iterator[None]:
        path = self._lock_folder / name
        held = FileLock(path, mode=_PRIVATE_FILE)  # of this call alone: threads exclude each other as processes do
        try:
            _make_folders(path.parent, self._data.parent)
            held.acquire(timeout=wait, poll_interval=_POLL_S)
        except Timeout:
            raise Busy(name) from None
        except OSError as error:
            raise Unavailable(error.strerror or "cannot lock") from None
        try:
            with suppress(FileNotFoundError):  # a sweep removes locks that nobody has taken for long
                os.utime(path)
            yield
        finally:
            held.release()

    def sweep(self) -> None:
        """Remove what has expired, then what was not used for longest until `max_bytes` suffices; then empty folders.

        Of the processes that share the folder one sweeps at a time.
        """
        with suppress(Busy, Unavailable), self.lock("guard-sweep", 0):
            self._sweep()

    def _sweep_beside(self) -> None:
        try:
            self.sweep()
        finally:
            self._sweeping.release()

    def _sweep(self) -> None:
        now = time.time()
        kept = []
        for number, entry in enumerate(_files(self._data)):
            if number % _BREATH == _BREATH - 1:
                time.sleep(0.001)
            with suppress(OSError):
                status = entry.stat(follow_symlinks=False)
                # A file that is being written is hidden, and young.
                if status.st_mtime <= (now - 3600 if entry.name.startswith(".") else now):
                    os.unlink(entry.path)
                else:
                    kept.append((status.st_atime, status.st_size, entry.path))
        total = sum(size for _, size, _ in kept)
        for _, size, path in sorted(kept):
            if total <= self.max_bytes:
                break
            with suppress(OSError):
                os.unlink(path)
            total -= size
        for folder, _, _ in os.walk(self._data, topdown=False):
            if folder != str(self._data):
                with suppress(OSError):  # most are not empty
                    os.rmdir(folder)
        for entry in _files(self._lock_folder):
            with suppress(OSError):
                if not entry.name.startswith("guard-") and entry.stat().st_mtime < now - 86400:
                    os.unlink(entry.path)

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


def _make_folders(folder: Path, root: Path) -> None:
    """A folder and those above it up to `root`, for this user only."""
    if not folder.is_dir():
        if folder != root:
            _make_folders(folder.parent, root)
        folder.mkdir(_PRIVATE_FOLDER, parents=True, exist_ok=True)


def _files(folder: Path) -> Iterator[os.DirEntry[str]]:
    """All files below a folder; those of a folder that is gone are none."""
    waiting = [str(folder)]
    while waiting:
        with suppress(FileNotFoundError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                else:
                    yield entry


def _unsealed(data: bytes) -> bytes | None:
    """What was put into a file; None if that is damaged."""
    start = len(_MAGIC) + _DIGEST
    value = data[start:]
    whole = data.startswith(_MAGIC) and data[len(_MAGIC) : start] == blake3(value).digest(length=_DIGEST)
    return value if whole else None
