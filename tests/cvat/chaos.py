"""Rounds on jobs while everything breaks: the annotations end as those of undisturbed rounds.

python tests/cvat/chaos.py 40

For each seed a job on the stand-in, two rounds with human work in between, written as masks or as tracks, by `sync` or
by `carry`; or, by `bulk`, two jobs and a task of two. At random requests: refused, cut after it was done, answered 504
and done some requests later, 429 with and without Retry-After, 503, a page of HTML, a client that is killed, a client
that sleeps before it sends or saves while another one takes the job over and finishes. Afterwards: annotations as
without all this, human shapes as they were drawn, nothing doubled, and a ledger that knows exactly siaf's shapes.
"""

import argparse
import copy
import json
import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from bench import Bench, Pictures, check_ledger
from standin import StandIn
from standin_http import Answer, Request

from siaf.cvat import commands
from siaf.cvat.rounds import bulk
from siaf.cvat.rounds.report import SyncReport
from siaf.cvat.server import connection, faults
from siaf.cvat.server.connection import Server, connect
from siaf.cvat.server.faults import ServerFault
from siaf.cvat.sessions.base import SessionFactory
from siaf.cvat.sessions.local import local_sessions
from siaf.cvat.storage import store
from siaf.cvat.storage.store import JobStore, StateStore
from siaf.cvat.writing import changes as writing
from siaf.errors import Busy
from siaf.model.loaded import Model
from siaf.weights import build_model

BOX = [0.0, 300.0, 30.0, 30.0, 44.0, 49.0]
CASES = (("sync", "mask"), ("sync", "polygon-track"), ("carry", "mask"), ("bulk", "mask"))
_BROKEN: tuple[str | int | Answer, ...] = (
    "refuse",
    "drop",
    "late",
    "late",
    "late",
    503,
    Answer(429, {"detail": "Request was throttled."}, headers=[("Retry-After", "1")]),
    Answer(429, b"", "text/plain"),
    Answer(200, b"<html>maintenance</html>", "text/html"),
)
_MOST_ATTEMPTS = 60


class Killed(BaseException):
    """The process is gone: nothing that it would do afterwards is done."""


class Chaos:
    """Faults at random requests and saves of the rounds of a play; `happened` counts them by kind."""

    def __init__(self, bench: Bench, standin: StandIn, seed: int) -> None:
        self._bench = bench
        self._standin = standin
        self._random = random.Random(seed)
        self._left = 0
        self._dead = False
        self._asleep = False
        self.jobs: list[int] = []
        self.run: Any = None
        self.happened: Counter[str] = Counter()

    @contextmanager
    def breaking(self, faults_left: int) -> Iterator[None]:
        """So many faults at most while this is on."""
        self._left = faults_left
        once, save, write, delete = Server._once, JobStore.save, StateStore.write, StateStore.delete
        chaos = self

        def broken_once(server: Server, *args: Any, **kwargs: Any) -> bytes:
            chaos._client_breaks()
            data = once(server, *args, **kwargs)
            chaos._client_breaks(may_sleep=False)
            return data

        def broken_save(jobs: JobStore, *args: Any) -> None:
            chaos._client_breaks()
            save(jobs, *args)

        def only_alive(do: Any) -> Any:
            return lambda *args: None if chaos._dead else do(*args)

        self._standin.fault = self._server_breaks
        with (
            patch.object(Server, "_once", broken_once),
            patch.object(JobStore, "save", broken_save),
            patch.object(StateStore, "write", only_alive(write)),
            patch.object(StateStore, "delete", only_alive(delete)),
        ):
            yield
        self._standin.fault = lambda request: None

    def round(self, faults_left: int) -> None:
        """One round, repeated until it is done."""
        with self.breaking(faults_left):
            for _ in range(_MOST_ATTEMPTS):
                self._dead = False
                try:
                    self.run()
                    return
                except (ServerFault, Busy, Killed):
                    continue
        raise AssertionError("the round never ended")

    def _strikes(self, chance: float) -> bool:
        if self._left <= 0 or self._random.random() > chance:
            return False
        self._left -= 1
        return True

    def _server_breaks(self, request: Request) -> Any:
        writes = request.method == "PATCH" and b'"points"' in request.raw
        if self._asleep or not self._strikes(0.6 if writes else 0.03):
            return None
        fault = self._random.choice(_BROKEN)
        if fault == "late" and not writes:
            fault = 504
        self.happened[f"{fault.status} answer" if isinstance(fault, Answer) else str(fault)] += 1
        return fault

    def _client_breaks(self, may_sleep: bool = True) -> None:
        if self._asleep:
            return
        if self._dead:
            raise Killed
        if self._random.random() < 0.05:
            self._standin.catch_up()
        if self._strikes(0.008):
            self.happened["kill"] += 1
            self._dead = True
            raise Killed
        if may_sleep and self._strikes(0.02):
            self._sleep()

    def _sleep(self) -> None:
        """The lease runs out, and another client does the whole round."""
        places = [self._bench.store.job(self._bench.server.url, job) for job in self.jobs]
        held = [(place, f"{place._folder}/lock.json") for place in places]
        leases = [(place, path, lease) for place, path in held if (lease := place._lease(path))]
        if not leases:
            return
        self.happened["sleep"] += 1
        for place, path, lease in leases:
            place._store.write(path, json.dumps({**lease, "until": str(time.time() - 1)}).encode())
        self._asleep = True
        try:
            self.run()
        finally:
            self._asleep = False


