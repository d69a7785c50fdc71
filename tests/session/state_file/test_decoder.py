"""A session's own decoder in the file: `siaf.session.adaptation.Decoder`."""

import json
import re

import numpy as np
import pytest
import torch
from crafted_states import document_of
from safetensors.torch import load, save
from small_rounds import Frames, advance, stroke

from siaf import Session
from siaf.errors import StateError
from siaf.model.adapted import decoder_parameters
from siaf.model.loaded import Model
from siaf.session.adaptation import Decoder
from siaf.session.state_file import dump_session, parse_session


@pytest.fixture
def adapted(tiny_model: Model, clip: Frames) -> bytes:
    session = Session(tiny_model, clip)
    masks = {f: np.zeros((72, 96), np.uint8) for f in (1, 10)}
    for frame, mask in masks.items():
        mask[10:30, 5 + 4 * frame : 25 + 4 * frame] = 1
    session.interact(references=masks)
    parameters = decoder_parameters(tiny_model.propagation)
    change = {name: torch.full_like(x, 0.01, dtype=torch.float16) for name, x in parameters.items()}
    session._take_decoder(Decoder("0123456789abcdef01234567", change))
    advance(session, 4)
    session.interact({5: [stroke(1, 20, 20)]})
    return dump_session(session)


def test_it_is_stored_once_for_all_rounds(adapted: bytes, tiny_model: Model) -> None:
    document = document_of(adapted)
    entry = {"content": "0123456789abcdef01234567", "change": 0}
    assert document["now"]["decoder"] == document["rounds"][1]["before"]["decoder"] == entry
    assert "decoder" not in document["rounds"][0]["before"]
    named = {name for name in load(adapted) if name.startswith("decoder.")}
    assert named == {f"decoder.0.{name}" for name in decoder_parameters(tiny_model.propagation)}


def test_it_comes_back(adapted: bytes, tiny_model: Model, clip: Frames) -> None:
    twin = parse_session(adapted, tiny_model, clip)
    assert dump_session(twin) == adapted
    assert twin.decoder is not None and twin.decoder.change is not None
    assert twin.decoder is twin.rounds[1].before.decoder
    assert all(float(x.float().mean()) == pytest.approx(0.01, abs=1e-5) for x in twin.decoder.change.values())


def test_another_clip_inherits_memory_without_it(adapted: bytes, tiny_model: Model, clip: Frames) -> None:
    heir = Session(tiny_model, clip[::-1].copy())
    heir.inherit(adapted)
    assert heir.decoder is None
    assert len(heir.memory.carried) == 2


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf"), 0.06, -65504.0])
def test_numbers_that_no_adaptation_gives_are_refused(
    adapted: bytes, tiny_model: Model, clip: Frames, number: float
) -> None:
    name = "decoder.0.decoder.conv_out.weight"
    tensors = load(adapted)
    tensors[name].view(-1)[7] = number
    with pytest.raises(StateError, match=f"{name}: holds numbers that no adaptation gives"):
        parse_session(save(tensors, {"siaf": json.dumps(document_of(adapted))}), tiny_model, clip)


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("decoder.0.decoder.conv_out.weight", None, "is missing"),
        ("decoder.0.decoder.conv_out.weight", torch.zeros(11, 64, 1, 1), "is F32 of rank 4, not F16 of rank 4"),
        ("decoder.0.decoder.conv_out.weight", torch.zeros(11, 64, 1).half(), "of rank 3, not F16 of rank 4"),
        ("decoder.0.decoder.conv_out.weight", torch.zeros(64, 11, 1, 1).half(), "is [64, 11, 1, 1], not [11, 64"),
        ("decoder.0.fine.key.weight", torch.zeros(32, 152, 1, 1).half(), "nothing speaks of this tensor"),
        ("decoder.0.encoder.stem.weight", torch.zeros(1).half(), "nothing speaks of this tensor"),
        ("decoder.1.decoder.conv_out.bias", torch.zeros(11).half(), "nothing speaks of this tensor"),
        ("decoder.0.fine.mix.3.bias", torch.zeros(2).half(), "is [2], not [1]"),
    ],
)
def test_tensors_that_are_not_the_models_are_refused(
    adapted: bytes, tiny_model: Model, clip: Frames, name: str, change: torch.Tensor | None, reason: str
) -> None:
    tensors = load(adapted)
    tensors = {k: v for k, v in tensors.items() if k != name} if change is None else {**tensors, name: change}
    with pytest.raises(StateError, match=re.escape(reason)) as refused:
        parse_session(save(tensors, {"siaf": json.dumps(document_of(adapted))}), tiny_model, clip)
    assert name[:40] in str(refused.value)


@pytest.mark.parametrize(
    "entry",
    [
        5,
        {},
        {"content": "x", "change": 0},
        {"content": "0" * 24},
        {"content": "0" * 24, "change": -1},
        {"content": "0" * 24, "change": "0"},
        {"content": "0" * 24, "change": None, "more": 1},
    ],
)
def test_entries_of_another_form_are_refused(adapted: bytes, tiny_model: Model, clip: Frames, entry: object) -> None:
    document = document_of(adapted)
    document["now"]["decoder"] = entry
    with pytest.raises(StateError, match=r"damaged: now\.decoder"):
        parse_session(save(load(adapted), {"siaf": json.dumps(document)}), tiny_model, clip)


def test_a_number_without_tensors_is_refused(adapted: bytes, tiny_model: Model, clip: Frames) -> None:
    document = document_of(adapted)
    document["now"]["decoder"]["change"] = 3
    with pytest.raises(StateError, match=r"decoder\.3\.[A-Za-z].*: this tensor is missing"):
        parse_session(save(load(adapted), {"siaf": json.dumps(document)}), tiny_model, clip)
