"""Full-size AFI (siaf-r50, siaf-swinb): its stages' configurations are complete, and a step teaches it."""

import numpy as np
import pytest
import torch

from siaf.model.config import INTERACTION, InteractionConfig
from siaf.model.interaction import UNMARKED, InteractionNet
from siaf.training.interaction import InteractionLoss, InteractionRecipe
from siaf.training.loop import Schedule
from siaf.training.run import CONFIGS, read_config

MODELS = ("siaf-r50", "siaf-swinb")
STAGES = sorted(path.stem for model in MODELS for path in CONFIGS.glob(f"{model}-*.toml"))


def test_both_models_have_all_three_stages() -> None:
    assert [f"{m}-{s}" for m in MODELS for s in ("davis", "lvis", "youtube-vos")] == STAGES


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_names_its_data_and_slows_layers_that_exist(stage: str) -> None:
    settings = read_config("interaction", CONFIGS / f"{stage}.toml")
    schedule = Schedule(**settings["schedule"])
    recipe = InteractionRecipe(**{k: tuple(v) if isinstance(v, list) else v for k, v in settings["recipe"].items()})
    assert sum(recipe.frames) == pytest.approx(1) and settings["data"]
    config = INTERACTION[settings["model"]]
    assert settings["clips"]["size"] % 16 == (1 if config.align_corners else 0)
    with torch.device("meta"):
        names = [name for name, _ in InteractionNet(config).named_parameters()]
    assert all(any(name.startswith(prefix) for name in names) for prefix in schedule.slow)


def _batch(size: int) -> dict[str, torch.Tensor]:
    """One clip of two frames in which two objects are drawn on one frame each."""
    rng = np.random.default_rng(0)
    frames = torch.from_numpy(rng.integers(0, 256, (1, 2, size, size, 3), dtype=np.uint8))
    labels = torch.zeros(1, 2, size, size, dtype=torch.int16)
    labels[:, :, 4:20, 4:20], labels[:, :, 26:44, 24:44] = 1, 2
    strokes = torch.full_like(labels, UNMARKED)
    strokes[:, 0, 10, 6:18], strokes[:, 1, 35, 26:42] = 1, 2
    return {"frames": frames, "labels": labels, "strokes": strokes, "previous": torch.full_like(labels, UNMARKED)}


@pytest.mark.parametrize(("name", "size"), [("siaf-r50", 49), ("siaf-swinb", 48)])
def test_a_step_lowers_the_loss_and_reaches_every_layer(name: str, size: int) -> None:
    torch.manual_seed(0)
    config: InteractionConfig = INTERACTION[name]
    net = InteractionNet(config).train()
    loss_of = InteractionLoss(net, InteractionRecipe(feedback=0.0), steps=10, seed=0)
    batch = _batch(size)
    before = loss_of(batch, 0)
    before.backward()
    silent = [n for n, p in net.named_parameters() if p.requires_grad and p.grad is None]
    assert silent == []
    with torch.no_grad():
        norm = torch.cat([p.grad.flatten() for p in net.parameters() if p.grad is not None]).norm()
        for parameter in net.parameters():
            if parameter.grad is not None:
                parameter -= 0.05 / norm * parameter.grad
    assert loss_of(batch, 0) < before
