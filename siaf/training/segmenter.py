"""Train the segmenter's decoder on what it is asked in rounds and by clicks; its image encoder stays as it is.

Pictures are encoded and asked about once, before the training: that takes most of the time. Every picture becomes a
file of its embedding and of all prompts on it, with what should come out.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from siaf.errors import InputError
from siaf.files import atomic_write
from siaf.model.half import computes_bfloat16
from siaf.model.sam import Embedding, SegmentAnything
from siaf.model.segmenter import Prompt, Segmenter

_TRAINED = ("transformer.", "output_upscaling.", "output_hypernetworks_mlps.0.", "tokens", "sharpening.")
"""Of the decoder: the other masks and the expected IoU are nobody's."""
_EDGE, _EDGE_REACH, _EDGE_WEIGHT = 0.05, 9, 4.0
_CROSS_ENTROPY = 2.0
_KEYS = ("points", "labels", "mask", "truth", "share")

Batch = dict[str, NDArray[np.generic]]


@dataclass(frozen=True, kw_only=True)
class SegmenterRecipe:
    """`pictures`: how many are asked about. `kept`: share of the change that the written weights have, 0 to 1."""

    pictures: int
    kept: float = 1.0


@dataclass(frozen=True, eq=False)
class Example:
    """A prompt; the share of its object in each cell of the mask that should come out, uint8 h×w of 255; and the
    decoder's share in what counts (`siaf.session.refinement.SHARE`; 1 where there is nothing beside it).
    """

    prompt: Prompt
    truth: Tensor
    share: float


def freeze(net: SegmentAnything) -> None:
    """Let only what is trained have gradients."""
    net.requires_grad_(False)
    for name, parameter in net.mask_decoder.named_parameters():
        parameter.requires_grad_(name.startswith(_TRAINED))
    net.image_encoder.edges.requires_grad_(True)
    net.prompt_encoder.mask_downscaling.requires_grad_(True)
    net.prompt_encoder.point_embeddings.requires_grad_(True)


@torch.no_grad()
def write_examples(path: Path, segmenter: Segmenter, picture: NDArray[np.uint8], examples: Sequence[Example]) -> None:
    """A picture uint8 H×W×3 and what is asked on it as one file, by rename."""
    encoder = segmenter.net.image_encoder
    maps = encoder.backbone(segmenter.prepared(picture))
    tensors = {"cells": encoder.neck(maps[-1]).half(), "shallow": maps[0].half()}
    for i, example in enumerate(examples):
        assert example.prompt.mask is not None
        points, labels = segmenter.tokens(example.prompt, *picture.shape[:2])
        mask, share = example.prompt.mask.half(), torch.tensor(example.share)
        tensors |= {f"{i}.{key}": x for key, x in zip(_KEYS, (points, labels, mask, example.truth, share), strict=True)}
    with atomic_write(path) as file:
        file.write(save({key: value.cpu().contiguous() for key, value in tensors.items()}))


def example_batches(files: Sequence[Path]) -> Callable[[np.random.Generator], Batch]:
    """A function that draws a prompt of one of the files. Raises InputError if there are none."""
    if not files:
        raise InputError("no picture shows an object that is large enough", field="data")

    def draw(rng: np.random.Generator) -> Batch:
        with safe_open(files[int(rng.integers(len(files)))], "np") as file:
            count = sum(key.endswith(".share") for key in file.keys())  # noqa: SIM118 (not a dict)
            chosen = int(rng.integers(count))
            picture = {key: file.get_tensor(key) for key in ("cells", "shallow")}
            return picture | {key: file.get_tensor(f"{chosen}.{key}") for key in _KEYS}

    return draw


def segmenter_loss(net: SegmentAnything, batch: dict[str, Tensor]) -> Tensor:
    """Cross-entropy, edges before all, and soft Jaccard of what counts: the mean of two masks' logits.

    The decoder computes in bfloat16 where the CPU does.
    """
    cells, shallow, thought = (batch[key].float() for key in ("cells", "shallow", "mask"))
    with torch.autocast(cells.device.type, torch.bfloat16, enabled=computes_bfloat16(cells.device)):
        embedding = Embedding(cells, net.image_encoder.edges(shallow))
        masks, _ = net(embedding, batch["points"], batch["labels"], thought[None, None])
    logits = batch["share"] * masks[0, 0].float() + (1 - batch["share"]) * thought
    truth = batch["truth"].float() / 255
    around = F.avg_pool2d(truth[None], _EDGE_REACH, stride=1, padding=_EDGE_REACH // 2, count_include_pad=False)[0]
    weight = torch.where((around - truth).abs() > _EDGE, _EDGE_WEIGHT, 1.0)
    entropy = F.binary_cross_entropy_with_logits(logits, truth, weight, reduction="sum") / weight.sum()
    chance = logits.sigmoid()
    both = (chance * truth).sum()
    loss: Tensor = _CROSS_ENTROPY * entropy + 1 - both / ((chance + truth).sum() - both + 1)
    return loss
