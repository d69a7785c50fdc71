"""What every store must do, shown for all three."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis_server import redis_server

from function.store import Busy, FileStore, MemoryStore, Store, Unavailable, open_store
from siaf.errors import InputError

MIB = 2**20


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    with redis_server() as url:
        yield url


@pytest.fixture(params=["memory", "file", "redis"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "redis":
        return str(request.getfixturevalue("redis_url"))
    return {"memory": "memory:", "file": f"file:{tmp_path}"}[request.param]


@pytest.fixture
def store(url: str) -> Store:
    return open_store(url, 100 * MIB)


def test_what_was_put_is_there_until_it_is_deleted(store: Store) -> None:
    store.put("a/b", b"\x00one", 60)
    store.put("a/c", b"two", 60)
    assert (store.get("a/b"), store.get("a/c"), store.get("a/d")) == (b"\x00one", b"two", None)
    store.delete("a/b", "a/nothing")
    assert (store.get("a/b"), store.get("a/c")) == (None, b"two")


def test_it_is_forgotten_when_its_time_is_over(store: Store) -> None:
    store.put("short", b"1", 0.2)
    store.put("renewed", b"2", 0.2)
    assert store.touch(["short", "renewed", "absent"], 0.2) == [True, True, False]
    assert store.touch(["renewed"], 60) == [True]
    time.sleep(0.3)
    assert (store.get("short"), store.get("renewed")) == (None, b"2")
    assert store.touch(["short"], 60) == [False]


def test_swap_writes_only_over_what_it_knows(store: Store) -> None:
    assert store.swap("key", None, b"1", 60)
    assert not store.swap("key", None, b"2", 60)
    assert not store.swap("key", b"0", b"2", 60)
    assert store.swap("key", b"1", b"2", 60)
    assert store.get("key") == b"2"
    store.delete("key")
    assert not store.swap("key", b"2", b"3", 60)


def test_many_swaps_at_once_lose_nothing(url: str, store: Store) -> None:
    others = [store] if url == "memory:" else [store, open_store(url, 100 * MIB)]
    store.put("counter", b"0", 60)

    def count(mine: Store) -> None:
        for _ in range(20):
            while True:
                old = mine.get("counter")
                assert old is not None
                if mine.swap("counter", old, str(int(old) + 1).encode(), 60):
                    break

    threads = [threading.Thread(target=count, args=(others[i % len(others)],)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.get("counter") == b"80"


def test_a_lock_is_held_alone(store: Store) -> None:
    with store.lock("one", 1), store.lock("other", 1), pytest.raises(Busy), store.lock("one", 0.1):
        pass
    with store.lock("one", 0.1):
        pass


def test_a_waiting_one_gets_the_lock_when_it_is_free(store: Store) -> None:
    order = []

    def second() -> None:
        with store.lock("turn", 5):
            order.append("second")

    with store.lock("turn", 1):
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(0.2)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def _hold(url: str, ready: Any) -> None:
    with open_store(url, MIB).lock("held", 1):
        ready.set()
        time.sleep(60)


@pytest.mark.parametrize("url", ["file", "redis"], indirect=True)
def test_a_lock_dies_with_its_holder(url: str, store: Store) -> None:
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    holder = context.Process(target=_hold, args=(url, ready))
    holder.start()
    assert ready.wait(10)
    time.sleep(2)  # a lease is renewed as long as its holder lives
    with pytest.raises(Busy), store.lock("held", 0.1):
        pass
    assert holder.pid is not None
    os.kill(holder.pid, signal.SIGKILL)
    holder.join()
    with store.lock("held", 6):
        pass


class TestCap:
    """Full stores drop what was not used for longest."""

    @pytest.mark.parametrize("make", [MemoryStore, None])
    def test_the_least_recently_used_leaves_first(
        self, make: Callable[[int], MemoryStore] | None, tmp_path: Path
    ) -> None:
        store = make(10_000) if make else FileStore(str(tmp_path), 10_000)
        for name in "abc":
            store.put(name, bytes(3000), 60)
            time.sleep(0.01)
        store.get("a")
        store.put("d", bytes(3000), 60)
        if isinstance(store, FileStore):
            store.sweep()
        assert [name for name in "abcd" if store.get(name) is not None] == ["a", "c", "d"]

    def test_what_has_expired_leaves_the_disk(self, tmp_path: Path) -> None:
        store = FileStore(str(tmp_path), MIB)
        store.put("old", b"x", 0.05)
        store.put("new", b"x", 60)
        time.sleep(0.1)
        store.sweep()
        assert [path.name for path in tmp_path.rglob("*") if path.is_file() and "lock" not in str(path)] == ["new"]

    def test_a_file_that_is_being_written_is_left_alone(self, tmp_path: Path) -> None:
        store = FileStore(str(tmp_path), MIB)
        part = tmp_path / "data" / ".key.abc.part"
        part.write_bytes(b"half")
        store.sweep()
        assert part.exists()


class TestTrouble:
    """A store that cannot be used says so."""

    def test_a_folder_that_cannot_be_made(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(InputError, match="SIAF_STORE: cannot use the folder"):
            open_store(f"file:{tmp_path}/file", MIB)

    def test_a_redis_that_does_not_answer(self) -> None:
        with pytest.raises(Unavailable, match="Redis"):
            open_store("redis://127.0.0.1:1/0", MIB)

    def test_a_full_disk(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        store = FileStore(str(tmp_path), MIB)
        store.put("key", b"before", 60)

        def full(*args: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(Unavailable, match="No space left"):
            store.put("key", b"after", 60)
        assert store.get("key") == b"before"
