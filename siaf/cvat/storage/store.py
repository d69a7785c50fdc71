"""Where sessions and ledgers of jobs are kept: a folder, or any URL that fsspec knows (s3://, gs://, …)."""

import hashlib
import json
import os
import re
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import fsspec

from siaf.cvat.job.ledger import Ledger
from siaf.cvat.server.connection import Json
from siaf.errors import Busy, InputError, SiafError, StateError
from siaf.files import atomic_write

LEASE_S = 300.0
"""A lock that was not renewed for so long belongs to a sync that died."""
KEPT_ROUNDS = 5
"""So many of the last rounds of a job can be taken back: each keeps a state."""
_SETTLE_S = 0.5
_mine: set[str] = set()


def default_store() -> str:
    """SIAF_STORE, else a folder in the user's state directory."""
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return os.environ.get("SIAF_STORE") or str(Path(state) / "siaf" / "cvat")


class StateStore:
    """A place for jobs of any CVAT servers. People who work on the same jobs use the same store.

    Raises InputError, naming "store", if the URL or the folder cannot be used.
    """

    def __init__(self, url: str) -> None:
        try:
            self._fs, self._root = fsspec.core.url_to_fs(url)
            self._fs.makedirs(self._root, exist_ok=True)
        except (ValueError, ImportError, OSError) as error:
            raise InputError(f"cannot use {url!r} ({error})", field="store") from None
        self._local = "file" in (self._fs.protocol if isinstance(self._fs.protocol, tuple) else (self._fs.protocol,))

    def job(self, server: str, number: int) -> "JobStore":
        """The job's own place. Servers are told apart by host and port."""
        return JobStore(self, f"{self._root}/{_folder_of(server)}/job-{number}", number)

    def note(self, server: str, name: str) -> "Note":
        """A small file of a server, beside its jobs."""
        return Note(self, f"{self._root}/{_folder_of(server)}/{name}.json")

    def read(self, path: str) -> bytes | None:
        """A file's content, None if there is no such file."""
        try:
            return bytes(self._fs.cat_file(path))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise InputError(f"cannot read {path} ({error})", field="store") from None

    def write(self, path: str, data: bytes) -> None:
        """Write a file as a whole: local files by rename, and object stores put objects as wholes."""
        try:
            if self._local:
                Path(path).parent.mkdir(parents=True, exist_ok=True)
                with atomic_write(path) as file:
                    file.write(data)
            else:
                self._fs.pipe_file(path, data)
        except OSError as error:
            raise InputError(f"cannot write {path} ({error})", field="store") from None

    def create(self, path: str, data: bytes) -> bool:
        """Write a file unless it exists; a store that cannot promise that is asked afterwards who wrote last."""
        if self._local:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            try:
                with open(path, "xb") as file:
                    file.write(data)
            except FileExistsError:
                return False
            return True
        if self._fs.exists(path):
            return False
        self.write(path, data)
        time.sleep(_SETTLE_S)
        return self.read(path) == data

    def delete(self, path: str) -> None:
        """Delete a file if it is there."""
        with suppress(FileNotFoundError):
            self._fs.rm_file(path)

    def names(self, folder: str) -> list[str]:
        """File names in a folder."""
        self._fs.invalidate_cache()
        try:
            return [path.rsplit("/", 1)[-1] for path in self._fs.ls(folder, detail=False)]
        except FileNotFoundError:
            return []


def _folder_of(server: str) -> str:
    return urlsplit(server).netloc.replace(":", "_").lower()


class Note:
    """A small file in a store."""

    def __init__(self, store: StateStore, path: str) -> None:
        self._store, self._path = store, path

    def read(self) -> bytes | None:
        """Its content, None if it is not there."""
        return self._store.read(self._path)

    def write(self, data: bytes) -> None:
        """Replace its content."""
        self._store.write(self._path, data)


