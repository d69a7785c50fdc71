"""GrabCut (OpenCV): what the interaction network has to beat on one frame, from strokes, clicks or a box.

Rother et al., "GrabCut: Interactive Foreground Extraction using Iterated Graph Cuts", 2004. Works at a short side of
257 pixels. `frame`: uint8 H×W×3 RGB.
"""

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from siaf.boxes import Box
from siaf.masks import Bitmap, IndexMask, distance_to_outside
from siaf.model.loaded import Frame
from siaf.model.preprocessing import network_size
from siaf.scribbles import UNSCRIBBLED, Scribble, StrokeMap, rasterize

SHORT_SIDE = 257
BORDER = 2
STEPS = 5


def grabcut_from_strokes(frame: Frame, strokes: Sequence[Scribble]) -> IndexMask:
    """The index mask that GrabCut (OpenCV) finds from the strokes on one frame.

    Each object on its own: its strokes are foreground, all others and the frame's border are background; of
    the result, what touches a stroke of the object is kept. Where objects meet, the one with the nearer
    stroke wins. Raises InputError for strokes far outside the frame.
    """
    height, width = frame.shape[:2]
    small = _shrunk(frame)
    rows, columns = small.shape[:2]
    drawn = rasterize(strokes, height, width, size=(rows, columns))
    mask = np.zeros((height, width), np.uint8)
    nearest = np.full((height, width), np.inf, np.float32)
    for tag in np.unique(drawn[drawn > 0]).tolist():
        away = distance_to_outside(drawn != tag)
        found = _touching(_grabcut(small, _marked(drawn, tag)), drawn == tag)
        inside = cv2.resize(found.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR) > 0.5
        distance = cv2.resize(away, (width, height), interpolation=cv2.INTER_LINEAR)
        wins = inside & (distance < nearest)
        mask[wins], nearest[wins] = tag, distance[wins]
    return mask


def grabcut_from_box(frame: Frame, box: Box) -> Bitmap:
    """What GrabCut (OpenCV) takes for the object in a box, bool H×W."""
    height, width = frame.shape[:2]
    small = _shrunk(frame)
    rows, columns = small.shape[:2]
    scale = np.array([columns / width, rows / height] * 2)
    x0, y0, x1, y1 = np.round(np.array(box) * scale).astype(int)
    labels = np.full((rows, columns), cv2.GC_BGD, np.uint8)
    labels[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)] = cv2.GC_PR_FGD
    found = _grabcut(small, labels).astype(np.float32)
    inside: Bitmap = np.asarray(cv2.resize(found, (width, height), interpolation=cv2.INTER_LINEAR)) > 0.5
    return inside


def grabcut_answer(_model: object, frame: Frame) -> Callable[[Sequence[Scribble]], IndexMask]:
    """GrabCut as a `siaf.evaluation.interaction.Answer`: every call adds strokes to those before. It needs no model."""
    strokes: list[Scribble] = []

    def answer(new: Sequence[Scribble]) -> IndexMask:
        strokes.extend(new)
        return grabcut_from_strokes(frame, strokes)

    return answer


def _shrunk(frame: Frame) -> Frame:
    rows, columns = network_size(*frame.shape[:2], short_side=SHORT_SIDE, align_corners=True)
    return cv2.resize(frame, (columns, rows), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def _marked(drawn: StrokeMap, tag: int) -> NDArray[np.uint8]:
    """GrabCut's labels: the object's strokes are sure, and so are all others and the frame's border."""
    labels = np.full(drawn.shape, cv2.GC_BGD, np.uint8)
    labels[BORDER:-BORDER, BORDER:-BORDER] = cv2.GC_PR_BGD
    labels[drawn != UNSCRIBBLED] = cv2.GC_BGD
    labels[drawn == tag] = cv2.GC_FGD
    return labels


def _grabcut(image: Frame, labels: NDArray[np.uint8]) -> Bitmap:
    found: Bitmap = np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD))
    if found.all() or not found.any():  # there are no two colour models to learn
        return found
    cv2.setRNGSeed(0)  # its colour models start from k-means
    background, foreground = np.zeros((1, 65)), np.zeros((1, 65))
    no_box = (0, 0, 1, 1)
    cv2.grabCut(image, labels, no_box, background, foreground, STEPS, cv2.GC_INIT_WITH_MASK)
    return np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD))


def _touching(mask: Bitmap, stroke: Bitmap) -> Bitmap:
    """The connected parts of `mask` that hold a pixel of `stroke`."""
    _, part = cv2.connectedComponents(mask.astype(np.uint8))
    kept: Bitmap = mask & np.isin(part, part[stroke])
    return kept
