"""Half precision is for CPUs that compute in it, and changes masks no more than rounding does."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from siaf.model import segmenter as segmenter_module
from siaf.model.half import computes_bfloat16
from siaf.model.segmenter import Segmenter
from siaf.weights.loading import load_segmenter

CPU = torch.device("cpu")


@pytest.mark.parametrize("flag", ["avx512_bf16", "amx_bf16"])
def test_a_cpu_computes_it_if_it_has_the_instructions(flag: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, flag: True}, raising=False)
    assert computes_bfloat16(CPU)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, flag: False})
    assert not computes_bfloat16(CPU)


def test_other_devices_and_an_old_torch_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not computes_bfloat16(torch.device("meta"))
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert not computes_bfloat16(CPU)


def test_a_frame_in_half_precision_is_that_in_single_precision_up_to_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = np.random.default_rng(0).integers(0, 255, (72, 96, 3), np.uint8)
    cells = []
    for half in (False, True):
        monkeypatch.setattr(segmenter_module, "computes_bfloat16", lambda device, half=half: half)
        loaded = load_segmenter(CPU)
        assert loaded is not None
        cells.append(Segmenter(loaded.net, CPU).embed(frame).cells)
    single, half_ = cells
    assert single.dtype == half_.dtype == torch.float32
    assert 0 < 1 - F.cosine_similarity(single.flatten(), half_.flatten(), dim=0) < 0.01
