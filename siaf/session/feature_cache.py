"""Encoded frames, kept because a frame's features never change between rounds."""

import hashlib
import os
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from siaf.engines.base import Features

Make = Callable[[Mapping[str, Tensor]], Features]
"""Features from their tensors by name; KeyError if one is missing."""

DEFAULT_BYTES = 512 * 2**20
DEFAULT_DISK_BYTES = 8 * 2**30


def feature_bytes(features: Features) -> int:
    """Size in memory."""
    return sum(int(t.nbytes) for t in features.named().values())


class FeatureCache:
    """Features leave once `max_bytes` is exceeded. Only a cache: losing it costs time.

    Those that others used leave first, least recently used first. Where all were used by the one who brings another,
    the newest but that leaves: a round passes all frames of a clip like the one before it, so of a clip that is too
    long the oldest would always leave just before they are needed again, and none would ever be found.

    With a `folder` they leave to files there, up to `max_disk_bytes`, from where they come back, in later processes
    too. A key must say what the features were made from and with which weights.
    """

    def __init__(
        self,
        max_bytes: int = DEFAULT_BYTES,
        *,
        folder: Path | None = None,
        max_disk_bytes: int = DEFAULT_DISK_BYTES,
    ) -> None:
        self.max_bytes = max_bytes
        self.bytes = 0
        self._entries: OrderedDict[str, tuple[Features, object]] = OrderedDict()
        self._files = _Files(folder, max_disk_bytes) if folder is not None else None

    @property
    def full(self) -> bool:
        """Whether another frame would push one out for good."""
        last = next(reversed(self._entries.values()), None)
        return self._files is None and last is not None and self.bytes + feature_bytes(last[0]) > self.max_bytes

    def get(self, key: str, make: Make, user: object = None) -> Features | None:
        """Features under a key, or None. `make`: what the engine that the key speaks of makes of a file's tensors.
        `user`: whoever needs them now, told apart by identity.
        """
        if key in self._entries:
            features, _ = self._entries[key]
            self._entries[key] = features, user
            self._entries.move_to_end(key)
            return features
        found = self._files.get(key, make) if self._files else None
        if found is not None:
            self.put(key, found, user)
        return found

    def put(self, key: str, features: Features, user: object = None) -> None:
        """Keep features; what exceeds the budget leaves."""
        if key in self._entries:
            return
        self._entries[key] = features, user
        self.bytes += feature_bytes(features)
        while self.bytes > self.max_bytes and len(self._entries) > 1:
            others = (k for k, (_, by) in self._entries.items() if by is not user)
            leaving = next(others, None) or list(self._entries)[-2]
            gone, _ = self._entries.pop(leaving)
            self.bytes -= feature_bytes(gone)
            if self._files:
                self._files.put(leaving, gone)


class _Files:
    """Features as safetensors files; those that were used longest ago are deleted first."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._max_bytes = folder, max_bytes
        found = sorted((path.stat().st_mtime, path.name, path.stat().st_size) for path in folder.glob("*.features"))
        self._sizes = OrderedDict((name, size) for _, name, size in found)

    def get(self, key: str, make: Make) -> Features | None:
        path = self._path(key)
        try:
            found = make(load_file(path))
        except (OSError, SafetensorError, KeyError):  # another process may have deleted it
            self._sizes.pop(path.name, None)
            return None
        with suppress(OSError):
            os.utime(path)
        if path.name in self._sizes:
            self._sizes.move_to_end(path.name)
        return found

    def put(self, key: str, features: Features) -> None:
        path = self._path(key)
        if path.name in self._sizes:
            return
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        try:
            save_file({name: t.cpu().contiguous() for name, t in features.named().items()}, temporary)
            temporary.replace(path)
            self._sizes[path.name] = path.stat().st_size
        except (OSError, SafetensorError):  # a full disk: it is only a cache
            temporary.unlink(missing_ok=True)
            return
        while sum(self._sizes.values()) > self._max_bytes:
            name, _ = self._sizes.popitem(last=False)
            with suppress(OSError):
                (self._folder / name).unlink()

    def _path(self, key: str) -> Path:
        return self._folder / f"{hashlib.blake2b(key.encode(), digest_size=16).hexdigest()}.features"
