"""From published files to an engine, and what is said of files that are none."""

import json
import sys
from pathlib import Path

import pytest
import torch

pytest.importorskip("transformers")

from small_sam2 import KINDS, Kind, small_engine, small_network

from siaf.engines.sam2.architectures import build
from siaf.engines.sam2.loading import open_engine
from siaf.engines.sam2.network import Sam2Network
from siaf.errors import InputError, SiafError, StateError
from siaf.model.names import ENGINE_NAMES
from siaf.weights import load_model
from siaf.weights.engines import ENGINES, fetch_engine, load_engine
from siaf.weights.files import file_digest
from siaf.weights.loading import load_networks

NAMES: dict[Kind, str] = {"edgetam": "edgetam", "sam2.1": "sam2.1-tiny"}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty weights folder."""
    monkeypatch.setenv("SIAF_WEIGHTS_FOLDER", str(tmp_path / "weights"))
    return tmp_path / "weights"


def publish(kind: Kind, folder: Path) -> Path:
    small_network(kind).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_published_files_become_the_engine_they_hold(kind: Kind, tmp_path: Path, home: Path) -> None:
    name = NAMES[kind]
    with pytest.raises(InputError, match=f"weights: {name} is not on this machine; run: siaf weights fetch {name}"):
        load_model(name, device="cpu")
    folder = fetch_engine(name, offline=publish(kind, tmp_path / "published"))
    assert folder == home / name
    engine = load_model(name, device="cpu")
    assert (engine.name, engine.digest) == (name, file_digest(folder / "model.safetensors"))
    frame = torch.randint(0, 255, (40, 50, 3), dtype=torch.uint8).numpy()
    for found, expected in zip(
        engine.encode_batch([frame])[0].named().values(),
        small_engine(kind).encode_batch([frame])[0].named().values(),
        strict=True,
    ):
        assert torch.equal(found, expected)
    assert load_engine(name, device="cpu", weights=tmp_path / "published").identity == engine.identity


def test_files_of_something_else_are_refused(tmp_path: Path, home: Path) -> None:
    folder = publish("sam2.1", tmp_path / "published")
    with pytest.raises(StateError, match=r"config.json: is of a sam2_video, edgetam is a edgetam_video"):
        fetch_engine("edgetam", offline=folder)
    config = json.loads((folder / "config.json").read_text())
    config["memory_encoder_output_channels"] = 32
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(StateError, match="not the weights of sam2.1-tiny") as caught:
        open_engine("sam2.1-tiny", folder, file_digest, "cpu")
    assert "\n" not in str(caught.value)
    (folder / "model.safetensors").write_bytes(b"<html>")
    with pytest.raises(StateError, match=r"model.safetensors: not a readable weights file"):
        fetch_engine("sam2.1-tiny", offline=folder)
    (folder / "config.json").write_text("[]")
    with pytest.raises(StateError, match="config.json: is no model's configuration"):
        fetch_engine("sam2.1-tiny", offline=folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"from: .* holds no model.safetensors"):
        fetch_engine("sam2.1-tiny", offline=folder)
    assert not (home / "sam2.1-tiny").exists()


def test_weights_that_lack_tensors_are_refused(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = publish("sam2.1", tmp_path / "published")
    tensors = load_file(folder / "model.safetensors")
    tensors.pop("no_object_pointer")
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(StateError, match="1 tensors of sam2.1-tiny are missing: no_object_pointer"):
        open_engine("sam2.1-tiny", folder, file_digest, "cpu")


@pytest.mark.parametrize("module", ["transformers", "timm"])
def test_a_missing_extra_is_named(module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = publish("edgetam", tmp_path / "published")
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(SiafError, match=r"edgetam: needs transformers and timm .*pip install 'siaf-cvat\[sam2\]'"):
        open_engine("edgetam", folder, file_digest, "cpu")


def test_an_engine_has_no_networks_of_siaf_s(home: Path) -> None:
    with pytest.raises(InputError, match="propagation: edgetam has no network to replace"):
        load_model("edgetam", propagation="aott")
    with pytest.raises(InputError, match="model: edgetam is another engine; this is about siaf's own networks only"):
        load_networks("edgetam")


def test_the_command_line_knows_the_engines_there_are() -> None:
    assert tuple(ENGINES) == ENGINE_NAMES


@pytest.mark.parametrize("name", ENGINE_NAMES)
def test_random_models_are_as_large_as_the_published_ones(name: str) -> None:
    with torch.device("meta"):
        model = build(name)
    millions = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    assert millions == pytest.approx(ENGINES[name].parameters, rel=0.03)
    assert Sam2Network(model).memory_tokens == (512 if name == "edgetam" else 4096)