def film() -> Pictures:
    """Four frames of 72×96: two squares moving over noise."""
    noise = np.random.default_rng(0).integers(60, 90, (1, 72, 96, 3), dtype=np.uint8)
    frames = np.repeat(noise, 4, axis=0)
    for t in range(4):
        frames[t, 10:30, 5 + 4 * t : 25 + 4 * t] = (200, 40, 40)
        frames[t, 40:60, 70 - 4 * t : 90 - 4 * t] = (40, 60, 210)
    return frames


class Play:
    """One job through two rounds, with human work before each."""

    def __init__(self, bench: Bench, way: str, write_as: str) -> None:
        self.bench = bench
        self._way, self._as = way, write_as
        self.jobs: list[int]
        labels = (("car", "any"), ("person", "any"))
        if way == "carry":
            self._source, self.job = bench.task(film(), labels=labels, segment=3, overlap=2)
            bench.scribble(self._source, 1, (12, 20, 24, 20), tag=1, label="car")
            bench.sync(self._source)
        else:
            (self.job,) = bench.task(film(), labels=labels)
            bench.scribble(self.job, 1, (12, 20, 24, 20), tag=1, label="car")
        bench.scribble(self.job, 3, (60, 50, 70, 50), tag=2, label="person")
        self.jobs = [self.job]

    def run(self) -> list[Any]:
        """The round as a command; what it says that it changed."""
        if self._way == "carry":
            return self.bench.carry(from_job=self._source, to_job=self.job)
        return [self.bench.sync(self.job, write_as=self._as)]

    def work(self, *, delete: bool) -> None:
        """What a human does after the first round: edits a mask, draws one, scribbles, perhaps deletes a mask."""
        bench, job = self.bench, self.job
        mine = [s for s in bench.shapes(job) if s["source"] == "auto" and s["frame"] == 2]
        if mine:
            bench.edit(job, mine[0], points=BOX)
        bench.box_mask(job, 3, (5, 55, 20, 65), "person", tag=3)
        bench.scribble(job, 2, (40, 20, 60, 20), tag=2)
        if delete and mine:
            bench.delete(job, next(s for s in bench.shapes(job) if s["source"] == "auto" and s["frame"] != 2))


class BulkPlay(Play):
    """Two jobs of their own and a task of two, worked on by `bulk`; a run that was ended goes on from its table."""

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench, "sync", "mask")
        labels = (("car", "any"), ("person", "any"))
        (other,) = bench.task(film(), labels=labels)
        bench.scribble(other, 0, (12, 20, 24, 20), tag=1, label="car")
        pair = bench.task(film(), labels=labels, segment=3, overlap=2)
        bench.scribble(pair[0], 1, (12, 20, 24, 20), tag=1, label="car")
        self._task = bench.server.job(pair[0])["task_id"]
        self._singles = [self.job, other]
        self.jobs = [self.job, other, *pair]
        self._night, self._over = 0, False

    def run(self) -> list[Any]:
        """A night's run until nothing failed."""
        self._night, self._over = self._night + self._over, False
        rows = commands.bulk(
            self.bench.client,
            jobs=self._singles,
            tasks=[self._task],
            store=self.bench.store,
            sessions=[self.bench.sessions],
            results=self.bench.folder / f"night-{self._night}.json",
        )
        failed = [row.error for row in rows if row.status == "failed"]
        if failed:
            raise ServerFault(failed[0])
        self._over = True
        return rows


