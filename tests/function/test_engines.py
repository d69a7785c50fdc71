"""The function with another engine: CVAT's calls and rounds as with siaf's networks; what it says where it cannot."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("transformers")

from function_client import Client, base64_of
from small_sam2 import SIDE, small_engine, small_network

from function.service import Service
from function.settings import Settings, SettingsError
from function.store import open_store
from siaf.engines.base import Engine
from siaf.errors import OutOfMemory

Frames = NDArray[np.uint8]
BOX = {"type": "rectangle", "points": [5, 10, 25, 30]}


def worker(engine: Engine) -> Client:
    settings = Settings(interactor_reply="both")
    return Client(Service(engine, open_store("memory:", 2**26), settings))


@pytest.fixture(scope="module")
def client() -> Client:
    return worker(small_engine("edgetam"))


def test_it_says_which_engine_runs(client: Client) -> None:
    info = client.ok("GET", "/v1/info")
    assert (info["model"], info["short_side"], info["objects_per_pass"]) == ("edgetam", SIDE, 1)


def test_clicks_and_boxes_become_masks(client: Client, jpegs: list[bytes]) -> None:
    clicked = client.cvat(jpegs[0], pos_points=[[20, 20]], neg_points=[[80, 60]])
    boxed = client.cvat(jpegs[0], pos_points=[], neg_points=[], obj_bbox=[[5, 10], [25, 30]])
    assert clicked["shapes"][0]["type"] == boxed["shapes"][0]["type"] == "mask"


def test_the_tracker_follows_what_it_is_shown(client: Client, jpegs: list[bytes]) -> None:
    states = client.cvat(jpegs[0], shapes=[BOX], states=[])["states"]
    for image in jpegs[1:3]:
        answer = client.cvat(image, shapes=[None], states=states)
        states = answer["states"]
        assert answer["shapes"][0]["type"] == "rectangle" and len(answer["shapes"][0]["points"]) == 4


def test_rounds_over_http_end_as_those_of_the_library(client: Client, jpegs: list[bytes]) -> None:
    session = client.ok("POST", "/v1/sessions", {"frames": 4, "width": 96, "height": 72})["id"]
    for number, image in enumerate(jpegs[:4]):
        client.upload(session, number, image)
    drawn = [{"frame": 1, "strokes": [{"tag": 1, "points": [[20, 20], [30, 20]]}]}]
    client.ok("POST", f"/v1/sessions/{session}/rounds", {"revision": 0, "scribbles": drawn})
    answer = client.ok("POST", f"/v1/sessions/{session}/propagate", {"budget_s": 60, "after": 0})
    assert (answer["done"], answer["total"]) == (3, 3)
    assert sorted(frame["frame"] for frame in answer["frames"]) == [0, 2, 3]


def test_a_gpu_that_is_too_small_is_busy_and_no_bug(jpegs: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    client = worker(replace(small_engine("edgetam")))

    def full(*_: object, **__: object) -> None:
        raise OutOfMemory("edgetam: the GPU has too little free memory for one object")

    monkeypatch.setattr("siaf.engines.sam2.engine.Sam2Engine.interact", full)
    status, answer = client.call("POST", "/", {"image": base64_of(jpegs[0]), "pos_points": [[20, 20]]})
    assert (status, answer["error"]["message"]) == (503, "out of memory")
    (line,) = [line for line in client.log.lines if line["level"] == "error"]
    assert (line["message"], line["error"]) == (
        "out of memory",
        "edgetam: the GPU has too little free memory for one object",
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    small_network("edgetam").save_pretrained(tmp_path / "edgetam")
    return tmp_path / "edgetam"


def test_a_folder_of_published_files_is_what_it_starts_with(folder: Path) -> None:
    service = Service.start(Settings(model="edgetam", weights=folder, device="cpu"))
    assert service.model.name == "edgetam" and not service.model.autocast


def test_half_precision_that_an_engine_has_by_itself_stays(folder: Path) -> None:
    on_a_gpu = replace(small_engine("edgetam"), autocast=True)
    assert on_a_gpu.adjusted(None, None, Settings().autocast).autocast


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "SIAF_WEIGHTS: edgetam is not on this machine; run: siaf weights fetch edgetam"),
        ({"weights": "nowhere"}, "SIAF_WEIGHTS: nowhere is no folder with config.json and model.safetensors"),
        ({"weights": "empty"}, "SIAF_WEIGHTS: .*config.json: No such file"),
        ({"weights": "edgetam", "short_side": 321}, "SIAF_SHORT_SIDE: edgetam takes frames of 64 pixels only, not 321"),
    ],
)
def test_what_is_wrong_ends_the_worker_with_one_line_that_names_the_variable(
    changes: dict[str, object], message: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIAF_WEIGHTS_FOLDER", str(folder.parent / "none"))
    monkeypatch.chdir(folder.parent)
    Path("empty").mkdir()
    with pytest.raises(SettingsError, match=message) as caught:
        Service.start(Settings(**{"model": "edgetam", "device": "cpu", **changes}))  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_an_image_without_the_packages_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(SettingsError, match=r"SIAF_MODEL: edgetam: needs .*pip install 'siaf-cvat\[sam2\]'"):
        Service.start(Settings(model="edgetam", weights=folder, device="cpu"))
