"""`siaf cvat undo`, `swap`, `merge`, `split` and `adopt` as a user calls them."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from bench import Bench, Pictures
from controlled_job import BOXES
from standin import StandIn

import siaf.weights
from siaf.cli import main
from siaf.cvat.job.ledger import Ledger
from siaf.model.loaded import Model

Run = Callable[..., int]


@pytest.fixture
def run(standin: StandIn, client: object, tiny_model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("CVAT_HOST", standin.url)
    monkeypatch.setenv("CVAT_ACCESS_TOKEN", "full")
    monkeypatch.setenv("SIAF_STORE", str(tmp_path / "store"))
    monkeypatch.setattr(siaf.weights, "load_model", lambda *args, **kwargs: tiny_model)
    return lambda *arguments: main(["cvat", *map(str, arguments)])


def test_changes_and_undo_say_what_they_did(
    run: Run, bench: Bench, pictures: Pictures, capsys: pytest.CaptureFixture[str]
) -> None:
    (job,) = bench.task(pictures[:4])
    for tag, box in BOXES.items():
        bench.box_mask(job, 0, box, "car", tag)
    assert run("sync", "--job", job, "--frames", "1-2", "--advise", "issues") == 0
    assert {frame for frame, _ in bench.masks(job)} == {0, 1, 2}
    assert len(bench.server.issues(job)) > 0
    assert run("sync", "--job", job, "--barriers", "none") == 0
    before = bench.masks(job)
    capsys.readouterr()
    assert run("swap", "--job", job, "--objects", 1, 2, "--from-frame", 2) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [f"job {job}: swapped; round 2", "  objects: 1 car, 2 car, 3 car"]
    assert run("merge", "--job", job, "--objects", 1, 3, "--from-frame", 2, "--json") == 0
    assert json.loads(capsys.readouterr().out)["round"] == 3
    assert run("split", "--job", job, "--object", 1, "--from-frame", 3, "--json") == 0
    assert json.loads(capsys.readouterr().out)["objects"] == {"1": "car", "2": "car", "3": "car", "4": "car"}
    for _ in range(3):
        assert run("undo", "--job", job) == 0
    assert bench.masks(job) == before
    assert run("undo", "--job", job) == 0
    capsys.readouterr()
    assert run("undo", "--job", job) == 2
    assert f"job {job}: there is no round to take back" in capsys.readouterr().err


def test_adopt_says_what_it_took(
    run: Run, bench: Bench, pictures: Pictures, capsys: pytest.CaptureFixture[str]
) -> None:
    (job,) = bench.task(pictures[:2])
    assert run("adopt", "--job", job) == 2
    assert "has no automatic masks that could be adopted" in capsys.readouterr().err
    points = [0.0, 289.0, 8.0, 12.0, 24.0, 28.0]
    shape = {"type": "mask", "frame": 0, "label_id": bench.label_id(job, "car"), "points": points, "source": "auto"}
    shape["attributes"] = bench.attributes(job, "car", {"object": 5})
    bench.server.patch_annotations(job, "create", shapes=[shape])
    assert run("adopt", "--job", job) == 0
    assert "1 masks on 1 frames are siaf's own from now on" in capsys.readouterr().out


@pytest.mark.parametrize(
    "wrong",
    [
        ("undo",),
        ("swap", "--job", 1, "--objects", 1, "--from-frame", 2),
        ("swap", "--job", 1, "--objects", 1, 2),
        ("split", "--job", 1, "--from-frame", 2),
        ("merge", "--job", 1, "--objects", 1, 0, "--from-frame", 2),
        ("sync", "--job", 1, "--frames", "5-2"),
        ("sync", "--job", 1, "--barriers", "x"),
    ],
)
def test_wrong_arguments_end_it(run: Run, wrong: tuple[object, ...]) -> None:
    with pytest.raises(SystemExit) as end:
        run(*wrong)
    assert end.value.code == 2


def test_a_ledger_without_any_of_it_is_as_before() -> None:
    """Earlier versions read it, and theirs is read."""
    plain = json.loads(Ledger(14).dump())
    assert plain.keys() & {"undone", "overlap", "within", "barriers", "advise", "advised"} == set()
    full = Ledger(14, undone=["a"], overlap="once", within=[1, 3], barriers=[2], advise="tags", advised={4: 5})
    assert Ledger.parse(full.dump(), "ledger") == full
