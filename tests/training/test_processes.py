"""Two processes, started by torchrun, train as one process with both batches would."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from siaf.errors import SiafError
from siaf.training.data import batches
from siaf.training.loop import Schedule, Trainer
from siaf.training.processes import Processes, joined

STEPS, PARTS = 6, 2


class Net(nn.Module):
    """A layer that learns, one that only learns from even batches, one that never does, and a running statistic."""

    def __init__(self) -> None:
        super().__init__()
        self.always, self.sometimes, self.never = nn.Linear(4, 4), nn.Linear(4, 1), nn.Linear(4, 1)
        self.norm = nn.BatchNorm1d(4)


def train(folder: Path, processes: Processes, poisoned: int = -1) -> Trainer:
    torch.manual_seed(processes.rank)  # the first process's weights must reach all
    net = Net()
    trainer = Trainer(net, Schedule(steps=STEPS, lr=1e-2, warmup=1, parts=PARTS), folder, processes=processes)

    def loss_of(batch: dict[str, Tensor], step: int, part: int) -> Tensor:
        x = net.norm(net.always(batch["x"]))
        loss = x.square().mean() + (x * batch["x"]).mean()
        loss = loss * torch.nan if part == poisoned else loss
        return loss + net.sometimes(x).square().mean() if part == 0 else loss

    def draw(rng: np.random.Generator) -> dict[str, np.ndarray]:
        return {"x": rng.standard_normal((8, 4), dtype=np.float32)}

    trainer.run(batches(draw, seed=1, numbers=trainer.numbers), loss_of)
    return trainer


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This file as two processes."""
    folder = tmp_path_factory.mktemp("two")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    line = [*command, __file__, str(folder)]
    done = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return folder


def as_one_process_of_two(folder: Path) -> None:
    with joined(torch.device("cpu")) as processes:
        trainer = train(folder, processes)
        if not processes.first:  # only the first process writes by itself
            trainer.folder = folder / "second"
            trainer.folder.mkdir()
            trainer.save()
        with pytest.raises(SiafError) as caught:
            train(folder / "nan", processes, poisoned=1)
        (folder / f"error-{processes.rank}").write_text(str(caught.value))


def test_two_processes_equal_one_with_both_batches(two: Path, tmp_path: Path) -> None:
    train(tmp_path, Processes())
    alone, first, second = (load_file(path / "checkpoint.safetensors") for path in (tmp_path, two, two / "second"))
    for name, value in alone.items():
        if not name.startswith("net.norm.") or name.endswith(("weight", "bias")):
            assert torch.allclose(value, first[name], atol=1e-6), name
    assert (tmp_path / "log.csv").read_text().count("\n") == (two / "log.csv").read_text().count("\n")
    # Statistics follow two batches a step in one process, the mean of one each in two.
    assert all(torch.equal(value, second[name]) for name, value in first.items())


def test_what_no_process_used_is_left_alone(two: Path) -> None:
    names = load_file(two / "checkpoint.safetensors")
    assert "optimiser.exp_avg.sometimes.weight" in names
    assert "optimiser.exp_avg.never.weight" not in names


def test_a_nan_in_one_process_stops_all(two: Path) -> None:
    assert (two / "error-0").read_text() == "loss is not finite at step 0, in another process"
    assert (two / "error-1").read_text().startswith("loss is nan at step 0; batch saved to ")
    assert (two / "nan/nan-batch.safetensors").exists()
    assert not (two / "nan/checkpoint.safetensors").exists()


if __name__ == "__main__":
    as_one_process_of_two(Path(sys.argv[1]))
