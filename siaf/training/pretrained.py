"""ImageNet weights into an encoder."""

from pathlib import Path

import torch
from torch import Tensor, nn

from siaf.errors import StateError
from siaf.model.encoders import Encoder, MobileNetV2Encoder, widen_stem


def load_mobilenet(encoder: Encoder, path: Path) -> None:
    """Load `features.*` of a torchvision MobileNetV2, in its present or its old flat naming.

    Both list their tensors in the same order, so what the encoder keeps is a prefix of the file. A stem with extra
    input channels gets the RGB kernels and zeros for the rest.
    """
    if not isinstance(encoder, MobileNetV2Encoder):
        raise StateError(f"holds a MobileNetV2, the model has a {type(encoder).__name__}", field=str(path))
    state: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    source = [v for k, v in state.items() if k.startswith("features.") and not k.endswith("num_batches_tracked")]
    target = encoder.state_dict()
    if len(source) < len(target):
        raise StateError(f"{len(source)} tensors, MobileNetV2 has {len(target)} up to this depth", field=str(path))
    loaded = dict(zip(target, source, strict=False))
    stem = next(iter(target))
    if loaded[stem].shape != target[stem].shape:
        widen_stem(encoder.stem, loaded.pop(stem))
    for name, value in loaded.items():
        if value.shape != target[name].shape:
            raise StateError(f"{name} has shape {tuple(value.shape)}, not {tuple(target[name].shape)}", field=str(path))
    nn.Module.load_state_dict(encoder, loaded, strict=False)
