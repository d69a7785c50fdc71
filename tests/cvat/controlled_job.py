"""A job with three objects whose rounds are taken back and whose objects are changed, and what holds afterwards."""

from typing import Any

import numpy as np
import pytest
from bench import Bench, Pictures, bitmap
from numpy.typing import NDArray

from siaf.cvat import commands
from siaf.cvat.rounds.control_report import ControlReport
from siaf.session.state_file import read_masks

Json = dict[str, Any]
BOXES = {1: (8, 12, 24, 28), 2: (68, 42, 86, 58), 3: (80, 2, 94, 9)}
LABELS = {1: "car", 2: "person", 3: "car"}
START = 4
HUMAN = 7
"""A frame on which people corrected object 2."""


def control(bench: Bench, job: int, do: Any, *objects: int, from_frame: int | None = None) -> ControlReport:
    """Take a round back, or change objects from a frame on."""
    return commands.control(
        bench.client, job, do, store=bench.store, objects=objects, from_frame=from_frame, wait_s=0.0
    )


def with_a_correction(bench: Bench, job: int) -> Json:
    """Somebody changes the mask of object 2 on a frame, and a round takes that."""
    by_hand = bench.box_mask(job, HUMAN, (30, 30, 50, 50), "person", 2)
    bench.delete(job, *(s for s in bench.shapes(job) if s["frame"] == HUMAN and s["group"] == 2))
    bench.sync(job)
    return shape(bench, job, by_hand)


def shape(bench: Bench, job: int, number: int) -> Json:
    """A shape by its id."""
    (found,) = [s for s in bench.everything(job)["shapes"] if s["id"] == number]
    return found


def human(bench: Bench, job: int) -> list[Json]:
    """What people made."""
    return [s for s in bench.everything(job)["shapes"] if s["source"] != "auto"]


def index_masks(bench: Bench, job: int, pictures: Pictures) -> NDArray[np.uint8]:
    """What the job shows, as one index mask a frame."""
    found = np.zeros(pictures.shape[:3], np.uint8)
    for (frame, tag), points in bench.masks(job).items():
        found[frame][bitmap(points, pictures)] = tag
    return found


def check_settled(bench: Bench, job: int, pictures: Pictures) -> None:
    """Ledger, session and job agree, and a sync has nothing to do."""
    check_ledger_of_own(bench, job)
    place = bench.store.job(bench.server.url, job)
    state = place.state(place.ledger())
    if state is not None:
        session = np.stack([read_masks(state).mask(frame) for frame in range(len(pictures))])
        np.testing.assert_array_equal(index_masks(bench, job, pictures), session)
    before = bench.everything(job)
    report = bench.sync(job)
    assert not report.changed
    assert bench.everything(job) == before


def check_ledger_of_own(bench: Bench, job: int) -> None:
    """The ledger knows exactly the automatic shapes, each by its frame and object."""
    ledger = bench.store.job(bench.server.url, job).ledger()
    assert ledger.pending is None
    found = bench.everything(job)["shapes"]
    assert set(ledger.shapes) == {s["id"] for s in found if s["source"] == "auto"}
    for number, own in ledger.shapes.items():
        assert (own.frame, own.tag) == next((s["frame"], s["group"]) for s in found if s["id"] == number)


EDITS = [
    pytest.param("swap", (1, 2), {1: 2, 2: 1}, {1: "car", 2: "person", 3: "car"}, id="swap"),
    pytest.param("merge", (1, 3), {3: 1}, {1: "car", 2: "person", 3: "car"}, id="merge"),
    pytest.param("split", (1,), {1: 4}, {1: "car", 2: "person", 3: "car", 4: "car"}, id="split"),
]
