"""The official AOT and DeAOT code (github.com/yoxu515/aot-benchmark, BSD-3-Clause), run from a checkout.

Nothing of it is in this repository: it is imported from the folder that the user names, used, and forgotten.
"""

import hashlib
import importlib
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from siaf.errors import InputError
from siaf.evaluation.parity import SLOTS, Step
from siaf.model.preprocessing import network_size

_PACKAGES = ("networks", "configs", "utils", "dataloaders")
_SIZES = ((480, 854), (480, 910), (375, 500), (240, 427), (854, 480), (333, 333), (480, 1300), (100, 101), (465, 465))


@contextmanager
def official_code(checkout: Path) -> Iterator[None]:
    """Make the checkout's packages importable inside the block, and only there.

    Without the compiled correlation sampler the code falls back on a local attention that cannot run
    (`MultiheadLocalAttentionV3` adds tensors of different layouts). Its own older class computes the same without the
    sampler, and takes its place here.
    """
    if not (checkout / "networks" / "engines" / "aot_engine.py").is_file():
        raise InputError(f"{checkout} is not a checkout of aot-benchmark", field="official")
    taken = [name for name in _PACKAGES if name in sys.modules]
    if taken:
        raise InputError(f"another package named {taken[0]!r} is loaded", field="official")
    sys.path.insert(0, str(checkout.resolve()))
    try:
        attention = importlib.import_module("networks.layers.attention")
        transformer = importlib.import_module("networks.layers.transformer")
        if not attention.enable_corr:
            transformer.MultiheadLocalAttentionV3 = attention.MultiheadLocalAttentionV2  # type: ignore[attr-defined]
        yield
    finally:
        sys.path.remove(str(checkout.resolve()))
        for name in [n for n in sys.modules if n.split(".")[0] in _PACKAGES]:
            del sys.modules[name]


def checkout_digest(checkout: Path) -> str:
    """blake2b-128 of the networks' and configurations' source files, in hex: which version was compared."""
    total = hashlib.blake2b(digest_size=16)
    for path in sorted(p for folder in ("networks", "configs") for p in (checkout / folder).rglob("*.py")):
        total.update(path.relative_to(checkout).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return total.hexdigest()


class Official:
    """The official network and engine, walking a clip. To be used inside `official_code`."""

    def __init__(self, variant: str) -> None:
        config: Any = importlib.import_module("configs.default").DefaultEngineConfig("parity", variant)
        models, engines = importlib.import_module("networks.models"), importlib.import_module("networks.engines")
        self.net: torch.nn.Module = models.build_vos_model(config.MODEL_VOS, config).eval()
        self.engine: Any = engines.build_engine(
            config.MODEL_ENGINE,
            phase="eval",
            aot_model=self.net,
            gpu_id=0,
            long_term_mem_gap=config.TEST_LONG_TERM_MEM_GAP,
            short_term_mem_skip=config.TEST_SHORT_TERM_MEM_SKIP,
        )
        self.objects = sum(map(len, SLOTS))

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Take our weights. Raises InputError unless keys, shapes and index buffers are the same on both sides."""
        own = self.net.state_dict()
        wrong = [k for k in sorted(own.keys() | state.keys()) if k not in own or k not in state]
        wrong += [k for k in own.keys() & state.keys() if own[k].shape != state[k].shape]
        wrong += [
            k
            for k in own.keys() & state.keys()
            if not own[k].is_floating_point() and own[k].shape == state[k].shape and not torch.equal(own[k], state[k])
        ]
        if wrong:
            raise InputError(f"{len(wrong)} tensors differ: {', '.join(wrong[:3])}", field="official")
        self.net.load_state_dict(state)

    def reference(self, image: Tensor, labels: Tensor) -> None:
        """Remember a frame whose mask is known."""
        step = self.engine.aot_engines[0].frame_step if self.engine.aot_engines else 0
        mask = labels[None, None].float()
        self.engine.add_reference_frame(image[None], mask, obj_nums=[self.objects], frame_step=step)

    def propagate(self, image: Tensor, size: tuple[int, int]) -> Step:
        """Find the objects in the next frame."""
        self.engine.match_propogate_one_frame(image[None])
        merged = self.engine.decode_current_logits(size)[0]
        engines = zip(self.engine.aot_engines, SLOTS, strict=True)
        logits = torch.cat([engine.pred_id_logits[0, : len(group) + 1] for engine, group in engines])
        return Step(logits, merged[: self.objects + 1].softmax(0))

    def remember(self, labels: Tensor) -> None:
        """Remember the frame just propagated."""
        self.engine.update_memory(labels[None, None].float())


def resizing_differences() -> list[str]:
    """Frame sizes for which our network input size is not the official one's. To be used inside `official_code`."""
    transforms = importlib.import_module("dataloaders.video_transforms")
    wrong = []
    for align in (True, False):
        restrict = transforms.MultiRestrictSize(None, 800 * 1.3, False, [1.0], align)
        for height, width in _SIZES:
            image = restrict({"current_img": np.zeros((height, width, 3), np.float32)})[0]["current_img"]
            ours = network_size(height, width, short_side=480, align_corners=align)
            if ours != image.shape[:2]:
                wrong.append(f"{height}×{width} ({align=}): ours {ours}, official {image.shape[:2]}")
    return wrong
