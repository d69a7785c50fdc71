"""`siaf weights best --device`: which model suits a device. It downloads nothing."""

import argparse
from importlib.util import find_spec

import torch

from siaf.commands.common import print_result
from siaf.errors import InputError
from siaf.weights.engines import ENGINES, engine_for, is_here


def run(arguments: argparse.Namespace) -> None:
    """Name the model, and say what it still needs."""
    if arguments.model or arguments.offline:
        raise InputError("names a model and fetches nothing; leave out --model and --from", field="--device")
    device = arguments.device
    if device == "cpu" or (device == "auto" and not torch.cuda.is_available()):
        lines = ["siaf-t", "it is made for CPUs, comes with siaf and is the default"]
        print_result({"model": "siaf-t", "device": "cpu", "run": []}, lines, arguments.json)
        return
    gpu = torch.cuda.get_device_properties(torch.device("cuda" if device == "auto" else device))
    name = engine_for(gpu.total_memory)
    about = ENGINES[name]
    needed = [] if all(map(find_spec, ("transformers", "timm"))) else ["pip install 'siaf-cvat[sam2]'"]
    needed += [] if is_here(name) else [f"siaf weights fetch {name}"]
    result = {"model": name, "device": gpu.name, "J&F": about.accuracy, "licence": about.licence, "run": needed}
    lines = [
        name,
        f"{about.what}: the most accurate by its authors' figures (J&F {about.accuracy} on MOSE val) that should fit "
        f"{gpu.name} with {gpu.total_memory / 2**30:.0f} GiB",
        f"licence: {about.licence}",
        *(f"run: {command}" for command in needed),
        f"use it with --model {name}",
    ]
    print_result(result, lines, arguments.json)