def play(play: Play, chaos: Chaos | None, *, delete: bool, most: int = 10) -> tuple[list[Any], list[Any]]:
    """Both rounds; what the jobs hold in the end, and the human shapes as they were drawn."""
    bench, standin_catches_up = play.bench, chaos._standin.catch_up if chaos else lambda: None

    def go() -> None:
        if chaos is None:
            play.run()
        else:
            chaos.round(most)

    go()
    if delete:  # of two equal masks nobody could say which one a human deletes: only when all has arrived
        standin_catches_up()
        play.run()
    play.work(delete=delete)
    human = [s for job in play.jobs for s in bench.everything(job)["shapes"] if s["source"] != "auto"]
    go()
    standin_catches_up()
    for _ in range(2):
        reports = play.run()
    for report in reports:
        tracks = report.tracks.values() if isinstance(report, SyncReport) else [report.tracks]  # else a row of bulk
        written = (report.created, report.updated, report.deleted, *tracks)
        assert not any(written), "a quiet round still changes something"
    found = {s["id"]: s for job in play.jobs for s in bench.everything(job)["shapes"]}
    assert [found.get(s["id"]) for s in human] == human, "a human shape was touched"
    return [bench.contents(job) for job in play.jobs], human


def run_seed(sessions: SessionFactory, seed: int) -> Counter[str]:
    """A disturbed play beside an undisturbed one; what happened. Raises AssertionError if they differ."""
    way, write_as = CASES[seed % len(CASES)]
    delete = seed // len(CASES) % 2 == 1
    with (
        tempfile.TemporaryDirectory() as folder,
        patch.object(connection, "RETRY_DELAYS_S", ()),
        patch.object(faults.time, "sleep", lambda seconds: None),
        patch.object(store, "_SETTLE_S", 0.0),
        patch.object(writing, "MAX_BATCH_SHAPES", 2),
        patch.object(bulk, "ATTEMPT_DELAYS_S", (0.0,)),
    ):
        results = []
        for disturbed in (False, True):
            standin = StandIn()
            place = Path(folder) / str(disturbed)
            place.mkdir()
            bench = Bench(connect(standin.url, token="full"), StateStore(str(place / "store")), sessions, place)
            game = BulkPlay(bench) if way == "bulk" else Play(bench, way, write_as)
            chaos = Chaos(bench, standin, seed) if disturbed else None
            if chaos is not None:
                chaos.jobs, chaos.run = game.jobs, game.run
            results.append(copy.deepcopy(play(game, chaos, delete=delete)[0]))
            for job in game.jobs:
                check_ledger(bench, job)
            standin.close()
    assert results[1] == results[0], f"seed {seed}: the annotations differ"
    assert chaos is not None
    return chaos.happened


def tiny() -> Model:
    """siaf-t with random weights at a small working resolution."""
    model = build_model("siaf-t", device="cpu", seed=3)
    return replace(model, short_side=65, interaction_short_side=65)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Rounds while everything breaks.")
    parser.add_argument("seeds", type=int, help="how many")
    parser.add_argument("--first", type=int, default=0)
    arguments = parser.parse_args()
    model = tiny()
    sessions = local_sessions(lambda: model)
    total: Counter[str] = Counter()
    for seed in range(arguments.first, arguments.first + arguments.seeds):
        happened = run_seed(sessions, seed)
        total += happened
        print(f"seed {seed}: {dict(happened)}", flush=True)
    print(f"{arguments.seeds} seeds, {total.total()} faults, all as undisturbed: {dict(total)}")


if __name__ == "__main__":
    main()
