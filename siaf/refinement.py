"""Edges after the interaction network: where it is unsure, the picture's own colours decide (GrabCut).

The network answers at half of a small input's resolution; colour models of what it is sure about place the border
better.
Measured effect: docs/training.md.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from siaf.masks import Bitmap, IndexMask
from siaf.preprocessing import network_size
from siaf.probabilities import Probabilities
from siaf.scribbles import Scribble, StrokeMap, rasterize

SHORT_SIDE = 257  # pixels at which GrabCut works
SURE = 0.9  # probability from which the network's word stands
_STEP = 3  # colour models begin from every so manieth pixel of every so manieth row,
_FEWEST = 50  # if there are as many of the object and of the rest


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
    mask = np.zeros((height, width), np.uint8)
    best = np.zeros((height, width), np.float32)
    for tag in probabilities.tags[1:].tolist():
        found = _cut_out(picture, probabilities.of(tag, (rows, columns)), drawn, tag).astype(np.float32)
        inside = np.asarray(cv2.resize(found, (width, height), interpolation=cv2.INTER_LINEAR)) > 0.5
        probability = probabilities.of(tag)
        wins = inside & (probability > best)
        mask[wins], best[wins] = tag, probability[wins]
    return mask


def _cut_out(picture: NDArray[np.uint8], probability: NDArray[np.float32], drawn: StrokeMap, tag: int) -> Bitmap:
    labels = np.where(probability > 0.5, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    labels[probability > SURE] = cv2.GC_FGD
    labels[probability < 1 - SURE] = cv2.GC_BGD
    labels[(drawn >= 0) & (drawn != tag)] = cv2.GC_BGD
    labels[drawn == tag] = cv2.GC_FGD
    foreground = _is_foreground(labels)
    if foreground.any() and not foreground.all() and (labels >= cv2.GC_PR_BGD).any():
        # Colour models begin from few of the pixels, which takes a third of the time; the cut itself learns from all.
        few = np.ascontiguousarray(labels[::_STEP, ::_STEP])
        enough = _FEWEST <= _is_foreground(few).sum() <= few.size - _FEWEST
        models = np.zeros((1, 65)), np.zeros((1, 65))
        cv2.setRNGSeed(0)  # they start from k-means
        if enough:
            sparse = np.ascontiguousarray(picture[::_STEP, ::_STEP])
            cv2.grabCut(sparse, few, (0, 0, 1, 1), *models, 0, cv2.GC_INIT_WITH_MASK)
        cv2.grabCut(picture, labels, (0, 0, 1, 1), *models, 1, cv2.GC_EVAL if enough else cv2.GC_INIT_WITH_MASK)
        foreground = _is_foreground(labels)
    return foreground


def _is_foreground(labels: NDArray[np.uint8]) -> Bitmap:
    result: Bitmap = (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)
    return result
