"""Time and memory of each stage on this machine's CPU, as the paper's Table IV has them for a GPU.

    python -m siaf.evaluation.stages siaf-t siaf-r50 siaf-swinb

One thread; seconds are CPU seconds of this process, which other work on the machine hardly disturbs; megabytes are
the peak of resident memory above what was there before the stage. Weights are random: they cost the same.
"""

import argparse
import ctypes
import gc
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from siaf.model.folding import for_inference
from siaf.model.identity import one_hot_mask
from siaf.model.interaction import UNMARKED, InteractionNet
from siaf.model.loaded import Model
from siaf.model.preprocessing import network_size
from siaf.training.interaction import InteractionLoss, InteractionRecipe
from siaf.weights import MODELS, build_model

_HEIGHT, _WIDTH = 480, 854  # DAVIS
_TRAINING_SIDE = 465


def main() -> None:
    """Print a table, or JSON with --json."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("models", nargs="*", default=list(MODELS), metavar="MODEL")
    parser.add_argument("--repeat", type=int, default=2, help="the fastest of so many runs counts")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    results = {name: measure(name, arguments.repeat) for name in arguments.models}
    if arguments.json:
        print(json.dumps(results))
        return
    for name, stages in results.items():
        for stage, (seconds, megabytes) in stages.items():
            print(f"{name:12} {stage:34} {seconds:8.2f} s {megabytes:8.0f} MB")


def measure(name: str, repeat: int = 2) -> dict[str, tuple[float, float]]:
    """CPU seconds and megabytes of every stage of a model at 480p, of the training step at 465 pixels."""
    model = build_model(name, device="cpu")
    for net in (model.interaction, model.propagation):
        for_inference(net)
    with torch.inference_mode():
        found = {**_interaction(model, repeat), **_propagation(model, repeat)}
    return {**found, **_training(build_model(name, device="cpu").interaction, repeat)}


def _interaction(model: Model, repeat: int) -> dict[str, tuple[float, float]]:
    """AFI as a whole for one and three frames, and its across-frame attention alone; two objects."""
    net = model.interaction
    rows, cols = model.interaction_size(_HEIGHT, _WIDTH)
    tags = torch.tensor([[0, 1, 2]])
    found = {}
    for frames in (1, 3):
        batch = _drawn(1, frames, rows, cols)
        found[f"AFI, {frames} frame(s)"] = _cost(
            partial(net, batch["images"], batch["strokes"], batch["previous"], tags), repeat
        )
        channels = net.encoder.channels
        fine = torch.randn(frames, channels[1], -(-rows // 8), -(-cols // 8))
        coarse = torch.randn(frames, channels[2], -(-rows // 16), -(-cols // 16))
        found[f"of it AFA, {frames} frame(s)"] = _cost(partial(net.across, fine, coarse, frames), repeat)
    return found


def _propagation(model: Model, repeat: int) -> dict[str, tuple[float, float]]:
    """Memory of an interacted frame, and one propagated frame that reads two; ten objects cost what one does."""
    net = model.propagation
    config = net.config
    rows, cols = network_size(_HEIGHT, _WIDTH, short_side=model.short_side, align_corners=config.align_corners)
    image = torch.randn(1, 3, rows, cols)
    mask = one_hot_mask(torch.zeros(1, rows, cols, dtype=torch.long))
    features = net.encode(image)
    memory = net.reference(features, mask)
    long = [(torch.cat([k, k], 1), torch.cat([v, v], 1)) for k, v in memory]
    return {
        "memory of a frame": _cost(lambda: net.reference(net.encode(image), mask), repeat),
        "propagated frame": _cost(
            lambda: net.remember(net.propagate(net.encode(image), long, memory)[1], mask), repeat
        ),
        "of it the encoder": _cost(lambda: net.encode(image), repeat),
    }


def _training(net: InteractionNet, repeat: int) -> dict[str, tuple[float, float]]:
    """One training step of AFI on one clip of three frames: forward and backward, no optimiser."""
    side = _TRAINING_SIDE if net.config.align_corners else _TRAINING_SIDE - 1
    drawn = _drawn(1, 3, side, side)
    batch = {
        "frames": torch.randint(0, 256, (1, 3, side, side, 3), dtype=torch.uint8),
        "labels": drawn["strokes"].clamp_min(0),
        "strokes": drawn["strokes"],
        "previous": drawn["previous"],
    }
    net.requires_grad_(True).train()
    loss_of = InteractionLoss(net, InteractionRecipe(feedback=0.0), steps=10, seed=0)

    def step() -> None:
        loss_of(batch, 0).backward()
        net.zero_grad(set_to_none=True)

    return {"training step, 1 clip of 3 frames": _cost(step, repeat)}


def _drawn(clips: int, frames: int, rows: int, cols: int) -> dict[str, Tensor]:
    strokes = torch.full((clips, frames, rows, cols), UNMARKED)
    strokes[..., rows // 4, cols // 4 : cols // 2], strokes[..., rows // 2, cols // 4 : cols // 2] = 1, 2
    return {
        "images": torch.randn(clips, frames, 3, rows, cols),
        "strokes": strokes,
        "previous": torch.full_like(strokes, UNMARKED),
    }


def _cost(run: Callable[[], object], repeat: int) -> tuple[float, float]:
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)  # or what an earlier stage left free would hide what this one takes
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before, seconds = _resident("VmRSS"), float("inf")
    for _ in range(repeat):
        started = time.process_time()
        run()
        seconds = min(seconds, time.process_time() - started)
    return seconds, _resident("VmHWM") - before


def _resident(what: str) -> float:
    """Megabytes of this process, as Linux reports them."""
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith(what))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    main()
