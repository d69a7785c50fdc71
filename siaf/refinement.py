"""Edges after the interaction network: where it is unsure, the picture's own colours decide (GrabCut).

The network answers at half of a small input's resolution; colour models of what it is sure about place the border
better.
Measured effect: docs/training.md.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from siaf.masks import Bitmap, IndexMask
from siaf.preprocessing import network_size
from siaf.probabilities import Probabilities
from siaf.scribbles import Scribble, StrokeMap, rasterize

SHORT_SIDE = 257  # pixels at which GrabCut works
SURE = 0.9  # probability from which the network's word stands
_STEP = 3  # colour models begin from one pixel of so many in both directions,
_FEWEST = 50  # if that leaves so many of the object and of the rest


def refine_mask(frame: NDArray[np.uint8], probabilities: Probabilities, strokes: Sequence[Scribble]) -> IndexMask:
    """Index mask, uint8 H×W, of a frame's probabilities.

    Every object is cut out on its own, between what the network is sure of; a pixel that several claim goes to the most
    probable. `frame` uint8 H×W×3 RGB; `strokes` are those of this frame.
    """
    height, width = frame.shape[:2]
    rows, columns = network_size(height, width, short_side=SHORT_SIDE, align_corners=True)
    small = cv2.resize(frame, (columns, rows), interpolation=cv2.INTER_AREA)
    picture = np.ascontiguousarray(small[..., ::-1], np.uint8)
    drawn = rasterize(strokes, height, width, size=(rows, columns))
    tags = probabilities.tags[1:].tolist()
    starts = [_start(probabilities.of(tag, (rows, columns)), drawn, tag) for tag in tags]
    mask = np.zeros((height, width), np.uint8)
    best = np.zeros((height, width), np.float32)
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:  # OpenCV works outside Python's lock
        for tag, found in zip(tags, pool.map(lambda start: _cut_out(picture, start), starts), strict=True):
            shown = cv2.resize(found.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
            probability = probabilities.of(tag)
            wins = (np.asarray(shown) > 0.5) & (probability > best)
            mask[wins], best[wins] = tag, probability[wins]
    return mask


def _start(probability: NDArray[np.float32], drawn: StrokeMap, tag: int) -> NDArray[np.uint8]:
    """What is sure to be an object or not, and what is likely: GrabCut's labels, uint8 h×w."""
    labels = np.where(probability > 0.5, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    labels[probability > SURE] = cv2.GC_FGD
    labels[probability < 1 - SURE] = cv2.GC_BGD
    labels[(drawn >= 0) & (drawn != tag)] = cv2.GC_BGD
    labels[drawn == tag] = cv2.GC_FGD
    return labels


def _cut_out(picture: NDArray[np.uint8], labels: NDArray[np.uint8]) -> Bitmap:
    foreground = _is_foreground(labels)
    if not foreground.any() or foreground.all() or not (labels >= cv2.GC_PR_BGD).any():
        return foreground
    # Colour models begin from few of the pixels, which takes a third of the time; the cut itself learns from all.
    few = np.ascontiguousarray(labels[::_STEP, ::_STEP])
    enough = _FEWEST <= _is_foreground(few).sum() <= few.size - _FEWEST
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.setRNGSeed(0)  # of this thread: they start from k-means
    if enough:
        sparse = np.ascontiguousarray(picture[::_STEP, ::_STEP])
        cv2.grabCut(sparse, few, (0, 0, 1, 1), *models, 0, cv2.GC_INIT_WITH_MASK)
    cv2.grabCut(picture, labels, (0, 0, 1, 1), *models, 1, cv2.GC_EVAL if enough else cv2.GC_INIT_WITH_MASK)
    return _is_foreground(labels)


def _is_foreground(labels: NDArray[np.uint8]) -> Bitmap:
    result: Bitmap = (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)
    return result
