"""What `siaf cvat …` loads before it talks to CVAT: torch takes seconds, and most commands have no use for it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from bench import Bench, Pictures
from standin import StandIn

HEAVY = ("torch", "torchvision", "cv2")
CODE = f"""
import json, sys
from siaf.cli import main
code = main(sys.argv[1:])
print(json.dumps([code, sorted(set({HEAVY!r}) & sys.modules.keys())]), file=sys.stderr)
"""


def loaded(standin: StandIn, store: Path, *arguments: str) -> list[str]:
    """Which of the heavy packages a command loaded in a process of its own."""
    environment = {"CVAT_HOST": standin.url, "CVAT_ACCESS_TOKEN": "full", "SIAF_STORE": str(store)}
    done = subprocess.run(
        [sys.executable, "-c", CODE, *arguments], capture_output=True, text=True, env={**os.environ, **environment}
    )
    code, found = json.loads(done.stderr.splitlines()[-1])
    assert code == 0, done.stderr
    return list(found)


@pytest.mark.parametrize(
    ("arguments", "allowed"),
    [
        (["setup", "--task", "1"], []),
        (["setup", "--task", "1", "--yes"], []),
        (["report", "--task", "1"], ["cv2"]),
        (["export", "--task", "1", "--as", "coco", "-o", "OUT"], ["cv2"]),
        (["export-state", "--job", "1", "--out", "OUT"], ["cv2"]),
    ],
)
def test_commands_without_a_model_load_no_torch(
    bench: Bench, standin: StandIn, pictures: Pictures, tmp_path: Path, arguments: list[str], allowed: list[str]
) -> None:
    (job,) = bench.task(pictures[:3])
    bench.scribble(job, 0, (8, 20, 20, 20), tag=1, label="car")
    bench.sync(job)
    given = [str(tmp_path / "out") if argument == "OUT" else argument for argument in arguments]
    assert loaded(standin, tmp_path / "store", "cvat", *given) == allowed
