"""The loop: a run that was killed and resumed equals one that was not."""

import csv
import math
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor, nn

from siaf.errors import InputError, SiafError, StateError
from siaf.training.data import Steps
from siaf.training.loop import Schedule, Trainer, averaged_checkpoint
from siaf.training.processes import Processes


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 1))


def batches(start: int, stop: int) -> Iterator[dict[str, Tensor]]:
    for step in range(start, stop):
        yield {"x": torch.randn(16, 4, generator=torch.Generator().manual_seed(step))}


def run(trainer: Trainer, stop: int, minutes: float = math.inf) -> None:
    model = trainer.net
    trainer.run(
        batches(trainer.step, stop),
        lambda batch, *_: (model(batch["x"]) - batch["x"].sum(1, True)).square().mean(),
        minutes=minutes,
    )


SCHEDULE = Schedule(steps=40, lr=1e-2, warmup=5, slow={"0.": 0.1, "0.bias": 1.0})


def test_a_resumed_run_equals_an_undisturbed_one(tmp_path: Path) -> None:
    whole = Trainer(net(), SCHEDULE, tmp_path / "whole")
    run(whole, 40)
    killed = Trainer(net(), SCHEDULE, tmp_path / "killed")
    run(killed, 17)
    resumed = Trainer(net(), SCHEDULE, tmp_path / "resumed")
    resumed.resume(tmp_path / "killed" / "checkpoint.safetensors")
    assert resumed.step == 17
    run(resumed, 40)
    for one, other in zip(whole.net.state_dict().values(), resumed.net.state_dict().values(), strict=True):
        assert torch.equal(one, other)
    for name in whole.ema:
        assert torch.equal(whole.ema[name], resumed.ema[name])


def test_a_run_that_the_clock_ends_has_gone_down_to_no_learning_rate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(10_000))  # each look at it takes a second
    monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))
    trainer = Trainer(net(), Schedule(steps=10**6, lr=1e-2, warmup=5), tmp_path)
    run(trainer, 10**6, minutes=2)
    assert 40 < trainer.step < 70  # two looks a step
    rates = [float(row.split(",")[3]) for row in (tmp_path / "log.csv").read_text().splitlines()[1:]]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < 1e-3
    assert (tmp_path / "checkpoint.safetensors").is_file()


def test_it_learns_and_logs(tmp_path: Path) -> None:
    trainer = Trainer(net(), SCHEDULE, tmp_path)
    run(trainer, 40)
    rows = (tmp_path / "log.csv").read_text().splitlines()
    assert rows[0] == "step,loss,gradient,rate,seconds"
    losses = [float(row.split(",")[1]) for row in rows[1:]]
    assert len(losses) == 4
    assert losses[-1] < losses[0]


def test_what_ships_is_the_moving_average_with_the_networks_buffers(tmp_path: Path) -> None:
    trainer = Trainer(net(), SCHEDULE, tmp_path)
    run(trainer, 40)
    shipped = averaged_checkpoint(tmp_path / "checkpoint.safetensors")
    assert torch.equal(shipped["0.weight"], trainer.ema["0.weight"])
    assert not torch.equal(shipped["0.weight"], trainer.net.state_dict()["0.weight"])
    assert torch.equal(shipped["1.running_mean"], trainer.net.state_dict()["1.running_mean"])


def test_the_rate_warms_up_and_ends_at_zero_and_the_longest_prefix_slows() -> None:
    assert SCHEDULE.rate(0) == pytest.approx(2e-3)
    assert SCHEDULE.rate(4) == pytest.approx(1e-2)
    assert SCHEDULE.rate(40) == pytest.approx(0)
    assert SCHEDULE.rate(5, spent=0.5) == pytest.approx(5e-3)
    assert SCHEDULE.rate(39, spent=0.1) == SCHEDULE.rate(39)
    assert (SCHEDULE.factor("0.weight"), SCHEDULE.factor("0.bias"), SCHEDULE.factor("2.weight")) == (
        0.1,
        1.0,
        1.0,
    )


def test_a_nan_loss_stops_and_keeps_the_batch(tmp_path: Path) -> None:
    trainer = Trainer(net(), SCHEDULE, tmp_path)
    with pytest.raises(SiafError, match="loss is nan at step 0"):
        trainer.run(batches(0, 40), lambda batch, *_: batch["x"].sum() * torch.nan)
    assert not (tmp_path / "checkpoint.safetensors").exists()


def test_the_batch_of_a_nan_loss_can_be_looked_at(tmp_path: Path) -> None:
    trainer = Trainer(net(), SCHEDULE, tmp_path)

    def loss_of(batch: dict[str, Tensor], step: int, part: int) -> Tensor:
        return trainer.net(batch["x"]).mean() * (torch.nan if step == 3 else 0.0)

    with pytest.raises(SiafError, match=r"step 3; batch saved to .*nan-batch\.safetensors"):
        trainer.run(batches(0, 40), loss_of)
    (batch,) = batches(3, 4)
    assert torch.equal(load_file(tmp_path / "nan-batch.safetensors")["x"], batch["x"])
    assert trainer.step == 3
    assert all(torch.isfinite(p).all() for p in trainer.trained.values())


