"""`siaf train segmenter`: what rounds and clicks ask, and a decoder that learns from it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file

from siaf.boxes import mask_box
from siaf.cli import main
from siaf.evaluation.prompt_recording import record_prompts
from siaf.model.loaded import Model
from siaf.model.sam import SegmentAnything
from siaf.training.loop import averaged_checkpoint
from siaf.training.segmenter import example_batches, freeze, segmenter_loss, write_examples
from siaf.weights import load_model
from siaf.weights.files import read_parts
from siaf.weights.loading import packaged_weights

CONFIG = """
model = "siaf-t"
[[data]]
format = "photos"
path = "photos"
[clips]
size = 96
max_objects = 2
[schedule]
steps = 2
lr = 1e-4
parts = 2
[recipe]
pictures = 2
kept = 0.5
"""


def picture() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A red and a blue square on grey noise."""
    frame = np.random.default_rng(0).integers(80, 120, (96, 128, 3), dtype=np.uint8)
    labels = np.zeros((96, 128), np.uint8)
    for tag, left, colour in ((1, 15, (220, 30, 30)), (2, 75, (30, 40, 220))):
        frame[30:65, left : left + 40], labels[30:65, left : left + 40] = colour, tag
    return frame, labels


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model("siaf-t", device="cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("segmenter")
    frame, labels = picture()
    for kind, pixels in (("images/0.png", frame), ("labels/0.png", labels)):
        (root / "photos" / kind).parent.mkdir(parents=True)
        Image.fromarray(pixels).save(root / "photos" / kind)
    (root / "config.toml").write_text(CONFIG)
    return root


def test_a_box_clicks_and_strokes_are_asked_with_their_objects(model: Model) -> None:
    frame, labels = picture()
    (asked,) = record_prompts(model, frame, labels, np.random.default_rng(1))
    assert np.array_equal(asked.picture, frame)
    examples = asked.examples
    box, loose = (e.prompt.box for e in examples[:2])
    assert box in [mask_box(labels == tag) for tag in (1, 2)]
    assert loose is not None and loose != box
    assert np.abs(np.array(loose) - np.array(box)).max() <= 4
    clicked = [e for e in examples if e.share == 1]
    assert all(len(e.prompt.positive) + len(e.prompt.negative) > 1 for e in clicked)
    assert model.segmenter is not None
    for example in examples:
        assert example.truth.shape == model.segmenter.mask_size(*labels.shape)
        assert 0.08 < (example.truth > 127).float().mean() < 0.14  # one square, not both
        for x, y in example.prompt.positive.astype(int).tolist():
            cell = example.truth[y * example.truth.shape[0] // 96, x * example.truth.shape[1] // 128]
            assert cell > 64  # a cell at the edge is partly outside


def test_what_is_asked_on_a_close_up_has_its_part_of_the_truth(model: Model) -> None:
    small, small_labels = picture()
    frame = np.random.default_rng(0).integers(80, 120, (500, 800, 3), dtype=np.uint8)
    labels = np.zeros((500, 800), np.uint8)
    frame[200:392, 300:556] = np.kron(small, np.ones((2, 2, 1), np.uint8))
    labels[200:392, 300:556] = np.kron(small_labels, np.ones((2, 2), np.uint8))
    whole, *close_ups = record_prompts(model, frame, labels, np.random.default_rng(1))
    assert np.array_equal(whole.picture, frame)
    assert close_ups
    assert model.segmenter is not None
    for asked in close_ups:
        assert asked.picture.shape < frame.shape
        for example in asked.examples:
            assert example.truth.shape == model.segmenter.mask_size(*asked.picture.shape[:2])
            height, width = asked.picture.shape[:2]
            for x, y in example.prompt.positive.astype(int).tolist():
                red, _, blue = asked.picture[y, x].tolist()
                assert abs(red - blue) > 100  # on a square
                cell = example.truth[y * example.truth.shape[0] // height, x * example.truth.shape[1] // width]
                assert cell > 64


def test_what_is_written_is_what_the_decoder_was_asked(model: Model, tmp_path: Path) -> None:
    frame, labels = picture()
    examples = record_prompts(model, frame, labels, np.random.default_rng(1))[0].examples
    segmenter = model.segmenter
    assert segmenter is not None
    write_examples(tmp_path / "0.safetensors", segmenter, frame, examples)
    tensors = load_file(tmp_path / "0.safetensors")
    assert sum(key.endswith(".share") for key in tensors) == len(examples)
    found = segmenter.segment(frame, examples[0].prompt)
    again, _ = segmenter.net(
        segmenter.net.image_encoder(segmenter.prepared(frame)),
        tensors["0.points"],
        tensors["0.labels"],
        tensors["0.mask"][None, None].float(),
    )
    assert (again[0, 0] - found).abs().max() < 0.1


def test_the_loss_falls_on_what_it_was_trained_on(tmp_path: Path) -> None:
    model = load_model("siaf-t", device="cpu")
    frame, labels = picture()
    segmenter = model.segmenter
    assert segmenter is not None
    examples = record_prompts(model, frame, labels, np.random.default_rng(1))[0].examples[:1]
    write_examples(tmp_path / "0.safetensors", segmenter, frame, examples)
    drawn = example_batches([tmp_path / "0.safetensors"])(np.random.default_rng(0))
    batch = {key: torch.from_numpy(value) for key, value in drawn.items()}
    freeze(segmenter.net)
    optimiser = torch.optim.AdamW([p for p in segmenter.net.parameters() if p.requires_grad], lr=1e-4)
    losses = []
    for _ in range(4):
        loss = segmenter_loss(segmenter.net, batch)
        losses.append(loss.item())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert losses[-1] < losses[0]
    assert segmenter.net.image_encoder.backbone.patch_embed[0].weight.grad is None


def test_the_command_trains_and_writes_weights_that_evaluate_takes(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    arguments = ["train", "segmenter", "--data", folder, "--config", folder / "config.toml", "--out", out]
    assert main([str(a) for a in arguments]) == 0
    examples = sorted((out / "examples").iterdir())
    assert len([path for path in examples if "-" not in path.stem]) == 2
    shipped = packaged_weights("mobilesam")
    assert shipped is not None
    before, after = (read_parts(path)["segmenter"].tensors for path in (shipped, out / "mobilesam.safetensors"))
    assert before.keys() == after.keys()
    changed = {key for key in before if not torch.equal(before[key], after[key])}
    assert any(key.startswith("mask_decoder.transformer.") for key in changed)
    assert not any(key.startswith(("image_encoder.backbone.", "image_encoder.neck.")) for key in changed)

    # Half of the change is kept.
    net = SegmentAnything()
    net.load_state_dict(averaged_checkpoint(out / "checkpoint.safetensors"))
    name = "mask_decoder.tokens"
    middle = (before[name].float() + net.state_dict()[name]) / 2
    assert torch.allclose(after[name].float(), middle, atol=1e-3)

    written = [path.stat().st_mtime_ns for path in examples]
    assert main([str(a) for a in (*arguments, "--resume", out / "checkpoint.safetensors")]) == 0
    assert [path.stat().st_mtime_ns for path in examples] == written


def test_a_run_goes_on_only_from_what_it_started_from(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["train", "segmenter", "--data", folder, "--config", folder / "config.toml"]
    assert main([str(a) for a in (*arguments, "--out", tmp_path / "first")]) == 0
    second = [*arguments, "--out", tmp_path / "second"]
    assert main([str(a) for a in (*second, "--start", tmp_path / "first" / "mobilesam.safetensors")]) == 0
    # Without --start the rest would be asked of, and averaged with, the weights that ship.
    capsys.readouterr()
    assert main([str(a) for a in (*second, "--resume", tmp_path / "second" / "checkpoint.safetensors")]) == 2
    assert "is a checkpoint of mobilesam from " in capsys.readouterr().err


def test_pictures_without_an_object_large_enough_are_passed_over(
    model: Model, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    frame, _ = picture()
    small = np.zeros(frame.shape[:2], np.uint8)
    small[4:7, 4:7] = 1
    assert record_prompts(model, frame, small, np.random.default_rng(0)) == []

    monkeypatch.setattr("siaf.evaluation.prompt_recording.record_prompts", lambda *_: [])
    arguments = ["train", "segmenter", "--data", folder, "--config", folder / "config.toml", "--out", tmp_path]
    assert main([str(a) for a in arguments]) == 2
    assert "data: its pictures show no object that is large enough" in capsys.readouterr().err


def test_data_is_checked_first_and_a_run_by_the_clock_is_not_resumed(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("images", "labels"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        (tmp_path / "photos" / name / "0.png").write_bytes(b"no picture")
    common = ["train", "segmenter", "--config", str(folder / "config.toml"), "--out", str(tmp_path / "out"), "--data"]
    assert main([*common, str(tmp_path)]) == 2
    assert "0.png: cannot be read as an image" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert main([*common, str(folder), "--minutes", "5", "--resume", "x.safetensors"]) == 2
    assert "minutes: a run that the clock ends cannot be resumed" in capsys.readouterr().err
    check = ["train", "check", "--stage", "segmenter", "--config", str(folder / "config.toml"), "--data", str(folder)]
    assert main(check) == 0
    assert capsys.readouterr().out == "no problems\n"
