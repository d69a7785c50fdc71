"""`siaf train` from folders to a checkpoint: both stages, mixed data, checks before the first step."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.models import mobilenet_v2

from siaf.cli import main
from siaf.errors import StateError
from siaf.model.config import INTERACTION
from siaf.model.loaded import Model
from siaf.model.tinyvit import TinyViTEncoder
from siaf.training.datasets import ClipForm
from siaf.training.interaction import InteractionRecipe
from siaf.training.loop import Schedule, averaged_checkpoint
from siaf.training.propagation import PropagationRecipe
from siaf.training.run import CONFIGS, read_config
from siaf.weights import MODELS, build_model
from siaf.weights.files import Part, load_checked, save_parts

CONFIG = """
model = "siaf-t"
{batch}
[clips]
size = 65
{length}
max_objects = 2
[schedule]
steps = 2
lr = 1e-4
[schedule.slow]
"encoder." = 0.0
[recipe]
{recipe}
[[data]]
format = "photos"
path = "photos"
share = 1
[[data]]
format = "davis"
path = "clips"
share = 1
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    places = [(root / "photos/images", root / "photos/labels", i) for i in range(2)]
    places += [(root / "clips/JPEGImages/480p/a", root / "clips/Annotations/480p/a", t) for t in range(5)]
    for images, labels, i in places:
        frame = rng.integers(80, 120, (80, 96, 3), dtype=np.uint8)
        mask = np.zeros((80, 96), np.uint8)
        for tag, colour in ((1, (220, 30, 30)), (2, (30, 40, 220))):
            area = np.s_[30 * tag - 20 : 30 * tag + 5, 15 * tag + 3 * i : 15 * tag + 25 + 3 * i]
            frame[area], mask[area] = colour, tag
        for folder, name, pixels in ((images, f"{i:05d}.jpg", frame), (labels, f"{i:05d}.png", mask)):
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(folder / name)
    torch.manual_seed(0)
    torch.save(mobilenet_v2(weights=None).state_dict(), root / "mobilenetv2.pt")
    tinyvit = Part("tinyvit", TinyViTEncoder(4).state_dict())
    save_parts(root / "tinyvit.safetensors", {"encoder": tinyvit}, {})
    propagation = CONFIG.format(batch="batch = 2", length="length = 3", recipe="second_reference = 0.0")
    interaction = CONFIG.format(batch="", length="", recipe="frames = [0.5, 0.5]\nbudget = 2")
    (root / "propagation.toml").write_text(propagation)
    (root / "interaction.toml").write_text(interaction)
    return root


def arguments(data: Path, stage: str, out: Path) -> list[str]:
    config = ["--config", str(data / f"{stage}.toml")]
    return ["train", stage, "--data", str(data), "--out", str(out), "--device", "cpu", *config]


def encoder(data: Path, stage: str) -> list[str]:
    file = {"interaction": "tinyvit.safetensors", "propagation": "mobilenetv2.pt"}[stage]
    return ["--encoder-weights", str(data / file)]


@pytest.mark.parametrize("stage", ["interaction", "propagation"])
def test_a_stage_trains_on_photos_and_real_clips_and_shows_pictures(data: Path, tmp_path: Path, stage: str) -> None:
    line = arguments(data, stage, tmp_path)
    assert main([*line, *encoder(data, stage)]) == 0
    weights = averaged_checkpoint(tmp_path / "checkpoint.safetensors")
    assert any(not name.startswith("encoder.") for name in weights)
    with Image.open(tmp_path / "samples" / "000002.jpg") as picture:
        assert picture.width % 65 == 0 and picture.height % 130 == 0
    assert list(csv.reader((tmp_path / "log.csv").open())) == [["step", "loss", "gradient", "rate", "seconds"]]
    # A finished run has nothing left to do, and knows its checkpoint by name.
    resume = ["--resume", str(tmp_path / "checkpoint.safetensors"), *encoder(data, stage)]
    assert main([*line, *resume]) == 0


def test_a_stage_goes_on_from_another_runs_checkpoint(data: Path, tmp_path: Path) -> None:
    line = arguments(data, "interaction", tmp_path / "first")
    assert main([*line, *encoder(data, "interaction")]) == 0
    first = tmp_path / "first/checkpoint.safetensors"
    still = (data / "interaction.toml").read_text().replace("lr = 1e-4", "lr = 0.0")
    (tmp_path / "still.toml").write_text(still)
    line = ["train", "interaction", "--data", str(data), "--config", str(tmp_path / "still.toml"), "--device", "cpu"]
    assert main([*line, "--start", str(first), "--out", str(tmp_path / "second")]) == 0
    before, after = (averaged_checkpoint(tmp_path / f"{run}/checkpoint.safetensors") for run in ("first", "second"))
    learnt = [name for name in before if "running" not in name and "num_batches" not in name]
    assert all(torch.equal(before[name], after[name]) for name in learnt)


