"""A store in a folder that others can reach."""

import os
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from function.store import FileStore
from function.store.base import Unavailable


def test_a_folder_that_was_removed_is_made_again(tmp_path: Path) -> None:
    import shutil

    store = FileStore(str(tmp_path / "store"), 2**20)
    store.put("a/b", b"x", 60)
    shutil.rmtree(tmp_path / "store")
    assert store.get("a/b") is None
    with store.lock("l", 1):
        store.put("a/b", b"y", 60)
    assert store.get("a/b") == b"y"
    shutil.rmtree(tmp_path / "store")
    store.sweep()
    store.delete("a/b")
    assert store.touch(["a/b"], 60) == [False]


def test_one_that_cannot_be_made_again_is_unavailable(tmp_path: Path) -> None:
    import shutil

    store = FileStore(str(tmp_path / "store"), 2**20)
    shutil.rmtree(tmp_path / "store")
    (tmp_path / "store").write_text("in the way")
    for call in (lambda: store.put("a", b"x", 60), lambda: store.swap("a", None, b"x", 60)):
        with pytest.raises(Unavailable):
            call()


def test_empty_folders_leave(tmp_path: Path) -> None:
    store = FileStore(str(tmp_path), 2**20)
    store.put("a/b/c", b"x", 0.01)
    store.put("a/d", b"x", 60)
    time.sleep(0.05)
    store.sweep()
    assert [p.name for p in (tmp_path / "data").rglob("*")] == ["a", "d"]


@pytest.mark.parametrize("spoil", [lambda d: d[:-1], lambda d: d[:-1] + b"?", lambda d: b"", lambda d: d[9:]])
def test_a_damaged_entry_is_absent(tmp_path: Path, spoil: Callable[[bytes], bytes]) -> None:
    store = FileStore(str(tmp_path), 2**20)
    store.put("a", b"some bytes", 60)
    path = tmp_path / "data" / "a"
    times = path.stat().st_atime, path.stat().st_mtime
    path.write_bytes(spoil(path.read_bytes()))
    os.utime(path, times)
    assert store.get("a") is None
    assert store.swap("a", None, b"new", 60)
    assert store.get("a") == b"new"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    store = FileStore(str(tmp_path / "store"), 2**20)
    store.put("a/b", b"x", 60)
    with store.lock("l", 1):
        pass
    for path in (tmp_path / "store").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_no_request_waits_for_a_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, swept, go = FileStore(str(tmp_path), 2**20), threading.Event(), threading.Event()
    monkeypatch.setattr(store, "_sweep", lambda: (go.wait(10), swept.set()))
    store._swept = -1e9
    store.put("a", b"x", 60)
    assert not swept.is_set()
    go.set()
    assert swept.wait(10)