class JobStore:
    """Ledger, session state and lock of one job."""

    def __init__(self, store: StateStore, folder: str, number: int) -> None:
        self._store = store
        self._folder = folder
        self._job = number
        self._still_mine: Callable[[], None] = lambda: None

    @property
    def place(self) -> str:
        """Where they are, for people."""
        return self._folder

    def ledger(self) -> Ledger:
        """The job's ledger; an empty one if there is none. Raises StateError if it is damaged."""
        path = f"{self._folder}/ledger.json"
        data = self._store.read(path)
        return Ledger(self._job) if data is None else Ledger.parse(data, path)

    def save(self, ledger: Ledger, state: bytes | None = None) -> None:
        """Save the ledger, together with a new state: either both are there afterwards, or both as before.

        Within `locked`, raises Busy instead if somebody else has taken the job over: theirs is newer.
        """
        self._still_mine()
        if state is not None:
            ledger.state = f"state-{hashlib.blake2b(state, digest_size=8).hexdigest()}.siaf"
            self._store.write(f"{self._folder}/{ledger.state}", state)
            self._still_mine()
        self._store.write(f"{self._folder}/ledger.json", ledger.dump())
        if state is not None:
            self._still_mine()
            self._sweep(ledger)

    def state(self, ledger: Ledger) -> bytes | None:
        """The session's state that goes with the ledger. Raises SiafError if it is lost."""
        if ledger.state is None:
            return None
        data = self._store.read(f"{self._folder}/{ledger.state}")
        if data is None:
            raise SiafError(
                f"the store has lost {self._folder}/{ledger.state}; put that file back, or delete the folder "
                f"{self._folder}, then either import what siaf cvat export-state wrote for job {self._job}, or delete "
                "the job's automatic masks in CVAT and sync from what people drew"
            )
        return data

    # -- rounds that can be taken back ----------------------------------------------------------------------------

    def keep_before(self, number: int) -> None:
        """Keep the ledger and the state that the store has now: how the job stood before round `number`."""
        data = self._store.read(f"{self._folder}/ledger.json") or Ledger(self._job).dump()
        state = Ledger.parse(data, "ledger.json").state
        self._still_mine()
        for name in self._kept("before"):
            if _number(name) >= number or _number(name) <= number - KEPT_ROUNDS:
                self._store.delete(f"{self._folder}/{name}")
        for name in self._kept("scribbles"):
            if _number(name) <= number - KEPT_ROUNDS:
                self._store.delete(f"{self._folder}/{name}")
        self._store.write(f"{self._folder}/before-{number:06d}-{state or 'none'}.json", data)

    def before(self, number: int) -> Ledger | None:
        """The ledger as `keep_before` kept it; its state is kept too. None if it was not, or no longer is."""
        for name in self._kept("before"):
            path = f"{self._folder}/{name}"
            data = self._store.read(path) if _number(name) == number else None
            if data is not None:
                return Ledger.parse(data, path)
        return None

    def forget_before(self, number: int, ledger: Ledger) -> None:
        """Round `number` was taken back: what was kept for that goes, and states that nothing names any more."""
        for name in (*self._kept("before"), *self._kept("scribbles")):
            if _number(name) >= number:
                self._store.delete(f"{self._folder}/{name}")
        self._sweep(ledger)

    def keep_scribbles(self, number: int, shapes: Sequence[Json], tracks: Sequence[Json]) -> None:
        """Keep scribbles that are about to be removed from the job after round `number`."""
        before = self.scribbles(number)
        content = {"shapes": [*before["shapes"], *shapes], "tracks": [*before["tracks"], *tracks]}
        self._store.write(f"{self._folder}/scribbles-{number:06d}.json", json.dumps(content).encode())

    def scribbles(self, number: int) -> dict[str, list[Json]]:
        """Shapes and tracks that `keep_scribbles` kept. Raises StateError if they are damaged."""
        path = f"{self._folder}/scribbles-{number:06d}.json"
        data = self._store.read(path)
        if data is None:
            return {"shapes": [], "tracks": []}
        try:
            content = json.loads(data)
            return {"shapes": list(content["shapes"]), "tracks": list(content["tracks"])}
        except (ValueError, KeyError, TypeError) as error:
            raise StateError(f"damaged: {error}", field=path) from None

    def _kept(self, kind: str) -> list[str]:
        return [name for name in self._store.names(self._folder) if re.fullmatch(rf"{kind}-\d{{6}}\b.*\.json", name)]

    def _sweep(self, ledger: Ledger) -> None:
        """Delete states that neither the ledger nor a round that can be taken back names."""
        named = {ledger.state, *(name.split("-", 2)[2].removesuffix(".json") for name in self._kept("before"))}
        for name in self._store.names(self._folder):
            if name.startswith("state-") and name not in named:
                self._store.delete(f"{self._folder}/{name}")

    @contextmanager
    def locked(self, *, wait_s: float = 0.0) -> Iterator[Callable[[], None]]:
        """Only one sync at a time. Gives a function that raises Busy if somebody else has taken the job over.

        That function reads the lease: this process may have slept past its end, and knows nothing of it. Raises Busy,
        saying who holds the job, once `wait_s` seconds have passed.
        """
        token = uuid.uuid4().hex
        path = f"{self._folder}/lock.json"
        deadline = time.monotonic() + wait_s
        ended, lost = threading.Event(), threading.Event()

        def renew() -> None:
            while not lost.is_set() and not ended.wait(LEASE_S / 5):
                with suppress(SiafError):  # a store that is away for a moment: the lease is longer than that
                    if self._lease(path).get("token") == token:
                        self._store.write(path, _lease(token))
                    else:
                        lost.set()

        def still_mine() -> None:
            lease = self._lease(path)
            slept = lease.get("token") == token and _is_over(lease)
            if lease.get("token") != token or (slept and not self._take(path, token)):
                lost.set()
                raise Busy(f"{self._holder(path)} took over job {self._job}")

        _mine.add(token)
        try:
            while not self._try(path, token):
                if time.monotonic() >= deadline:
                    raise Busy(f"another sync is working on job {self._job} ({self._holder(path)})")
                time.sleep(min(1.0, max(0.05, deadline - time.monotonic())))
            renewal = threading.Thread(target=renew, daemon=True)
            renewal.start()
            self._still_mine = still_mine
            try:
                yield still_mine
            finally:
                self._still_mine = lambda: None
                ended.set()
                renewal.join()
        finally:
            _mine.discard(token)
            if self._lease(path).get("token") == token:
                self._store.delete(path)

    def _try(self, path: str, token: str) -> bool:
        if self._store.create(path, _lease(token)):
            return True
        lease = self._lease(path)
        if not lease:  # being written just now, or nobody finished writing it
            time.sleep(_SETTLE_S)
            lease = self._lease(path)
        if lease and not _is_dead(lease):
            return False
        return self._take(path, token)

    def _take(self, path: str, token: str) -> bool:
        self._store.write(path, _lease(token))  # two may take over a dead one's lock at once: the last writer has it
        time.sleep(_SETTLE_S)
        return bool(self._lease(path).get("token") == token)

    def _lease(self, path: str) -> dict[str, str]:
        try:
            return dict(json.loads(self._store.read(path) or b"{}"))
        except ValueError:
            return {}

    def _holder(self, path: str) -> str:
        lease = self._lease(path)
        return f"process {lease.get('pid', '?')} on {lease.get('host', '?')}"


def _number(name: str) -> int:
    """The round in the name of a kept file."""
    return int(name.split("-")[1].split(".")[0])


def _lease(token: str) -> bytes:
    lease = {
        "token": token,
        "host": socket.gethostname(),
        "pid": str(os.getpid()),
        "until": str(time.time() + LEASE_S),
    }
    return json.dumps(lease).encode()


def _is_over(lease: dict[str, str]) -> bool:
    return float(lease["until"]) < time.time()


def _is_dead(lease: dict[str, str]) -> bool:
    try:
        if _is_over(lease):
            return True
        if lease["host"] != socket.gethostname():
            return False
        if int(lease["pid"]) == os.getpid():  # a container's first process has the same number every time
            return lease["token"] not in _mine
        os.kill(int(lease["pid"]), 0)
    except ProcessLookupError:
        return True
    except (KeyError, ValueError):
        return True
    except PermissionError:
        return False
    return False
