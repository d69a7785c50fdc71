"""What adaptation learns from is read as training reads."""

from copy import deepcopy
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from siaf.model.loaded import Model
from siaf.session.examples import Annotated, Examples
from siaf.session.objects import ObjectTable


def test_examples_are_read_as_plainly_as_in_training(tiny_model: Model, clip: NDArray[np.uint8]) -> None:
    """Without the sharpness that a memory of many frames needs: a network that is set to train finds the same."""
    net = deepcopy(tiny_model.propagation)
    with torch.no_grad():
        net.LSTT.blocks()[0][0].linear_Q.weight *= 10  # random weights match everything alike
    model = replace(tiny_model, propagation=net)
    mask = np.zeros((72, 96), np.uint8)
    mask[10:30, 5:25] = 1
    objects = ObjectTable()
    objects.add(1)
    features = model.encode_batch([clip[0]]) + model.encode_batch([clip[3]])
    frames = {f: Annotated(clip[f], seen, mask, frozenset({1})) for f, seen in zip((0, 3), features, strict=True)}
    (example,) = Examples(model, frames, objects).pairs(3, [0])
    (memory,) = model.reference_batch(features[:1], [mask[None]])
    with torch.inference_mode():
        (sharp,), _ = net.transform(features[1], memory, memory)
        (plain,), _ = net.train().transform(features[1], memory, memory)
    (found,) = example.streams
    assert (found - plain).abs().max() < 0.01 * (sharp - plain).abs().max()
