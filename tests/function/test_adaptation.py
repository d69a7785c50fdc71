"""SIAF_ADAPT, and `adapt` of a propagate call: as `Session.adapt`, within the call's time."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from crafted_states import document_of
from function_client import Client
from http_rounds import HEIGHT, WIDTH, Masks, open_session, propagate, read
from numpy.typing import NDArray
from safetensors.torch import load, save

from function.service import Service
from siaf import Session
from siaf.masks import index_mask_to_rles
from siaf.model.loaded import Model

pytestmark = pytest.mark.adapting

Frames = NDArray[np.uint8]


@pytest.fixture(autouse=True)
def _few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("siaf.session.adaptation._STEPS", 6)


def masks(frames: tuple[int, ...] = (1, 10)) -> Masks:
    masks = {f: np.zeros((HEIGHT, WIDTH), np.uint8) for f in frames}
    for frame, mask in masks.items():
        mask[10:30, 5 + 4 * frame : 25 + 4 * frame] = 1
    return masks


def begin(client: Client, jpegs: list[bytes], frames: tuple[int, ...] = (1, 10)) -> str:
    session = open_session(client, jpegs)
    references = [
        {"frame": f, "masks": [{"tag": tag, "rle": rle} for tag, rle in index_mask_to_rles(mask).items()]}
        for f, mask in masks(frames).items()
    ]
    client.ok("POST", f"/v1/sessions/{session}/rounds", {"revision": 0, "scribbles": [], "references": references})
    return session


def of_library(model: Model, clip: Frames, adapt: bool) -> Masks:
    session = Session(model, clip)
    session.interact(references=masks())
    for _ in session.adapt() if adapt else ():
        pass
    for _ in session.propagate():
        pass
    return {f: session.mask(f) for f in range(len(clip)) if f not in (1, 10)}


@pytest.mark.parametrize("adapt", [False, True])
def test_it_is_a_setting(
    start: Callable[..., Client], jpegs: list[bytes], model: Model, clip: Frames, adapt: bool
) -> None:
    client = start(adapt=adapt)
    found = propagate(client, begin(client, jpegs))
    expected = of_library(model, clip, adapt)
    assert found.keys() == expected.keys()
    assert all((found[f] == expected[f]).all() for f in expected)
    assert any((expected[f] != of_library(model, clip, not adapt)[f]).any() for f in expected)


def test_a_call_may_ask_for_it_and_takes_as_long_as_it_says(
    client: Client, jpegs: list[bytes], model: Model, clip: Frames
) -> None:
    """With next to no time every call does one step, or one frame."""
    session = begin(client, jpegs)
    found: Masks = {}
    calls, after = 0, 0
    while True:
        body = {"budget_s": 1e-6, "after": after, "adapt": True}
        answer = client.ok("POST", f"/v1/sessions/{session}/propagate", body)
        found |= read(answer["frames"])
        calls, after = calls + 1, answer["done"]
        if after == answer["total"]:
            break
    assert calls == 6 + 10
    expected = of_library(model, clip, adapt=True)
    assert all((found[f] == expected[f]).all() for f in expected)


def test_another_worker_begins_it_anew(
    settings: Callable[..., Any], jpegs: list[bytes], model: Model, clip: Frames, tmp_path: Path
) -> None:
    workers = [Client(Service.start(settings(store=f"file:{tmp_path}", adapt=True))) for _ in range(2)]
    session = begin(workers[0], jpegs)
    for _ in range(3):
        answer = workers[0].ok("POST", f"/v1/sessions/{session}/propagate", {"budget_s": 1e-6})
        assert (answer["done"], answer["frames"]) == (0, [])
    found = propagate(workers[1], session)
    expected = of_library(model, clip, adapt=True)
    assert all((found[f] == expected[f]).all() for f in expected)


def test_it_is_on_by_default(client: Client, jpegs: list[bytes], model: Model, clip: Frames) -> None:
    found, expected = propagate(client, begin(client, jpegs)), of_library(model, clip, adapt=True)
    assert all((found[f] == expected[f]).all() for f in expected)


def test_without_a_mask_there_is_nothing_to_adapt_to_and_no_error(client: Client, jpegs: list[bytes]) -> None:
    session = open_session(client, jpegs)
    drawn = {"frame": 4, "strokes": [{"tag": 1, "points": [[20.0, 20.0], [30.0, 20.0]]}]}
    client.ok("POST", f"/v1/sessions/{session}/rounds", {"revision": 0, "scribbles": [drawn]})
    answer = client.ok("POST", f"/v1/sessions/{session}/propagate", {"budget_s": 60, "adapt": True})
    assert answer["done"] == answer["total"] == 11


def test_sessions_that_take_turns_do_not_hear_of_each_other(
    client: Client, jpegs: list[bytes], model: Model, clip: Frames
) -> None:
    adapting, plain = begin(client, jpegs), begin(client, jpegs)
    found: dict[str, Masks] = {adapting: {}, plain: {}}
    after = dict.fromkeys(found, 0)
    for _ in range(16):
        for session, masks in found.items():
            body = {"budget_s": 1e-6, "after": after[session], "adapt": session == adapting}
            answer = client.ok("POST", f"/v1/sessions/{session}/propagate", body)
            masks |= read(answer["frames"])
            after[session] = answer["done"]
    for session, adapt in ((adapting, True), (plain, False)):
        expected = of_library(model, clip, adapt)
        assert all((found[session][f] == expected[f]).all() for f in expected)


def test_a_state_with_a_crafted_decoder_is_refused(client: Client, jpegs: list[bytes]) -> None:
    session = begin(client, jpegs)
    client.ok("POST", f"/v1/sessions/{session}/propagate", {"budget_s": 60, "adapt": True})
    good = client.raw("GET", f"/v1/sessions/{session}/state").body
    tensors, document = load(good), document_of(good)
    name = "decoder.0.decoder.conv_4x.gn.weight"
    tensors[name][0] = float("nan")
    crafted = bytes(save(tensors, {"siaf": json.dumps(document)}))
    refused = client.raw("PUT", f"/v1/sessions/{session}/state", crafted)
    assert refused.status_code == 422
    assert name in json.loads(refused.body)["error"]["message"]