def test_one_command_trains_within_some_minutes_and_evaluates(data: Path, tmp_path: Path) -> None:
    line = [*arguments(data, "propagation", tmp_path), *encoder(data, "propagation")]
    assert main([*line, "--minutes", "5", "--evaluate", str(data / "clips")]) == 0
    rows = list(csv.DictReader((tmp_path / "evaluation.csv").open()))
    assert [(row["folder"], row["sequence"], row["objects"]) for row in rows] == [
        ("clips", "a", "2"),
        ("clips", "mean", "2.0"),
    ]
    checkpoint = str(tmp_path / "checkpoint.safetensors")
    again = ["evaluate", "propagation", str(data / "clips"), "--no-baselines", "--device", "cpu"]
    assert main([*again, "--propagation", checkpoint, "--csv", str(tmp_path / "again.csv")]) == 0
    assert [row["J"] for row in csv.DictReader((tmp_path / "again.csv").open())] == [row["J"] for row in rows]
    assert main([*line, "--minutes", "5", "--resume", checkpoint]) == 2  # the clock cannot be resumed


def test_weights_of_before_the_fine_decoder_leave_it_as_it_begins(tiny_model: Model) -> None:
    net = tiny_model.propagation
    own = {name: value.clone() for name, value in net.state_dict().items()}
    before = {name: value + 1 for name, value in own.items() if not name.startswith("fine.")}
    fresh = build_model("siaf-t", seed=5).propagation
    begins = {name: value.clone() for name, value in fresh.state_dict().items() if name.startswith("fine.")}
    load_checked(fresh, before, "old", new=("fine.",))
    after = fresh.state_dict()
    assert begins and all(torch.equal(after[name], value) for name, value in {**before, **begins}.items())
    some = {**before, "fine.key.weight": own["fine.key.weight"]}
    with pytest.raises(StateError, match=r"fine\."):
        load_checked(fresh, some, "half", new=("fine.",))


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.toml")), ids=lambda path: path.stem)
def test_packaged_configurations_hold_what_a_run_needs(path: Path) -> None:
    settings = read_config("propagation", Path(path.stem))
    schedule = Schedule(**settings["schedule"])
    assert schedule.rate(schedule.warmup) == pytest.approx(schedule.lr)
    recipe = {key: tuple(v) if isinstance(v, list) else v for key, v in settings["recipe"].items()}
    if "frames" in recipe:
        assert sum(InteractionRecipe(**recipe).frames) == pytest.approx(1)
        assert settings["model"] in INTERACTION
        ClipForm(**settings["clips"], length=1)
    elif "pictures" in recipe:  # the segmenter's
        assert recipe["pictures"] > 0
        ClipForm(**settings["clips"], length=1)
    elif path.stem == "boundary":
        assert recipe["batch"] > 0
        assert {table["format"] for table in settings["data"]} == {"davis"}
    else:
        PropagationRecipe(**recipe)
        assert settings["model"] in MODELS
        assert settings["batch"] >= 1
        ClipForm(**settings["clips"])


def test_another_stages_checkpoint_is_refused_by_name(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments(data, "interaction", tmp_path), *encoder(data, "interaction")]) == 0
    resume = ["--resume", str(tmp_path / "checkpoint.safetensors")]
    line = arguments(data, "propagation", tmp_path / "other")
    assert main([*line, *encoder(data, "propagation"), *resume]) == 2
    assert "is a checkpoint of siaf-t interaction, not of siaf-t propagation" in capsys.readouterr().err


def test_problems_are_named_file_by_file_before_anything_is_trained(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = [data / "photos/labels/00001.png", data / "clips/JPEGImages/480p/a/00003.jpg"]
    kept = [path.read_bytes() for path in broken]
    broken[0].unlink()
    broken[1].write_bytes(b"nothing")
    try:
        line = [*arguments(data, "propagation", tmp_path / "out"), *encoder(data, "propagation")]
        assert main(line) == 2
        (error,) = capsys.readouterr().err.splitlines()
        assert any(str(path) in error for path in broken)
        assert "(and 1 more: siaf train check names them)" in error
        assert not (tmp_path / "out").exists()
        check = ["train", "check", "--data", str(data), "--config", str(data / "propagation.toml")]
        assert main(check) == 2
        said = capsys.readouterr()
        assert [any(str(path) in line for line in said.out.splitlines()) for path in broken] == [True, True]
        assert said.err == f"siaf: {data}: 2 problems\n"
    finally:
        for path, content in zip(broken, kept, strict=True):
            path.write_bytes(content)
    assert main(check) == 0
    assert "no problems" in capsys.readouterr().out


def test_a_configuration_that_is_none_is_named(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "c.toml").write_text('model = "siaf-t"\n')
    assert main(["train", "check", "--data", str(data), "--config", str(tmp_path / "c.toml")]) == 2
    assert "c.toml: has no 'clips'" in capsys.readouterr().err
