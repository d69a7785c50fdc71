"""Models by name from elsewhere: `hf:ORG/NAME` of a hub that runs here, and `best` of those on this machine."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hub_server import hub

from siaf import load_model
from siaf.errors import InputError
from siaf.weights import build_model, packaged_weights, save_weights, weights_info

SHIPPED = packaged_weights("siaf-t")
SEGMENTER = packaged_weights("mobilesam")
LOAD = """
import sys, siaf
from siaf.errors import SiafError
try:
    model = siaf.load_model(sys.argv[1], device="cpu")
    print(model.name, model.digest)
except SiafError as error:
    print(type(error).__name__, error)
"""


@pytest.fixture
def loaded(tmp_path: Path) -> Callable[[str, str], str]:
    """What loading says in a process of its own: huggingface_hub reads its settings when it is imported."""

    def load(name: str, endpoint: str) -> str:
        own = {"HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path), "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
        command = [sys.executable, "-c", LOAD, name]
        return subprocess.run(command, env=os.environ | own, capture_output=True, text=True).stdout.strip()

    return load


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    assert SHIPPED is not None
    with hub("team/dogs", {"model.safetensors": SHIPPED}) as address:
        yield address


def test_a_hub_s_model_is_loaded_and_then_served_from_the_cache(
    loaded: Callable[[str, str], str], endpoint: str
) -> None:
    assert SHIPPED is not None
    whole = f"siaf-t {weights_info(SHIPPED)['digest']}"
    assert loaded("hf:team/dogs@main", endpoint) == whole
    assert loaded("hf:team/dogs", "http://127.0.0.1:9") == whole  # nobody is there


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("hf:team/cats", "InputError model: hf:team/cats: "),
        ("hf:team/dogs@v2", "InputError model: hf:team/dogs@v2: "),
        ("hf:dogs", "InputError model: must be hf:ORG/NAME or hf:ORG/NAME@REVISION, not 'hf:dogs'"),
        ("hf:team/-", "InputError model: hf:team/-: "),
    ],
)
def test_what_the_hub_has_not_is_named(loaded: Callable[[str, str], str], endpoint: str, name: str, said: str) -> None:
    answer = loaded(name, endpoint)
    assert answer.startswith(said) and "\n" not in answer


def test_a_hub_out_of_reach_is_named(loaded: Callable[[str, str], str]) -> None:
    answer = loaded("hf:team/dogs", "http://127.0.0.1:9")
    assert answer == "SiafError hf:team/dogs: the hub cannot be reached, and its model.safetensors is not in the cache"


def test_a_file_that_is_no_model_is_refused(loaded: Callable[[str, str], str]) -> None:
    assert SEGMENTER is not None
    with hub("team/sam", {"model.safetensors": SEGMENTER}) as address:
        answer = loaded("hf:team/sam", address)
    assert answer.startswith("StateError hf:team/sam: holds no model of siaf's")


def test_best_is_the_most_accurate_model_of_the_weights_folder(folder: Path) -> None:
    with pytest.raises(InputError, match="run: siaf weights best") as caught:
        load_model("best", device="cpu")
    assert caught.value.field == "model"
    made = build_model("siaf-r50", device="cpu")
    nets = made.interaction.state_dict(), made.propagation.state_dict()
    save_weights(folder / "siaf-r50.safetensors", "siaf-r50", *nets, {"note": "random"})
    assert load_model("best", device="cpu").name == "siaf-r50"


@pytest.mark.parametrize("name", ["best", "hf:team/dogs"])
def test_weights_beside_a_model_that_brings_its_own_are_refused(name: str) -> None:
    with pytest.raises(InputError, match="brings its own") as caught:
        load_model(name, device="cpu", weights="siaf-t")
    assert caught.value.field == "weights"
