"""What commands of `siaf cvat` load: torch takes seconds, and those that need no session have no use for it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from bench import Bench, Pictures
from standin import StandIn

HEAVY = ("torch", "torchvision", "cv2")
CODE = f"""
import argparse, json, pathlib, sys
from siaf.cvat import actions
given = json.loads(sys.argv[2])
given = {{key: pathlib.Path(value) if key == "out" else value for key, value in given.items()}}
getattr(actions, sys.argv[1])(argparse.Namespace(**given))
print(json.dumps(sorted({set(HEAVY)!r} & sys.modules.keys())), file=sys.stderr)
"""
WHOSE = dict.fromkeys(("host", "server_port", "profile", "auth", "user", "org", "store"))
EVERY = {**WHOSE, "insecure": False, "json": False}
SETUP = {"project": None, "task": 1, "labels": None, "watch": False, "accept": False, "studio": None}


def loaded(standin: StandIn, store: Path, run: str, **arguments: Any) -> list[str]:
    """Which of the heavy packages a command loaded in a process of its own."""
    environment = {"CVAT_HOST": standin.url, "CVAT_ACCESS_TOKEN": "full", "SIAF_STORE": str(store)}
    command = [sys.executable, "-c", CODE, run, json.dumps(EVERY | arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment})
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stderr.splitlines()[-1]))


@pytest.mark.parametrize(
    ("run", "arguments", "allowed"),
    [
        ("run_setup", {**SETUP, "yes": False}, []),
        ("run_setup", {**SETUP, "watch": True, "yes": True}, []),
        ("run_report", {"task": 1}, ["cv2"]),
        ("run_dataset", {"task": 1, "write_as": "coco", "out": "out.json"}, ["cv2"]),
        ("run_export", {"job": 1, "out": "out.zip"}, ["cv2"]),
    ],
)
def test_commands_without_a_session_load_no_torch(
    bench: Bench,
    standin: StandIn,
    pictures: Pictures,
    tmp_path: Path,
    run: str,
    arguments: dict[str, Any],
    allowed: list[str],
) -> None:
    (job,) = bench.task(pictures[:3])
    bench.scribble(job, 0, (8, 20, 20, 20), tag=1, label="car")
    bench.sync(job)
    if "out" in arguments:
        arguments = {**arguments, "out": str(tmp_path / arguments["out"])}
    assert loaded(standin, tmp_path / "store", run, **arguments) == allowed
