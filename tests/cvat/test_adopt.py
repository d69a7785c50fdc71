"""Automatic masks of an import become siaf's own: rounds start from them and may replace them."""

from typing import Any

import numpy as np
import pytest
from bench import Bench, Pictures, bitmap
from controlled_job import check_ledger_of_own

from siaf.cvat import commands
from siaf.cvat.rounds.control_report import ControlReport
from siaf.errors import InputError
from siaf.session.state_file import read_masks

BOXES = {1: (8, 12, 24, 28), 2: (68, 42, 86, 58), 3: (80, 2, 94, 9)}


def adopt(bench: Bench, job: int) -> ControlReport:
    return commands.adopt(bench.client, job, store=bench.store)


def put(bench: Bench, job: int, frame: int, tag: int, source: str, label: str = "car", box: Any = None) -> int:
    """A mask as an import leaves it."""
    left, top, right, bottom = box or BOXES[tag]
    points = [0, (right - left + 1) * (bottom - top + 1), left, top, right, bottom]
    shape = {
        "type": "mask",
        "frame": frame,
        "label_id": bench.label_id(job, label),
        "points": [float(p) for p in points],
        "source": source,
        "attributes": bench.attributes(job, label, {"object": tag}) if tag else [],
    }
    return int(bench.server.patch_annotations(job, "create", shapes=[shape])["shapes"][0]["id"])


@pytest.fixture
def imported(anywhere: Bench, pictures: Pictures) -> int:
    """Three objects on every frame, of three sources; object 2 on frame 4 was drawn by somebody."""
    (job,) = anywhere.task(pictures)
    for frame in range(10):
        for tag, source in ((1, "auto"), (2, "semi-auto"), (3, "file")):
            put(anywhere, job, frame, tag, "manual" if (frame, tag) == (4, 2) else source)
    return job


def test_adopted_masks_stay_until_a_round_replaces_them(anywhere: Bench, imported: int, pictures: Pictures) -> None:
    before = anywhere.everything(imported)
    by_hand = next(s for s in before["shapes"] if s["source"] == "manual")
    masks = anywhere.masks(imported)
    report = adopt(anywhere, imported)
    assert anywhere.masks(imported) == masks
    assert by_hand in anywhere.everything(imported)["shapes"]
    check_ledger_of_own(anywhere, imported)
    assert (report.objects, report.human) == ({1: "car", 2: "car", 3: "car"}, 1)
    assert report.notes[0] == "29 masks on 10 frames are siaf's own from now on"
    place = anywhere.store.job(anywhere.server.url, imported)
    ledger = place.ledger()
    assert len(ledger.shapes) == 29
    state = place.state(ledger)
    assert state is not None
    found = read_masks(state)
    for frame in range(10):
        shown = {tag: bitmap(p, pictures) for (f, tag), p in anywhere.masks(imported).items() if f == frame}
        for tag, pixels in shown.items():
            wanted = pixels if (frame, tag) != (4, 2) else np.zeros_like(pixels)
            np.testing.assert_array_equal(found.mask(frame) == tag, wanted)
    anywhere.scribble(imported, 9, (60, 64, 80, 64), tag=1, label="car")
    first = anywhere.sync(imported)
    assert (first.round, first.scribbles) == (1, {9: 1})
    assert "this round started from adopted masks" in first.notes
    after = anywhere.everything(imported)
    assert by_hand in after["shapes"]
    check_ledger_of_own(anywhere, imported)
    assert first.updated + first.created + first.deleted > 0
    assert {s["source"] for s in after["shapes"] if s["type"] == "mask" and s["id"] != by_hand["id"]} >= {"auto"}
    assert not anywhere.sync(imported).changed


def test_a_sync_after_it_takes_what_people_drew_alone(anywhere: Bench, pictures: Pictures) -> None:
    (job,) = anywhere.task(pictures)
    for frame in range(10):
        put(anywhere, job, frame, 1, "file")
    adopt(anywhere, job)
    before = anywhere.everything(job)
    assert not anywhere.sync(job).changed
    assert anywhere.everything(job) == before


def test_masks_without_a_number_are_their_label_s_only_object(anywhere: Bench, pictures: Pictures) -> None:
    (job,) = anywhere.task(pictures)
    for frame in (0, 1):
        put(anywhere, job, frame, 0, "auto", "person", BOXES[1])
    twins = [put(anywhere, job, 3, 0, "auto", "person", BOXES[tag]) for tag in (1, 2)]
    report = adopt(anywhere, job)
    assert report.objects == {1: "person"}
    assert report.kept == [
        f"mask {number} on frame 3: several masks of 'person' on a frame have no number: which is which?"
        for number in twins
    ]


def test_only_a_job_without_a_session_adopts(anywhere: Bench, pictures: Pictures) -> None:
    (job,) = anywhere.task(pictures)
    with pytest.raises(InputError, match=f"job {job}: has no automatic masks"):
        adopt(anywhere, job)
    anywhere.box_mask(job, 0, BOXES[1], "car", 1)
    with pytest.raises(InputError, match=f"job {job}: has no automatic masks"):
        adopt(anywhere, job)
    anywhere.sync(job)
    with pytest.raises(InputError, match=f"job {job}: has a session already"):
        adopt(anywhere, job)
