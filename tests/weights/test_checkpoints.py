"""Other projects' checkpoints: recognised by their tensors alone, and refused by name where one is wrong."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from siaf.errors import InputError, StateError
from siaf.evaluation.parity import random_state
from siaf.model.config import PROPAGATION
from siaf.model.gated import build_propagation
from siaf.weights.checkpoints import file_sha256, read_checkpoint
from siaf.weights.files import read_parts, weights_info
from siaf.weights.importing import import_checkpoint, verify

State = dict[str, Tensor]


@pytest.fixture(scope="module")
def aott() -> State:
    return random_state(build_propagation(PROPAGATION["aott"]))


def write(content: Any, path: Path) -> Path:
    torch.save(content, path)
    return path


@pytest.mark.parametrize(
    ("wrap", "entry"),
    [
        (lambda s: s, None),
        (lambda s: {"state_dict": s, "optimizer": {"state": {}, "param_groups": [{"lr": 1e-4}]}}, "state_dict"),
        (lambda s: {"model": s}, "model"),
        (lambda s: {f"module.{k}": v for k, v in s.items()}, None),
        (lambda s: {"state_dict": {"x": torch.zeros(1)}, "ema": s, "step": 100000}, "ema"),
    ],
    ids=["bare", "state_dict", "model", "data parallel", "average beside the raw weights"],
)
def test_every_wrapping_gives_the_same_tensors(
    wrap: Callable[[State], Any], entry: str | None, aott: State, tmp_path: Path
) -> None:
    found = read_checkpoint(write(wrap(aott), tmp_path / "any.pth"))
    assert (found.part, found.network.architecture, found.wrapper) == ("propagation", "aott", entry)
    assert found.network.tensors.keys() == aott.keys()
    assert all(torch.equal(found.network.tensors[k], v) for k, v in aott.items())


def test_an_import_keeps_values_and_says_where_they_come_from(aott: State, tmp_path: Path) -> None:
    source = write({"state_dict": aott}, tmp_path / "theirs.pth")
    target = import_checkpoint(source, tmp_path / "ours.safetensors", source="the zoo", licence="BSD-3-Clause")
    part = read_parts(target)["propagation"]
    assert part.architecture == "aott" and all(torch.equal(part.tensors[k], v) for k, v in aott.items())
    provenance = weights_info(target)["provenance"]
    assert file_sha256(source) in provenance and "the zoo" in provenance and "BSD-3-Clause" in provenance
    assert verify(target) == []


def test_what_tensors_cannot_tell_the_file_name_or_the_user_does(tmp_path: Path) -> None:
    state = {k: torch.zeros_like(v) for k, v in random_state(build_propagation(PROPAGATION["aotl"])).items()}
    file = write(state, tmp_path / "checkpoint.pth")
    with pytest.raises(InputError, match="as: aotb and aotl have the same tensors; say which one this is"):
        read_checkpoint(file)
    assert read_checkpoint(file, "aotb").network.architecture == "aotb"
    named = write(state, tmp_path / "AOTL_PRE_YTB_DAV.pth")
    assert read_checkpoint(named).network.architecture == "aotl"


def _without(state: State, *names: str) -> State:
    return {k: v for k, v in state.items() if k not in names}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda s: _without(s, "LSTT.mask_token"),
            r"1 tensors differ from aott: LSTT\.mask_token: None instead of \(1, 1, 256\)",
        ),
        (lambda s: {**s, "extra": torch.zeros(2)}, r"1 tensors differ from aott: extra: \(2,\) instead of None"),
        (
            lambda s: {
                **s,
                "encoder_projector.bias": torch.zeros(128),
                "a": torch.zeros(1),
                "b": torch.zeros(1),
                "c": torch.zeros(1),
            },
            r"4 tensors differ from aott: a: \(1,\) instead of None; b: .*; c: [^;]*$",
        ),
        (
            lambda s: {**s, "encoder_projector.bias": torch.full((256,), torch.nan)},
            "1 tensors hold NaN or infinity: encoder_projector.bias",
        ),
        (lambda s: {"state_dict": {}}, "holds no state dict"),
        (lambda s: [1, 2], "holds no state dict"),
        (lambda s: {**s, "epoch": 3}, "holds no state dict"),
    ],
    ids=["missing", "extra", "first three of four", "nan", "empty", "list", "mixed"],
)
def test_what_does_not_fit_is_refused_and_nothing_is_written(
    change: Callable[[State], Any], message: str, aott: State, tmp_path: Path
) -> None:
    file = write(change(aott), tmp_path / "x.pth")
    with pytest.raises(StateError, match=message):
        import_checkpoint(file, tmp_path / "out.safetensors")
    assert [p.name for p in tmp_path.iterdir()] == ["x.pth"]


class _Code:
    """A pickle that writes a file when it is loaded."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.trace,)


@pytest.mark.parametrize("container", ["torch", "pickle"])
def test_code_in_a_pickle_is_not_run(container: str, tmp_path: Path) -> None:
    file, trace = tmp_path / "evil.pth", tmp_path / "ran"
    if container == "torch":
        torch.save({"state_dict": {"x": torch.zeros(1)}, "note": _Code(trace)}, file)
    else:
        file.write_bytes(pickle.dumps(_Code(trace)))
    with pytest.raises(StateError, match="evil.pth: .*not executed") as refused:
        import_checkpoint(file, tmp_path / "out.safetensors")
    assert "weights_only" not in str(refused.value)  # torch's text recommends to load it all the same
    assert not trace.exists() and not (tmp_path / "out.safetensors").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<!DOCTYPE html><html>Google Drive - Virus scan warning</html>", "is a web page, not a checkpoint"),
        (b"\n\n <html>", "is a web page"),
        (b"", "damaged, or not a checkpoint"),
        (b"hello", "not a checkpoint|not executed"),
        (b"PK\x03\x04 cut off", "damaged, or not a checkpoint"),
    ],
)
def test_other_files_are_refused(content: bytes, message: str, tmp_path: Path) -> None:
    file = tmp_path / "x.pth"
    file.write_bytes(content)
    with pytest.raises(StateError, match=message):
        read_checkpoint(file)


@pytest.mark.parametrize("content", [b"", b"x\n", bytes(64)])
def test_safetensors_that_are_none_are_refused(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "x.safetensors"  # torch reads these by their name
    file.write_bytes(content)
    with pytest.raises(StateError, match=r"x\.safetensors: damaged, or not a checkpoint"):
        read_checkpoint(file)


def test_a_truncated_checkpoint_is_refused(aott: State, tmp_path: Path) -> None:
    file = write(aott, tmp_path / "x.pth")
    file.write_bytes(file.read_bytes()[:1_000_000])
    with pytest.raises(StateError, match="x.pth: damaged, or not a checkpoint"):
        read_checkpoint(file)


def test_a_changed_weights_file_fails_verification(aott: State, tmp_path: Path) -> None:
    target = import_checkpoint(write(aott, tmp_path / "x.pth"), tmp_path / "out.safetensors")
    data = bytearray(target.read_bytes())
    data[-1] ^= 1
    target.write_bytes(bytes(data))
    with pytest.raises(StateError, match="its tensors have digest"):
        verify(target)