def test_a_checkpoint_of_another_architecture_is_refused(tmp_path: Path) -> None:
    Trainer(net(), SCHEDULE, tmp_path).save()
    other = Trainer(nn.Linear(3, 3), SCHEDULE, tmp_path)
    with pytest.raises(StateError, match=r"checkpoint\.safetensors: 11 tensors differ from the architecture: 0\.bias"):
        other.resume(tmp_path / "checkpoint.safetensors")


def test_a_checkpoint_of_another_network_is_refused_by_name(tmp_path: Path) -> None:
    Trainer(net(), SCHEDULE, tmp_path, name="siaf-t interaction").save()
    other = Trainer(net(), SCHEDULE, tmp_path, name="siaf-r50 interaction")
    with pytest.raises(StateError, match="is a checkpoint of siaf-t interaction, not of siaf-r50 interaction"):
        other.resume(tmp_path / "checkpoint.safetensors")


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes(b"<html>")
    with pytest.raises(StateError, match=r"x\.safetensors: not a training checkpoint"):
        Trainer(net(), SCHEDULE, tmp_path).resume(tmp_path / "x.safetensors")


def test_several_batches_make_one_step(tmp_path: Path) -> None:
    """Two parts of eight samples equal one batch of sixteen, where no layer looks at the batch as a whole."""

    def train(parts: int, folder: str) -> Trainer:
        torch.manual_seed(0)
        model = nn.Linear(4, 1)
        trainer = Trainer(model, replace(SCHEDULE, parts=parts, steps=10), tmp_path / folder)
        halves = ({"x": half} for batch in batches(0, 10) for half in batch["x"].chunk(parts))
        trainer.run(halves, lambda batch, *_: (model(batch["x"]) - batch["x"].sum(1, True)).square().mean())
        return trainer

    whole, split = train(1, "whole"), train(2, "split")
    assert split.step == whole.step == 10
    for name in whole.trained:
        assert torch.allclose(whole.trained[name], split.trained[name], atol=1e-6)


def test_parts_know_which_they_are_and_are_numbered_through(tmp_path: Path) -> None:
    trainer = Trainer(net(), replace(SCHEDULE, parts=2, steps=5), tmp_path)
    trainer.step = 3
    assert list(trainer.numbers) == [6, 7, 8, 9]
    seen = []

    def loss_of(batch: dict[str, Tensor], step: int, part: int) -> Tensor:
        seen.append((step, part))
        return trainer.net(batch["x"]).mean()

    trainer.run(batches(0, 4), loss_of)
    assert seen == [(3, 0), (3, 1), (4, 0), (4, 1)]


def test_processes_share_a_steps_batches(tmp_path: Path) -> None:
    shared = [Steps(3, 5, parts=4, first=rank, every=2) for rank in (0, 1)]
    assert [list(one) for one in shared] == [[12, 14, 16, 18], [13, 15, 17, 19]]
    assert shared[0][1:3] == [14, 16]
    with pytest.raises(InputError, match="parts: 2 processes cannot share 3 batches"):
        Trainer(net(), replace(SCHEDULE, parts=3), tmp_path, processes=Processes(0, 2))


def test_a_resumed_log_has_every_step_once(tmp_path: Path) -> None:
    trainer = Trainer(net(), SCHEDULE, tmp_path)
    run(trainer, 20)
    log = tmp_path / "log.csv"
    log.write_text(log.read_text() + "30,0.1,0.1,1e-3,9.0\n40,0.")  # killed after more steps than were saved
    resumed = Trainer(net(), SCHEDULE, tmp_path)
    resumed.resume(tmp_path / "checkpoint.safetensors")
    run(resumed, 40)
    assert [row.split(",")[0] for row in log.read_text().splitlines()] == ["step", "10", "20", "30", "40"]


def test_tensorboard_has_the_same_numbers_and_the_pictures(tmp_path: Path) -> None:
    trainer = Trainer(net(), SCHEDULE, tmp_path)
    picture = np.full((8, 12, 3), (250, 0, 0), np.uint8)
    trainer.run(batches(0, 20), lambda batch, *_: trainer.net(batch["x"]).square().mean(), picture=lambda: picture)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    rows = list(csv.DictReader((tmp_path / "log.csv").open()))
    assert [(e.step, f"{e.value:.4f}") for e in events.Scalars("loss")] == [(int(r["step"]), r["loss"]) for r in rows]
    assert [image.step for image in events.Images("samples")] == [20]
    with Image.open(tmp_path / "samples" / "000020.jpg") as saved:
        assert saved.size == (12, 8)
        assert np.abs(np.array(saved).astype(int) - picture).max() < 10
