"""Weights files: what is written comes back, and what does not fit is refused by name."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from siaf.errors import InputError, StateError
from siaf.evaluation.parity import random_state
from siaf.model.config import INTERACTION, PROPAGATION
from siaf.model.gated import build_propagation
from siaf.model.loaded import Model
from siaf.scribbles import Scribble
from siaf.session.session import Session
from siaf.weights import build_model, load_model, read_weights, save_weights, weights_info
from siaf.weights.files import Part, save_parts


@pytest.fixture
def file(tiny_model: Model, tmp_path: Path) -> Path:
    path = tmp_path / "w.safetensors"
    nets = tiny_model.interaction.state_dict(), tiny_model.propagation.state_dict()
    save_weights(path, "siaf-t", *nets, {"note": "random, for tests"})
    return path


def test_a_saved_model_comes_back_in_half_precision(file: Path, tiny_model: Model) -> None:
    tensors = read_weights(file, "siaf-t")
    for name, value in tiny_model.propagation.state_dict().items():
        assert torch.equal(tensors[f"propagation.{name}"], value.half().float())
    loaded = load_model("siaf-t", device="cpu", weights=file)
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
    with pytest.raises(InputError, match="weights: siaf comes with no weights of siaf-swinb"):
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


def imported(architecture: str, folder: Path) -> Path:
    state = random_state(build_propagation(PROPAGATION[architecture]))
    path = folder / f"{architecture}.safetensors"
    save_parts(path, {"propagation": Part(architecture, state)}, {})
    return path


def test_an_imported_propagation_network_pairs_with_the_interaction_network_that_ships(
    folder: Path, clip: NDArray[np.uint8]
) -> None:
    path = imported("r50_deaotl", folder)
    model = load_model("siaf-r50", device="cpu", propagation="r50_deaotl", interaction="siaf-t")
    shipped = load_model("siaf-t", device="cpu")
    assert model.propagation.config == PROPAGATION["r50_deaotl"] and model.interaction.config == INTERACTION["siaf-t"]
    assert (model.short_side, model.interaction_short_side) == (480, 369)
    assert model.digest not in (shipped.digest, weights_info(path)["digest"])

    model = replace(model, short_side=65, interaction_short_side=65)
    session = Session(model, clip)
    session.interact({0: [Scribble(tag=1, points=np.array([[8.0, 20.0], [20.0, 20.0]]))]})
    list(session.propagate())
    session.save(folder / "s.siaf")
    again = Session.load(folder / "s.siaf", model, clip)
    assert all(np.array_equal(session.mask(t), again.mask(t)) for t in range(len(clip)))


def test_a_propagation_network_with_another_encoder_is_refused(folder: Path) -> None:
    imported("aott", folder)
    with pytest.raises(
        StateError, match="propagation: aott is not a propagation network of siaf-r50; .*r50_aotl, r50_d"
    ):
        load_model("siaf-r50", propagation="aott", interaction="siaf-t")
    assert load_model("siaf-t", device="cpu", propagation="aott").propagation.config == PROPAGATION["aott"]


def test_published_weights_that_are_not_here_name_the_command_that_gets_them(folder: Path) -> None:
    with pytest.raises(InputError, match="propagation: r50_aotl is not on this machine; run: siaf weights fetch r50_a"):
        load_model("siaf-r50", propagation="r50_aotl", interaction="siaf-t")


def test_a_file_without_the_asked_network_is_refused(folder: Path) -> None:
    path = imported("aott", folder)
    with pytest.raises(StateError, match="holds propagation, but no interaction network"):
        load_model("siaf-t", interaction=path)
