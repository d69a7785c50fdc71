"""`siaf cvat …` as a user calls it: printed tables, JSON, exit codes, errors in one line."""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from bench import Bench, Pictures
from standin import StandIn

import siaf.weights
from siaf.cli import main
from siaf.cvat import cli, resources
from siaf.model.loaded import Model
from siaf.output.datasets.formats import FORMATS

Run = Callable[..., int]


@pytest.fixture
def run(standin: StandIn, client: object, tiny_model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`siaf cvat …` against the stand-in."""
    monkeypatch.setenv("CVAT_HOST", standin.url)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))  # nobody's own profiles
    monkeypatch.setenv("CVAT_ACCESS_TOKEN", "full")
    monkeypatch.setenv("SIAF_STORE", str(tmp_path / "store"))
    monkeypatch.setattr(siaf.weights, "load_model", lambda *args, **kwargs: tiny_model)
    return lambda *arguments: main(["cvat", *map(str, arguments)])


def drawn(bench: Bench, pictures: Pictures, **task: int) -> list[int]:
    jobs = bench.task(pictures[:6], **task)
    bench.scribble(jobs[0], 0, (8, 20, 20, 20), tag=1, label="car")
    return jobs


def test_setup_shows_first_and_changes_then(
    run: Run, bench: Bench, pictures: Pictures, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.task(pictures[:2], setup=False)
    assert run("setup", "--task", 1) == 0
    assert "task 1: would change (repeat with --yes)" in capsys.readouterr().out
    assert run("setup", "--task", 1, "--yes", "--watch", "--json") == 0
    assert len(json.loads(capsys.readouterr().out)["changes"]) == 4
    assert run("setup", "--task", 1) == 0
    assert "everything is there already" in capsys.readouterr().out


def test_sync_says_what_it_did(run: Run, bench: Bench, pictures: Pictures, capsys: pytest.CaptureFixture[str]) -> None:
    (job,) = drawn(bench, pictures)
    assert run("sync", "--job", job, "--dry-run") == 0
    assert "dry run" in capsys.readouterr().out
    assert run("sync", "--job", job, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["created"] == len(bench.masks(job)) > 0
    assert report["suggest"]
    assert run("sync", "--job", job) == 0
    assert "nothing new was drawn" in capsys.readouterr().out


def test_carry_report_export_and_import(
    run: Run, bench: Bench, pictures: Pictures, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = drawn(bench, pictures, segment=4, overlap=2)
    assert run("sync", "--job", first) == 0
    assert run("carry", "--from-job", first, "--to-job", second) == 0
    assert run("carry", "--task", 1) == 0
    capsys.readouterr()
    assert run("report", "--task", 1) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["object", "label", "frames", "from", "to", "by", "people", "score", "jobs"]
    assert lines[1].split()[:2] == ["1", "car"]
    assert run("export-state", "--job", first, "--out", tmp_path / "state.zip") == 0
    assert run("import-state", "--job", first, tmp_path / "state.zip", "--store", tmp_path / "another") == 0


def test_a_dataset_is_written_where_it_is_asked_for(
    run: Run,
    bench: Bench,
    pictures: Pictures,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (job,) = bench.task(pictures[:3])
    number = bench.box_mask(job, 1, (10, 10, 19, 19), "car", tag=4)
    bench.scribble(job, 0, (8, 20, 20, 20), tag=1)
    monkeypatch.chdir(tmp_path)
    assert run("export", "--task", 1, "--as", "mots") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == ["task 1, as mots, in task-1-mots", "  3 frames, 1 masks", "  objects: 4 car"]
    assert lines[3:] == [
        f"  not exported: polyline {number + 1} on frame 0: strokes say where masks should be, and are none"
    ]
    assert (tmp_path / "task-1-mots" / "instances" / "000002.png").exists()
    assert run("export", "--task", 1, "--as", "coco", "-o", tmp_path / "out.json", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["out"], report["masks"], report["objects"]) == (str(tmp_path / "out.json"), 1, {"4": "car"})
    assert len(json.loads((tmp_path / "out.json").read_text())["annotations"]) == 1
    with pytest.raises(SystemExit):
        run("export", "--task", 1, "--as", "yolo")
    assert "argument --as: invalid choice: 'yolo'" in capsys.readouterr().err


def test_the_formats_of_the_command_line_are_those_that_can_be_written() -> None:
    assert {name: not ending for name, ending in cli.DATASETS.items()} == {
        name: one.is_folder for name, one in FORMATS.items()
    }


def test_bulk_tells_by_its_exit_code(
    run: Run, bench: Bench, standin: StandIn, pictures: Pictures, capsys: pytest.CaptureFixture[str]
) -> None:
    (job,) = drawn(bench, pictures)
    assert run("bulk", "--jobs", job, "--json") == 0
    assert json.loads(capsys.readouterr().out)["rows"][0]["status"] == "done"
    assert run("bulk", "--jobs", job, 4711) == 1
    assert "2 in all, 1 failed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["sync", "--job", "4711"], 2, "siaf: job 4711: not found"),
        (["sync", "--job", "1", "--host", "http://127.0.0.1:9"], 1, "siaf: CVAT at http://127.0.0.1:9 does not answer"),
        (
            ["sync", "--job", "1", "--url", "http://x", "--short-side", "321"],
            2,
            "siaf: short_side: is a setting of the function there: SIAF_SHORT_SIDE",
        ),
        (
            ["sync", "--job", "1", "--via", "cvat", "--device", "cpu"],
            2,
            "siaf: device: is a setting of the function there: SIAF_DEVICE",
        ),
        (
            ["bulk", "--jobs", "1", "--url", "http://x", "--model", "siaf-r50"],
            2,
            "siaf: model: is a setting of the function there: SIAF_MODEL",
        ),
        (
            ["service", "--listen", "127.0.0.1:0", "--via", "cvat", "--weights", "best.safetensors"],
            2,
            "siaf: weights: is a setting of the function there: SIAF_WEIGHTS",
        ),
        (["sync", "--job", "1", "--function", "siaf"], 2, "siaf: function: is for --via cvat"),
        (["sync", "--job", "1", "--url", "http://x", "--via", "cvat"], 2, "siaf: via: give --url or --via, not both"),
        (["sync", "--job", "1", "--user", "me"], 2, "siaf: user: set CVAT_PASSWORD"),
        (["sync", "--job", "1", "--store", "nosuch://x"], 2, "siaf: store: cannot use 'nosuch://x'"),
        (["carry"], 2, "siaf: from_job: give --from-job A --to-job B, or --task N"),
        (["setup"], 2, "siaf: project: give --project N or --task N"),
        (["bulk"], 2, "siaf: jobs: nothing to do; give --jobs, --tasks, --list or --query"),
        (["bulk", "--query", "stat=new"], 2, "siaf: query: jobs cannot be searched by 'stat'; use one of: "),
        (["export-state", "--job", "1", "--out", "x"], 2, "siaf: job 1: has no session in this store; sync it first"),
        (["report", "--task", "99"], 2, "siaf: task 99: not found"),
    ],
)
def test_errors_are_one_line(
    run: Run, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, message: str
) -> None:
    assert run(*arguments) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(message)


@pytest.mark.parametrize(
    "arguments", [["sync", "--job", "1", "--wait", "-1"], ["watch", "--task", "1", "--poll", "inf"]]
)
def test_a_time_is_one(run: Run, capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    with pytest.raises(SystemExit):
        run(*arguments)
    assert f"argument {arguments[3]}: must be seconds, 0 or more, not {arguments[4]!r}" in capsys.readouterr().err


def test_a_file_that_is_no_table_of_results_is_not_overwritten(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "settings.json"
    path.write_text("{}")
    assert run("bulk", "--jobs", 1, "--results", path) == 2
    assert "is not a result of an earlier run (it does not hold a table)" in capsys.readouterr().err
    assert path.read_text() == "{}"


def test_what_the_environment_lacks_is_named(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("CVAT_ACCESS_TOKEN")
    assert run("report", "--task", 1) == 2
    assert "token: set CVAT_ACCESS_TOKEN" in capsys.readouterr().err
    monkeypatch.delenv("CVAT_HOST")
    assert run("report", "--task", 1) == 2
    assert "host: give --host or --profile, or set CVAT_HOST" in capsys.readouterr().err


def test_the_parser_needs_no_cvat_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    parser = argparse.ArgumentParser()
    before = set(sys.modules)
    cli.add_arguments(parser)
    assert not [name for name in set(sys.modules) - before if name.startswith("cvat_sdk")]
    assert parser.parse_args(["watch", "--task", "1"]).trigger == "tag"


EVERY_COMMAND = (
    ["setup", "--task", "1"],
    ["sync", "--job", "1"],
    ["carry", "--task", "1"],
    ["export-state", "--job", "1", "--out", "x"],
    ["import-state", "--job", "1", "x"],
    ["export", "--task", "1", "--as", "coco"],
    ["report", "--task", "1"],
    ["watch", "--task", "1"],
    ["bulk", "--jobs", "1"],
)


@pytest.mark.parametrize("package", ["cvat_sdk", "fsspec"])
def test_without_its_extra_every_command_says_what_to_install(package: str) -> None:
    """As installed without it: a fresh process in which the package cannot be imported."""
    code = (
        f"import json, sys; sys.modules[{package!r}] = None; from siaf.cli import main; "
        "sys.exit(any(main(['cvat', *command]) != 1 for command in json.loads(sys.argv[1])))"
    )
    command = [sys.executable, "-c", code, json.dumps(EVERY_COMMAND)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = done.stderr.splitlines()
    assert (done.returncode, done.stdout, len(lines)) == (0, "", len(EVERY_COMMAND))
    for line in lines:
        assert line.startswith("siaf: the packages for CVAT are missing (")
        assert package in line
        assert line.endswith("; pip install 'siaf-cvat[cvat]'")


def test_the_function_is_by_default_the_one_that_deploy_sh_makes() -> None:
    patch = Path(__file__).parents[2] / "deploy" / "patches" / "tracker.yaml"
    assert yaml.safe_load(patch.read_text())["metadata"]["name"] == resources.TRACKER


def test_doctor_asks_cvat(run: Run, standin: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    assert "CVAT: http" in (out := capsys.readouterr().out)
    assert "knows you as" in out


def test_doctor_says_what_is_wrong_with_a_token(
    run: Run, standin: StandIn, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CVAT_ACCESS_TOKEN", "wrong")
    assert main(["doctor"]) == 1
    assert "PROBLEM  CVAT: " in (out := capsys.readouterr().out)
    assert "check CVAT_HOST and CVAT_ACCESS_TOKEN" in out
