"""Train boundary refinement on what the propagation network answers for clips whose masks are known.

The network carries the first frame's mask through every clip once, before the training. Every propagated frame becomes
a file of its picture, the network's logits and the true mask; batches are crops of these around boundaries and errors.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from siaf.errors import InputError
from siaf.files import atomic_write
from siaf.model.boundary import BoundaryRefiner, Found, found_of
from siaf.model.loaded import Model, StepOutput
from siaf.model.trail import Trail
from siaf.session.objects import ObjectTable
from siaf.training.photos import read_mask
from siaf.training.sources import decode
from siaf.training.videos import Video

_NOISE, _NOISE_CELLS = 1.2, 3
_SURENESS = (0.3, 1.3)
_EDGE, _EDGE_REACH, _EDGE_WEIGHT = 0.03, 9, 2.0
_JACCARD = 0.5
_INSET = 16
"""What a crop is about is so many pixels from its sides, at least."""

Batch = dict[str, NDArray[np.generic]]


def write_answers(folder: Path, model: Model, video: Video, name: str) -> Iterator[Path]:
    """A file for every frame after the first that shows an object, called after `name`; a video that is there stays."""
    start = _first_shown(video)
    paths = [folder / f"{name}-{i:05d}.safetensors" for i in range(start + 1, len(video.masks))]
    if not all(path.exists() for path in paths):
        _record(paths, model, video, start)
    yield from paths


def _first_shown(video: Video) -> int:
    for i, (frame, mask) in enumerate(zip(video.frames, video.masks, strict=True)):
        if read_mask(mask, decode(frame, "RGB").shape[:2], empty=True).any():
            return i
    raise InputError("its masks show no object", field=video.name)


@torch.inference_mode()
def _record(paths: Sequence[Path], model: Model, video: Video, start: int) -> None:
    first = decode(video.frames[start], "RGB")
    mask, objects = read_mask(video.masks[start], first.shape[:2], empty=True), ObjectTable()
    for tag in np.unique(mask[mask > 0]).tolist():
        objects.add(tag)
    slots, tags = objects.channels(model.objects_per_pass)
    (features,) = model.encode_batch([first])
    (reference,) = model.reference_batch([features], [objects.to_slots(mask, model.objects_per_pass)])
    short, trail = reference, model.trail(features, mask)
    for path, frame, known in zip(paths, video.frames[start + 1 :], video.masks[start + 1 :], strict=True):
        picture = decode(frame, "RGB")
        size = picture.shape[0], picture.shape[1]
        (features,) = model.encode_batch([picture])
        found: StepOutput = model.propagate([features], [reference], [short], slots, size, trails=[trail], tags=tags)[0]
        short, trail = found.memory, cast(Trail | None, found.trail)
        assert features.picture is not None
        truth = torch.from_numpy(read_mask(known, size, empty=True))
        tensors = {"picture": features.picture[0], "logits": found.scores.clamp(1e-5).log().half(), "truth": truth}
        with atomic_write(path) as file:
            file.write(save({**tensors, "tags": torch.from_numpy(tags)}))


def crops(
    sets: Sequence[tuple[float, Sequence[Sequence[Path]]]], size: int, count: int
) -> Callable[[np.random.Generator], Batch]:
    """A function that draws `count` crops of `size` × `size` pixels, each of a random object on a random frame.

    `sets`: shares, of any sum, and files of `write_answers`, clip by clip. Raises InputError if a set has none.
    """
    filled = [[clip for clip in clips if clip] for _, clips in sets]
    if not all(filled):
        raise InputError("a data set has no video of two frames", field="data")
    shares = np.array([share for share, _ in sets]) / sum(share for share, _ in sets)

    def draw(rng: np.random.Generator) -> Batch:
        found: list[Batch] = []
        while len(found) < count:
            clips = filled[int(rng.choice(len(filled), p=shares))]
            clip = clips[int(rng.integers(len(clips)))]
            crop = _crop(clip[int(rng.integers(len(clip)))], size, rng)
            found += [crop] if crop else []
        return {key: np.stack([each[key] for each in found]) for key in found[0]}

    return draw


def _crop(path: Path, side: int, rng: np.random.Generator) -> Batch | None:
    with safe_open(path, "pt") as file:
        picture, logits, truth, tags = (file.get_tensor(key) for key in ("picture", "logits", "truth", "tags"))
    if len(tags) < 2:
        return None
    size, chosen = (picture.shape[1], picture.shape[2]), int(rng.integers(1, len(tags)))
    found = found_of(_disturbed(logits.float(), chosen, rng), size)
    shown = (truth == int(tags[chosen])).numpy().astype(np.float32)
    known = cv2.resize(shown, size[::-1], interpolation=cv2.INTER_LINEAR)
    own = {key: x[chosen - 1].numpy() for key, x in zip(("margin", "rival", "near"), found, strict=True)}
    place = _place(own["margin"] > 0, known > 0.5, side, rng)
    if place is None:
        return None
    seen = _recoloured(picture[(..., *place)].numpy().astype(np.float32) / 255, rng)
    part = {"picture": seen, "truth": known[place], **{key: x[place] for key, x in own.items()}}
    flip = -1 if rng.random() < 0.5 else 1
    return {key: np.ascontiguousarray(x[..., ::flip], np.float32) for key, x in part.items()}


def _disturbed(logits: Tensor, chosen: int, rng: np.random.Generator) -> Tensor:
    """An answer C×h×w less good than it is: of clips that the network was trained on it says more than of others."""
    own = logits[chosen]
    if rng.random() < 0.3:
        coarse = rng.normal(0, _NOISE, [max(1, length // _NOISE_CELLS) for length in own.shape])
        own = own + torch.from_numpy(cv2.resize(coarse, own.shape[::-1], interpolation=cv2.INTER_LINEAR)).float()
    if rng.random() < 0.2:
        own = own.roll(tuple(rng.integers(-1, 2, 2).tolist()), (0, 1))
    changed = logits.clone()
    changed[chosen] = own
    return changed * rng.uniform(*_SURENESS) if rng.random() < 0.4 else changed


def _place(
    found: NDArray[np.bool_], truth: NDArray[np.bool_], side: int, rng: np.random.Generator
) -> tuple[slice, slice] | None:
    """A square on a boundary or, half of the time, on an error; None if there is neither."""
    edge = cv2.morphologyEx(truth.view(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    wrong = found != truth
    rows, columns = np.nonzero(wrong if rng.random() < 0.5 and wrong.any() else edge)
    if not len(rows):
        return None
    chosen = int(rng.integers(len(rows)))
    off = rng.integers(_INSET, side - _INSET, 2)
    y, x = (
        int(np.clip(at - shift, 0, length - side))
        for at, shift, length in zip((rows[chosen], columns[chosen]), off, truth.shape, strict=True)
    )
    return slice(y, y + side), slice(x, x + side)


def _recoloured(picture: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """A picture 3×H×W in 0…1 in another light, at times blurred or noisy."""
    seen = picture.astype(np.float64)
    if rng.random() < 0.7:
        seen = seen * rng.uniform(0.7, 1.3) + rng.uniform(-0.1, 0.1)
        seen = (seen - seen.mean()) * rng.uniform(0.75, 1.25) + seen.mean()
        seen *= rng.uniform(0.9, 1.1, (3, 1, 1))
    if rng.random() < 0.3:
        size, less = (seen.shape[2], seen.shape[1]), 1 / rng.uniform(1.2, 2.2)
        small = cv2.resize(seen.transpose(1, 2, 0), None, fx=less, fy=less, interpolation=cv2.INTER_AREA)
        seen = np.asarray(cv2.resize(small, size, interpolation=cv2.INTER_CUBIC), np.float64).transpose(2, 0, 1)
    if rng.random() < 0.3:
        seen = seen + rng.normal(0, 0.02, seen.shape)
    return np.clip(seen, 0, 1).astype(np.float32)


def boundary_loss(net: BoundaryRefiner, batch: dict[str, Tensor]) -> Tensor:
    """Cross-entropy, boundaries before all, and soft Jaccard of every crop."""
    found = Found(batch["margin"], batch["rival"], batch["near"])
    truth, logits = batch["truth"], found.margin + net(batch["picture"], found)
    around = F.avg_pool2d(truth[:, None], _EDGE_REACH, stride=1, padding=_EDGE_REACH // 2, count_include_pad=False)
    weight = torch.where((around[:, 0] - truth).abs() > _EDGE, _EDGE_WEIGHT, 1.0)
    entropy = F.binary_cross_entropy_with_logits(logits, truth, weight, reduction="sum") / weight.sum()
    chance = logits.sigmoid()
    both, either = (chance * truth).sum((1, 2)), (chance + truth).sum((1, 2))
    loss: Tensor = entropy + _JACCARD * (1 - (both + 1) / (either - both + 1)).mean()
    return loss
