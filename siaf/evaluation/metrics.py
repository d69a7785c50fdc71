"""Region and boundary quality of masks, as DAVIS defines them, and overlap of boxes.

J is the Jaccard index; F is the harmonic mean of boundary precision and recall with a tolerance of 0.8 % of
the image diagonal (Perazzi et al., "A Benchmark Dataset and Evaluation Methodology for Video Object
Segmentation", 2016). Values agree with davis2017-evaluation and davisinteractive 1.0.4: tests/evaluation/data
holds what those packages answer.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from siaf.errors import InputError

BOUNDARY_TOLERANCE = 0.008
"""Fraction of the image diagonal within which two boundary pixels match."""
MIN_SHOWN = 0.0005
"""Fraction of the frame from which an object counts as visible where tags are compared."""


def jaccard(pred: NDArray[np.bool_], gt: NDArray[np.bool_]) -> float:
    """Intersection over union of two masks, bool H×W; 1 when both are empty."""
    _require_same_shape(pred, gt, dimensions=2)
    union = np.count_nonzero(pred | gt)
    return np.count_nonzero(pred & gt) / union if union else 1.0


def boundary_f(pred: NDArray[np.bool_], gt: NDArray[np.bool_]) -> float:
    """F-measure of the boundaries of two masks, bool H×W.

    1 when neither has a boundary (both empty, or both full), 0 when only one has.
    """
    _require_same_shape(pred, gt, dimensions=2)
    pred_edge, gt_edge = _boundary(pred), _boundary(gt)
    n_pred, n_gt = np.count_nonzero(pred_edge), np.count_nonzero(gt_edge)
    if n_pred == 0 or n_gt == 0:
        return float(n_pred == n_gt)
    # Matches are only read where there is a boundary, so nothing outside this window matters.
    x, y, width, height = cv2.boundingRect(pred_edge | gt_edge)
    window = np.s_[y : y + height, x : x + width]
    pred_edge, gt_edge = pred_edge[window], gt_edge[window]
    reach = _disk(int(np.ceil(BOUNDARY_TOLERANCE * np.hypot(*pred.shape))))
    precision = np.count_nonzero(pred_edge & _dilated(gt_edge, reach)) / n_pred
    recall = np.count_nonzero(gt_edge & _dilated(pred_edge, reach)) / n_gt
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def sequence_jaccard(pred: NDArray[np.integer], gt: NDArray[np.integer], tags: Sequence[int]) -> NDArray[np.float64]:
    """J of every frame and tag: index masks N×H×W in, float64 N×len(tags) out."""
    _require_same_shape(pred, gt, dimensions=3)
    return np.array([[jaccard(p == tag, g == tag) for tag in tags] for p, g in zip(pred, gt, strict=True)])


def sequence_boundary_f(pred: NDArray[np.integer], gt: NDArray[np.integer], tags: Sequence[int]) -> NDArray[np.float64]:
    """F of every frame and tag: index masks N×H×W in, float64 N×len(tags) out."""
    _require_same_shape(pred, gt, dimensions=3)
    return np.array([[boundary_f(p == tag, g == tag) for tag in tags] for p, g in zip(pred, gt, strict=True)])


def swapped_objects(pred: NDArray[np.integer], gt: NDArray[np.integer], tags: Sequence[int]) -> NDArray[np.bool_]:
    """Where an object carries another object's tag: index masks N×H×W in, bool N×len(tags) out.

    That is the case in a frame where, of the object's true pixels, more have some other object's tag than its own.
    What covers less than `MIN_SHOWN` of the frame is not judged.
    """
    _require_same_shape(pred, gt, dimensions=3)
    result = np.zeros((len(gt), len(tags)), bool)
    for i, (p, g) in enumerate(zip(pred, gt, strict=True)):
        for k, tag in enumerate(tags):
            inside = p[g == tag]
            if inside.size >= MIN_SHOWN * g.size:
                counts = {other: np.count_nonzero(inside == other) for other in tags}
                result[i, k] = any(counts[other] > counts[tag] for other in tags)
    return result


def box_iou(pred: NDArray[np.float64], gt: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intersection over union of boxes, row by row.

    `pred`, `gt`: float64 N×4, (x1, y1, x2, y2) in pixels, x2 and y2 exclusive. A row of NaN says that the
    object is absent: absent in both counts 1, absent in one 0, as for masks. Returns float64 N.
    """
    if pred.shape != gt.shape or pred.ndim != 2 or pred.shape[1] != 4:
        raise InputError(f"boxes {pred.shape} and {gt.shape} should both be N×4", field="boxes")
    pred_size, gt_size = pred[:, 2:] - pred[:, :2], gt[:, 2:] - gt[:, :2]
    if (pred_size < 0).any() or (gt_size < 0).any():
        raise InputError("a box ends before it begins", field="boxes")
    overlap = np.minimum(pred[:, 2:], gt[:, 2:]) - np.maximum(pred[:, :2], gt[:, :2])
    intersection = np.clip(overlap, 0, None).prod(axis=1)
    union = pred_size.prod(axis=1) + gt_size.prod(axis=1) - intersection
    iou: NDArray[np.float64] = np.divide(intersection, union, out=np.ones(len(pred)), where=union > 0)
    pred_absent, gt_absent = np.isnan(pred[:, 0]), np.isnan(gt[:, 0])
    iou[pred_absent | gt_absent] = 0
    iou[pred_absent & gt_absent] = 1
    return iou


def _boundary(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """1 where a pixel differs from its right, lower or lower right neighbour; the frame's edge is none."""
    padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    right, down, diagonal = padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]
    return ((mask ^ right) | (mask ^ down) | (mask ^ diagonal)).view(np.uint8)


def _disk(radius: int) -> NDArray[np.uint8]:
    offsets = np.arange(-radius, radius + 1) ** 2
    return (offsets[:, None] + offsets <= radius**2).view(np.uint8)


def _dilated(edge: NDArray[np.uint8], reach: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return cv2.dilate(edge, reach).astype(np.uint8, copy=False)


def _require_same_shape(pred: NDArray[np.generic], gt: NDArray[np.generic], *, dimensions: int) -> None:
    if pred.ndim != dimensions or pred.shape != gt.shape:
        raise InputError(
            f"shape {pred.shape} does not fit the ground truth's {gt.shape}, or has not {dimensions} axes",
            field="prediction",
        )
