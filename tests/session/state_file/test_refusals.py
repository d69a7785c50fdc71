"""A state file that does not fit the model or the video, or is damaged, is refused by name."""

import json
import zlib
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from crafted_states import document_of, with_changes
from safetensors.torch import load, save
from small_rounds import Frames, advance

from siaf import Session
from siaf.errors import StateError
from siaf.model.loaded import Model
from siaf.session.state_file import dump_session, parse_session, read_masks
from siaf.weights import build_model


def test_other_weights_are_refused(session: Session, clip: Frames) -> None:
    other = build_model("siaf-t", device="cpu", seed=4)
    with pytest.raises(StateError, match="weights"):
        parse_session(dump_session(session), other, clip)


def test_another_video_is_refused(session: Session, tiny_model: Model, clip: Frames) -> None:
    data = dump_session(session)
    with pytest.raises(StateError, match="frames"):
        parse_session(data, tiny_model, clip[:-1])
    with pytest.raises(StateError, match="width"):
        parse_session(data, tiny_model, clip[:, :, :-8])
    with pytest.raises(StateError, match="frame 3"):
        parse_session(data, tiny_model, clip[::-1])


@pytest.mark.parametrize(("version", "age"), [(1, "older"), (3, "newer")])
def test_another_format_is_refused(session: Session, tiny_model: Model, clip: Frames, version: int, age: str) -> None:
    with pytest.raises(StateError, match=f"{age} siaf"):
        parse_session(with_changes(dump_session(session), version=version), tiny_model, clip)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not this", b"\xff" * 100, b"\x02\0\0\0\0\0\0\0{}"])
def test_something_else_is_refused(content: bytes, tiny_model: Model, clip: Frames, tmp_path: Path) -> None:
    path = tmp_path / "other.siaf"
    path.write_bytes(content)
    with pytest.raises(StateError, match=r"other\.siaf: not a siaf state file"):
        Session.load(path, tiny_model, clip)


@pytest.mark.parametrize("share", [0.05, 0.5, 0.999])
def test_a_truncated_file_is_refused(session: Session, tiny_model: Model, clip: Frames, share: float) -> None:
    data = dump_session(session)
    with pytest.raises(StateError, match=r"truncated|not a siaf state file"):
        parse_session(data[: int(share * len(data))], tiny_model, clip)


def test_no_such_file(tiny_model: Model, clip: Frames, tmp_path: Path) -> None:
    with pytest.raises(StateError, match="No such file"):
        Session.load(tmp_path / "none.siaf", tiny_model, clip)


@pytest.mark.parametrize("key", ["now", "rounds", "results", "plan", "remembered", "confidence", "revision"])
@pytest.mark.parametrize("value", [None, "x", [1, 2], {"x": {"y": 0}}])
def test_a_damaged_document_is_refused(
    session: Session, tiny_model: Model, clip: Frames, key: str, value: object
) -> None:
    with pytest.raises(StateError, match="damaged"):
        parse_session(with_changes(dump_session(session), **{key: value}), tiny_model, clip)


def test_a_mask_that_unpacks_to_something_huge_is_refused(session: Session, tiny_model: Model, clip: Frames) -> None:
    data = dump_session(session)
    tensors = load(data)
    bomb = zlib.compress(bytes(50_000_000))
    tensors["mask.0"] = torch.frombuffer(bytearray(bomb), dtype=torch.uint8)
    with pytest.raises(StateError, match="not a mask"):
        parse_session(save(tensors, {"siaf": json.dumps(document_of(data))}), tiny_model, clip)


def test_masks_of_another_size_are_damage(session: Session) -> None:
    tensors = load(data := dump_session(session))
    tensors["mask.0"] = torch.frombuffer(bytearray(zlib.compress(bytes(72 * 95))), dtype=torch.uint8)
    with pytest.raises(StateError, match="mask.0: not a mask of 72x96 pixels"):
        read_masks(save(tensors, {"siaf": json.dumps(document_of(data))}))


@pytest.mark.parametrize(("key", "value"), [("short_side", 97), ("autocast", True), ("objects_per_pass", 2)])
def test_what_a_memory_was_made_with_is_part_of_the_file(
    session: Session, tiny_model: Model, clip: Frames, key: str, value: object
) -> None:
    advance(session, 99)
    data, other = dump_session(session), replace(tiny_model, **{key: value})
    with pytest.raises(StateError, match=f"{key}: the state has"):
        parse_session(data, other, clip)
    with pytest.raises(StateError, match=f"{key}: the state has"):
        Session(other, clip).inherit(data)


def test_the_size_at_which_strokes_are_read_makes_no_memory(session: Session, tiny_model: Model, clip: Frames) -> None:
    again = parse_session(dump_session(session), replace(tiny_model, interaction_short_side=97), clip)
    assert again.interacted == session.interacted == [3, 8]
