"""`siaf train boundary`: what the network answers, crops of it, and a refiner that learns from them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file

from siaf.cli import main
from siaf.errors import InputError
from siaf.model.boundary import BoundaryRefiner
from siaf.model.loaded import Model
from siaf.training.boundary import boundary_loss, crops, write_answers
from siaf.training.videos import davis
from siaf.weights import load_model
from siaf.weights.files import read_parts
from siaf.weights.loading import packaged_weights

CONFIG = """
model = "siaf-t"
[[data]]
format = "davis"
path = "video"
[[data]]
format = "davis"
path = "video"
[clips]
size = 64
[schedule]
steps = 2
lr = 1e-3
[recipe]
batch = 2
"""


def frame_of(step: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A red square that moves over grey noise, and a blue one that stays."""
    frame = np.random.default_rng(step).integers(90, 120, (96, 128, 3), dtype=np.uint8)
    labels = np.zeros((96, 128), np.uint8)
    for tag, left, colour in ((1, 15 + 3 * step, (220, 30, 30)), (3, 80, (30, 40, 220))):
        frame[30:65, left : left + 40], labels[30:65, left : left + 40] = colour, tag
    return frame, labels


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("boundary")
    images, masks = (root / "video" / kind / "480p" / "squares" for kind in ("JPEGImages", "Annotations"))
    for where in (images, masks):
        where.mkdir(parents=True)
    for step in range(4):
        frame, labels = frame_of(step)
        Image.fromarray(frame).save(images / f"{step:05d}.jpg", quality=95)
        Image.fromarray(labels if step else np.zeros_like(labels)).save(masks / f"{step:05d}.png")
    (root / "config.toml").write_text(CONFIG)
    return root


@pytest.fixture(scope="module")
def model() -> Model:
    loaded = load_model("siaf-t", device="cpu")
    assert isinstance(loaded, Model)
    return loaded


def test_an_answer_is_written_for_every_frame_after_the_first_that_shows_an_object(
    model: Model, folder: Path, tmp_path: Path
) -> None:
    (video,) = davis(folder / "video")
    paths = [*write_answers(tmp_path, model, video, "0-squares")]
    assert [path.name for path in paths] == ["0-squares-00002.safetensors", "0-squares-00003.safetensors"]
    found = load_file(paths[1])
    assert found["tags"].tolist() == [0, 1, 3]
    assert torch.equal(found["truth"], torch.from_numpy(frame_of(3)[1]))
    rows, columns = found["logits"].shape[1:]
    assert found["picture"].shape == (3, 6 * rows - 5, 6 * columns - 5)
    winner = found["logits"].float().argmax(0)
    assert 0.1 < (winner == 1).float().mean() < 0.2  # the square has 0.11 of the frame
    times = [path.stat().st_mtime_ns for path in paths]
    assert [*write_answers(tmp_path, model, video, "0-squares")] == paths
    assert [path.stat().st_mtime_ns for path in paths] == times


def test_crops_show_boundaries_and_the_loss_falls(model: Model, folder: Path, tmp_path: Path) -> None:
    (video,) = davis(folder / "video")
    draw = crops([(1.0, [[*write_answers(tmp_path, model, video, "squares")]])], 64, 4)
    batch = {key: torch.from_numpy(value) for key, value in draw(np.random.default_rng(1)).items()}
    assert batch["picture"].shape == (4, 3, 64, 64)
    assert all(batch[key].shape == (4, 64, 64) for key in ("margin", "rival", "near", "truth"))
    assert all(0 < share < 1 for share in batch["truth"].mean((1, 2)).tolist())
    torch.manual_seed(0)
    net = BoundaryRefiner()
    optimiser = torch.optim.Adam(net.parameters(), 3e-3)
    losses = []
    for _ in range(40):
        optimiser.zero_grad()
        loss = boundary_loss(net, batch)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


def test_the_command_writes_the_network_with_a_new_refiner_and_all_else_as_it_was(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, line = tmp_path / "run", ["train", "boundary", "--data", str(folder), "--config", str(folder / "config.toml")]
    assert main([*line, "--out", str(out), "--device", "cpu"]) == 0
    said = capsys.readouterr().out
    assert "squares: 2 frames" in said and said.splitlines()[-1].startswith("4 frames, 2 steps")
    shipped = packaged_weights("siaf-t")
    assert shipped is not None
    before, after = (read_parts(p)["propagation"].tensors for p in (shipped, out / "propagation.safetensors"))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {name for name in before if name.startswith("boundary.")}
    trained = load_model("siaf-t", device="cpu", propagation=out / "propagation.safetensors")
    assert isinstance(trained, Model) and trained.propagation.boundary is not None


def test_what_is_no_video_and_folders_that_are_not_there_are_named(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = tmp_path / "synthetic.toml"
    wrong.write_text(CONFIG.replace('"davis"', '"synthetic"'))
    line = ["train", "boundary", "--out", str(tmp_path / "run"), "--device", "cpu"]
    assert main([*line, "--data", str(folder), "--config", str(wrong)]) == 2
    assert "data[0].format" in capsys.readouterr().err
    assert main([*line, "--data", str(tmp_path / "nowhere")]) == 2
    assert "nowhere" in capsys.readouterr().err
    with pytest.raises(InputError, match="two frames"):
        crops([(1.0, [[]])], 64, 1)
