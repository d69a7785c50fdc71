"""Which model `siaf evaluate` measures."""

import argparse
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

import torch

from siaf.commands.common import sized
from siaf.engines.base import Engine
from siaf.errors import InputError
from siaf.model.loaded import Model
from siaf.model.names import ENGINE_NAMES
from siaf.weights import build_model, load_model
from siaf.weights.loading import load_networks, load_segmenter


@cache
def siaf_t(device: torch.device) -> Model:
    """The model that ships, for whoever measures beside another one."""
    return load_networks("siaf-t", device=device)


def measured_model(arguments: argparse.Namespace) -> Engine:
    """What `siaf evaluate` measures: a model, maybe with networks of other files in the place of its own."""
    name = arguments.model
    if name not in ENGINE_NAMES:
        return own_networks(arguments)
    if arguments.segmenter:
        raise InputError(f"{name} has no segmenter to replace", field="segmenter")
    parts = {part: getattr(arguments, part) for part in ("interaction", "propagation")}
    return sized(load_model(name, device=arguments.device, weights=arguments.weights, **parts), arguments)


def own_networks(arguments: argparse.Namespace) -> Model:
    """As `measured_model`, for what other engines cannot be measured by."""
    given = {part: getattr(arguments, part) for part in ("interaction", "propagation") if getattr(arguments, part)}
    model = model_with(given, arguments.model, device=arguments.device, weights=arguments.weights)
    if arguments.segmenter:
        model = replace(model, segmenter=load_segmenter(model.device, arguments.segmenter))
    return sized(model, arguments)


def model_with(given: Mapping[str, str], name: str, *, device: str, weights: str | None = None) -> Model:
    """A model, with networks of training checkpoints or of weights files in the place of its own, by part."""
    from siaf.model.folding import for_inference
    from siaf.training.loop import load_averaged
    from siaf.weights.files import is_training_checkpoint

    checkpoints = {part: Path(source) for part, source in given.items() if is_training_checkpoint(Path(source))}
    files = {part: source for part, source in given.items() if part not in checkpoints}
    model = load_networks(name, device=device, weights=weights, **files)
    for part, path in checkpoints.items():
        net = getattr(build_model(name, device=model.device), part)  # the model's own is folded, no longer as it trains
        load_averaged(net, path, f"{name} {part}", new=("boundary.",))
        if part == "propagation":
            net.boundary = model.propagation.boundary  # no part of that training
        for_inference(net)
        model = replace(model, **{part: net, "digest": f"{model.digest}+{path}"})
    return model
