"""Masks after the interaction network: a Segment Anything decoder draws each object that was prompted again.

It is shown the network's mask, points along the strokes and the box, and works at a finer resolution; what counts is a
weighted mean of both. Measured effect: docs/training.md.
"""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from siaf.boxes import Box
from siaf.masks import Bitmap, IndexMask
from siaf.probabilities import Probabilities
from siaf.scribbles import Scribble
from siaf.segmenter import Points, Prompt, Segmenter, resized

SHARE = 0.7
"""The decoder's share in the mean of its logits and the interaction network's."""
_POINTS = 6  # along all strokes of a kind, but one on each at least
_ANCHORS = 6  # points inside what the object was before
_NEAR = 3  # of the segmenter's mask pixels, within which nothing stands for the object beside what was denied
_SURE = 1e-3  # probabilities nearer to 0 or 1 are taken for this
_SOFT = 4.0  # logits of a mask that is known as pixels only


def refine(
    segmenter: Segmenter,
    frame: NDArray[np.uint8],
    guess: Probabilities,
    strokes: Sequence[Scribble],
    boxes: Mapping[int, Box],
    before: IndexMask | None,
    share: float = SHARE,
) -> Probabilities:
    """A frame's probabilities with every object that has a stroke or a box on it drawn again, at the segmenter's size.

    `before` is the frame's mask before these strokes, if it had one: strokes may only say what is wrong with it, so
    points inside it stand for the rest. A pixel that several objects claim is the most probable one's.
    """
    size = segmenter.mask_size(*guess.size)
    named = {stroke.tag for stroke in strokes if stroke.tag} | boxes.keys()
    channels = {}
    for tag in guess.tags[1:].tolist():
        own = torch.from_numpy(guess.of(tag, size))
        channels[tag] = own
        if tag not in named:
            continue
        thought = own.clamp(_SURE, 1 - _SURE).logit()
        on, beside = points_of(strokes, tag)
        if before is not None and tag not in boxes:
            on = np.concatenate((on, _anchors(before == tag, own.numpy() > 0.5, beside)))
        if len(on) or tag in boxes:
            found = segmenter.segment(frame, Prompt(on, beside, boxes.get(tag), thought)).cpu()
            channels[tag] = (share * found + (1 - share) * thought).sigmoid()
    objects = torch.stack([*channels.values()]) if channels else torch.zeros(0, *size)
    background = 1 - objects.amax(0) if channels else torch.ones(size)
    return Probabilities(torch.cat((background[None], objects)), guess.tags, guess.size, align_corners=False)


def guess_from(mask: IndexMask, tags: Sequence[int], segmenter: Segmenter) -> Probabilities:
    """An index mask as probabilities of these tags, for `refine`."""
    size = segmenter.mask_size(*mask.shape)
    shares = [resized(torch.from_numpy(mask == tag), size) for tag in (0, *tags)]
    channels: Tensor = (_SOFT * (2 * torch.stack(shares) - 1)).sigmoid()
    return Probabilities(channels, np.array((0, *tags), np.uint8), mask.shape, align_corners=False)


def points_of(strokes: Sequence[Scribble], tag: int) -> tuple[Points, Points]:
    """Points N×2 (x, y) along the strokes that say "this is `tag`", and along those that say it is something else."""
    on = [s.points for s in strokes if s.tag == tag and s.polarity == "positive"]
    # "Not object k" says nothing about other objects.
    beside = [s.points for s in strokes if (s.tag == tag) == (s.polarity == "negative")]
    return _along(on), _along(beside)


def _along(lines: Sequence[NDArray[np.float64]]) -> Points:
    """Evenly spaced points on lines, as many on each as its length is worth, one at least."""
    runs = [np.concatenate(([0.0], np.linalg.norm(np.diff(line, axis=0), axis=1).cumsum())) for line in lines]
    total = max(1.0, sum(run[-1] for run in runs))
    found = [np.zeros((0, 2))]
    for line, run in zip(lines, runs, strict=True):
        count = max(1, round(_POINTS * run[-1] / total))
        at = (np.arange(count) + 0.5) / count * run[-1]
        found.append(np.stack([np.interp(at, run, line[:, axis]) for axis in (0, 1)], axis=1))
    return np.concatenate(found)


def _anchors(had: Bitmap, thought: Bitmap, beside: Points) -> Points:
    """Points deep inside what an object was before and still is thought to be, the deepest first, N×2 in pixels.

    None is near a point `beside` the object: what was denied there reaches about as far as its own border does. `had`
    H×W, `thought` h×w.
    """
    rows, columns = thought.shape
    small = cv2.resize(had.view(np.uint8), (columns, rows), interpolation=cv2.INTER_NEAREST_EXACT)
    left = np.where(thought, small, 0).astype(np.uint8)
    scale = np.array([had.shape[1] / columns, had.shape[0] / rows])
    corner = np.array([columns - 1, rows - 1])
    denied = np.clip(((beside + 0.5) / scale).astype(int), 0, corner)
    depth = _depth(left)
    for x, y in denied.tolist():
        cv2.circle(left, (x, y), max(_NEAR, int(1.5 * depth[y, x])), 0, -1)
    found: list[tuple[int, int]] = []
    for _ in range(_ANCHORS):
        depth = _depth(left)
        if depth.max() < 1:
            break
        y, x = np.unravel_index(int(depth.argmax()), depth.shape)
        found.append((int(x), int(y)))
        cv2.circle(left, found[-1], max(1, int(depth.max())), 0, -1)
    anchors: Points = (np.array(found, np.float64).reshape(-1, 2) + 0.5) * scale - 0.5
    return anchors


def _depth(mask: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Distance of a mask's pixels to its border, the frame's included, in pixels."""
    found = cv2.distanceTransform(np.pad(mask, 1), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(found[1:-1, 1:-1], np.float32)
