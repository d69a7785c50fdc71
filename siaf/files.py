"""Files and folders that appear whole or not at all: written next to their place, then renamed into it."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from os import PathLike
from pathlib import Path
from typing import BinaryIO

from siaf.errors import InputError

_NOT_WRITABLE = frozenset(
    {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EEXIST, errno.EISDIR}
)


@contextmanager
def atomic_write(path: str | PathLike[str]) -> Iterator[BinaryIO]:
    """A binary file to write to, which replaces `path` when the block ends well.

    If the block fails, or the disk is full, what was at `path` before stays. Raises InputError, naming "out",
    if the folder cannot be written to; other OSErrors pass.
    """
    target = Path(path)
    with _naming(target):
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
    try:
        os.close(handle)
        with open(name, "wb") as file:  # by its name, which not every system can do without
            # mkstemp's files are private, what a plain open() makes is not.
            os.chmod(name, 0o666 & ~_umask())
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise
    _sync_folder(target.parent)


@contextmanager
def staged_folder(folder: str | PathLike[str]) -> Iterator[Path]:
    """An empty folder to write to; its entries replace `folder`'s of the same name when the block ends well.

    `folder` is created if necessary. Other entries in it stay. If the block fails, everything stays as it
    was. Raises InputError, naming "out", if `folder` is not a folder or cannot be written to; other OSErrors
    pass.
    """
    target = Path(folder)
    created = not target.exists()
    with _naming(target):
        target.mkdir(parents=True, exist_ok=True)
        stage = Path(tempfile.mkdtemp(prefix=".siaf-", suffix=".part", dir=target))
    try:
        content = stage / "new"
        content.mkdir()
        yield content
        _sync_tree(content)
        _move_in(content, target, stage / "old")
    except BaseException:
        shutil.rmtree(stage, ignore_errors=True)
        if created:
            with suppress(OSError):
                target.rmdir()
        raise
    shutil.rmtree(stage, ignore_errors=True)
    _sync_folder(target)


def _move_in(content: Path, target: Path, aside: Path) -> None:
    """Exchange the entries one by one; when one cannot be moved, put back those that were."""
    aside.mkdir()
    moved: list[str] = []
    try:
        for entry in sorted(content.iterdir()):
            if (target / entry.name).exists():
                os.replace(target / entry.name, aside / entry.name)
            moved.append(entry.name)
            os.replace(entry, target / entry.name)
    except OSError:
        for name in reversed(moved):
            if (target / name).exists():
                os.replace(target / name, content / name)
            if (aside / name).exists():
                os.replace(aside / name, target / name)
        raise


@contextmanager
def _naming(target: Path) -> Iterator[None]:
    """A place that cannot be written to is the caller's mistake; a full disk is not."""
    try:
        yield
    except OSError as error:
        if error.errno not in _NOT_WRITABLE:
            raise
        raise InputError(f"cannot write to {target}: {error.strerror}", field="out") from None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync_tree(folder: Path) -> None:
    for entry in folder.rglob("*"):
        if entry.is_dir():
            _sync_folder(entry)
        else:
            with entry.open("rb+") as file:
                os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Make the rename itself last; not every system can open a folder."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
