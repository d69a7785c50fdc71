"""Weights files: what is written comes back, and what does not fit is refused by name."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from siaf.errors import InputError, StateError
from siaf.network import Model
from siaf.weights import build_model, load_model, read_weights, save_weights, weights_info


@pytest.fixture
def file(tiny_model: Model, tmp_path: Path) -> Path:
    path = tmp_path / "w.safetensors"
    nets = tiny_model.interaction.state_dict(), tiny_model.propagation.state_dict()
    save_weights(path, "siaf-t", *nets, {"note": "random, for tests"})
    return path


def test_a_saved_model_loads_with_half_precision_values(file: Path, tiny_model: Model) -> None:
    loaded = load_model("siaf-t", device="cpu", weights=file)
    for ours, theirs in zip(tiny_model.propagation.parameters(), loaded.propagation.parameters(), strict=True):
        assert torch.equal(ours.half().float(), theirs)
    assert loaded.digest == weights_info(file)["digest"]
    assert not loaded.interaction.training


def test_the_digest_follows_the_content(file: Path, tiny_model: Model, tmp_path: Path) -> None:
    other = tmp_path / "other.safetensors"
    state = {k: v + 1 for k, v in tiny_model.interaction.state_dict().items()}
    save_weights(other, "siaf-t", state, tiny_model.propagation.state_dict(), {})
    assert weights_info(other)["digest"] != weights_info(file)["digest"]


def test_random_models_are_the_same_for_a_seed_and_leave_the_generator_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first, second = build_model("siaf-t", seed=1), build_model("siaf-t", seed=1)
    assert torch.equal(torch.rand(1), expected)
    assert all(
        torch.equal(a, b) for a, b in zip(first.interaction.parameters(), second.interaction.parameters(), strict=True)
    )


def test_an_unknown_model_is_named() -> None:
    with pytest.raises(InputError, match="'siaf-x'"):
        load_model("siaf-x")


def test_a_model_without_packaged_weights_asks_for_a_file() -> None:
    with pytest.raises(InputError, match="weights: no weights of siaf-swinb ship"):
        load_model("siaf-swinb", device="cpu")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"weights: no such file: .*none"):
        load_model("siaf-t", weights=tmp_path / "none")


def test_weights_of_another_model_are_refused(file: Path) -> None:
    with pytest.raises(StateError, match="weights of 'siaf-t', not of 'siaf-r50'"):
        read_weights(file, "siaf-r50")


@pytest.mark.parametrize("content", [b"", b"<html>404</html>", b"\x80\x02}q\x00."])
def test_something_else_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(content)
    with pytest.raises(StateError, match="not a readable weights file"):
        read_weights(path, "siaf-t")


def test_tensors_that_do_not_fit_are_listed(tiny_model: Model, tmp_path: Path) -> None:
    state = dict(tiny_model.propagation.state_dict())
    state["extra"] = torch.zeros(3)
    del state["LSTT.mask_token"]
    path = tmp_path / "w.safetensors"
    save_weights(path, "siaf-t", tiny_model.interaction.state_dict(), state, {})
    with pytest.raises(StateError, match=r"2 tensors differ.*LSTT\.mask_token: None instead of \(1, 1, 128\)"):
        load_model("siaf-t", weights=path)


def test_a_safetensors_file_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_file({"x": torch.zeros(1)}, path)
    with pytest.raises(StateError, match="format is None"):
        read_weights(path, "siaf-t")
