"""The loop: a run that was killed and resumed equals one that was not."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from siaf.errors import SiafError, StateError
from siaf.training.loop import Schedule, Trainer, averaged_checkpoint


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 1))


def batches(start: int, stop: int) -> Iterator[dict[str, Tensor]]:
    for step in range(start, stop):
        yield {"x": torch.randn(16, 4, generator=torch.Generator().manual_seed(step))}


def run(trainer: Trainer, stop: int) -> None:
    model = trainer.net
    trainer.run(
        batches(trainer.step, stop),
        lambda batch, _: (model(batch["x"]) - batch["x"].sum(1, True)).square().mean(),
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
    assert (SCHEDULE.factor("0.weight"), SCHEDULE.factor("0.bias"), SCHEDULE.factor("2.weight")) == (
        0.1,
        1.0,
        1.0,
    )


def test_a_nan_loss_stops_and_keeps_the_batch(tmp_path: Path) -> None:
    trainer = Trainer(net(), SCHEDULE, tmp_path)
    with pytest.raises(SiafError, match="loss is nan at step 0"):
        trainer.run(batches(0, 40), lambda batch, _: batch["x"].sum() * torch.nan)
    assert (tmp_path / "nan-batch.safetensors").exists()


def test_a_checkpoint_of_another_architecture_is_refused(tmp_path: Path) -> None:
    Trainer(net(), SCHEDULE, tmp_path).save()
    other = Trainer(nn.Linear(3, 3), SCHEDULE, tmp_path)
    with pytest.raises(StateError, match="another architecture"):
        other.resume(tmp_path / "checkpoint.safetensors")
