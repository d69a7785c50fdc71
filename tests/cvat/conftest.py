"""A CVAT to test against: the stand-in, or for tests that use `anywhere` a real server, if its address is set.

CVAT_HOST=https://… CVAT_ACCESS_TOKEN=… python -m pytest tests/cvat

They make tasks with a name that begins with "siaf test", and delete them.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from bench import Bench, Pictures
from controlled_job import BOXES, LABELS
from cvat_sdk.core.client import Client
from numpy.typing import NDArray
from standin import StandIn
from studio_job import Open, studio_on_jobs

from siaf.cvat.server import connection
from siaf.cvat.server.connection import connect
from siaf.cvat.sessions.base import SessionFactory
from siaf.cvat.sessions.local import local_sessions
from siaf.cvat.storage.store import StateStore
from siaf.model.loaded import Model


@pytest.fixture
def standin() -> Iterator[StandIn]:
    server = StandIn()
    yield server
    server.close()


@pytest.fixture(params=["2.73.0", "2.80.0"])
def each_version(request: pytest.FixtureRequest, standin: StandIn) -> StandIn:
    """The stand-in, as the oldest and the newest server whose answers are known."""
    standin.world.version = request.param
    return standin


@pytest.fixture
def client(standin: StandIn, monkeypatch: pytest.MonkeyPatch) -> Client:
    """A client of the stand-in that gives up at once."""
    monkeypatch.setattr(connection, "RETRY_DELAYS_S", ())
    monkeypatch.setattr(connection, "FUNCTION_DELAYS_S", ())
    return connect(standin.url, token="full")


@pytest.fixture
def store(tmp_path: Path) -> StateStore:
    return StateStore(str(tmp_path / "store"))


@pytest.fixture
def sessions(tiny_model: Model) -> SessionFactory:
    return local_sessions(lambda: tiny_model)


@pytest.fixture
def bench(client: Client, store: StateStore, sessions: SessionFactory, tmp_path: Path) -> Bench:
    """Tasks on the stand-in."""
    return Bench(client, store, sessions, tmp_path)


@pytest.fixture
def anywhere(
    request: pytest.FixtureRequest, store: StateStore, sessions: SessionFactory, tmp_path: Path
) -> Iterator[Bench]:
    """Tasks on a real server if there is one, else on the stand-in; they are deleted afterwards."""
    host, token = os.environ.get("CVAT_HOST"), os.environ.get("CVAT_ACCESS_TOKEN")
    client = connect(host, token=token) if host and token else request.getfixturevalue("client")
    bench = Bench(client, store, sessions, tmp_path)
    yield bench
    bench.clean()


@pytest.fixture
def pictures(clip: NDArray) -> Pictures:
    """Ten frames of 72×96: two squares moving over noise."""
    return clip[:10]


@pytest.fixture
def studio(bench: Bench, tiny_model: Model) -> Open:
    """Opens the studio on a job; it is closed where the block ends."""
    return studio_on_jobs(bench, tiny_model)


@pytest.fixture
def three(anywhere: Bench, pictures: Pictures) -> int:
    """A job with three objects on every frame after a round: masks by hand on its first and last frame."""
    (job,) = anywhere.task(pictures)
    for tag, box in BOXES.items():
        anywhere.box_mask(job, 0, box, LABELS[tag], tag)
    for tag, (left, top, right, bottom) in BOXES.items():
        y = (top + bottom) / 2
        anywhere.scribble(job, 9, (left, y, right, y), tag=tag, label=LABELS[tag])
    anywhere.sync(job)
    assert {tag for frame, tag in anywhere.masks(job) if frame == 9} == {1, 2, 3}
    return job
