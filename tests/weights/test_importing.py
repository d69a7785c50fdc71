"""Fetching: download, check and import in one step; what nobody can check is said."""

import dataclasses
import io
from pathlib import Path

import pytest
import torch
from one_file_server import Site
from torchvision.models import mobilenet_v2

from siaf.errors import InputError, SiafError, StateError
from siaf.evaluation.parity import random_state
from siaf.model.config import INTERACTION, PROPAGATION
from siaf.model.gated import build_propagation
from siaf.weights import load_model
from siaf.weights.catalogue import BEST, CATALOGUE
from siaf.weights.checkpoints import file_sha256
from siaf.weights.files import read_parts, weights_info
from siaf.weights.importing import best, fetch, verify
from siaf.weights.loading import check_encoder


def published(name: str, monkeypatch: pytest.MonkeyPatch, **changes: object) -> None:
    monkeypatch.setitem(CATALOGUE, name, dataclasses.replace(CATALOGUE[name], **changes))


def checkpoint() -> bytes:
    file = io.BytesIO()
    torch.save({"state_dict": random_state(build_propagation(PROPAGATION["deaott"]))}, file)
    return file.getvalue()


def test_fetching_ends_with_a_weights_file_and_no_leftovers(
    site: Site, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.content, site.breaks = checkpoint(), [5_000_000]
    published("deaott", monkeypatch, url=site.url)
    path, unchecked = fetch("deaott")
    assert path == folder / "deaott.safetensors" and read_parts(path)["propagation"].architecture == "deaott"
    assert site.url in weights_info(path)["provenance"]
    assert unchecked == verify(path) and "its publisher states no digest" in unchecked[0]
    assert sorted(p.name for p in folder.rglob("*") if p.is_file()) == ["deaott.safetensors"]


def test_a_web_page_instead_of_the_file_leaves_nothing(
    site: Site, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.content = b"<html>Google Drive can't scan this file for viruses</html>"  # without saying that it is HTML
    published("deaott", monkeypatch, url=site.url)
    with pytest.raises(StateError, match="is a web page, not a checkpoint"):
        fetch("deaott")
    assert not (folder / "deaott.safetensors").exists()


def test_a_folder_stands_in_for_the_network(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "mobilenet_v2-b0353104.pth"
    torch.save(mobilenet_v2().state_dict(), file)
    with pytest.raises(StateError, match="SHA-256 is .*, published is b0353104"):
        fetch("mobilenetv2-imagenet", offline=tmp_path)
    published("mobilenetv2-imagenet", monkeypatch, sha256=file_sha256(file)[:8])
    path, unchecked = fetch("mobilenetv2-imagenet", offline=tmp_path)
    assert unchecked == [] == verify(path)
    assert file.exists()


def test_without_a_network_the_way_around_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    published("aott", monkeypatch, url="http://127.0.0.1:9/x")
    with pytest.raises(SiafError, match="save it as AOTT_PRE_YTB_DAV.pth and run: siaf weights fetch aott --from"):
        fetch("aott")


def test_unknown_names_and_empty_folders_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="name: unknown weights 'aotx'; known: aott, "):
        fetch("aotx")
    with pytest.raises(InputError, match="from: .* holds no AOTT_PRE_YTB_DAV.pth"):
        fetch("aott", offline=tmp_path)


def test_the_best_published_network_becomes_a_model_in_one_step(
    site: Site, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = io.BytesIO()
    torch.save({"state_dict": random_state(build_propagation(PROPAGATION["r50_deaotl"]))}, file)
    site.content = file.getvalue()
    published("r50_deaotl", monkeypatch, url=site.url)
    path, unchecked = best("siaf-r50")
    assert path == folder / "siaf-r50.safetensors"
    assert "its publisher states no digest" in unchecked[0]
    model = load_model("siaf-r50", device="cpu")
    assert model.propagation.config == PROPAGATION["r50_deaotl"]
    assert model.interaction.config == INTERACTION["siaf-t"]
    assert site.url in weights_info(path)["provenance"]
    asked = len(site.asked)
    assert best("siaf-r50")[0] == path
    assert len(site.asked) == asked  # it is there already


def test_every_best_network_is_published_and_fits_its_model() -> None:
    for model, name in BEST.items():
        assert CATALOGUE[name].kind == "propagation"
        check_encoder(model, name)
