"""The rectangle of an object's first frame, tracked as a rectangle: what CVAT's tracker tools are used for."""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from siaf.boxes import Box, mask_box
from siaf.engines.base import Engine
from siaf.evaluation.metrics import box_iou
from siaf.frames.source import Frame, frame_digest
from siaf.interactive.tracking import Pending, Track, Tracker
from siaf.prompts import ObjectPrompt
from siaf.session.feature_cache import FeatureCache

Boxes = NDArray[np.float64]
"""float64 N×4, one row per frame: left, top, right, bottom edge; NaN where the object is absent."""


def siaf_boxes(model: Engine, frames: Sequence[Frame], boxes: Mapping[int, Box]) -> dict[int, Boxes]:
    """Tracks by tag, as the function's tracker answers: all objects in one pass; a lost one stays where it was."""
    first = frames[0]
    height, width = first.shape[:2]
    tracker = Tracker(model, FeatureCache(), lambda _: first)
    prompts = tuple(ObjectPrompt(tag, box=box) for tag, box in boxes.items())
    track = tracker.prompt(Track(height, width), Pending(frame_digest(first), prompts))
    found = {tag: [box] for tag, box in boxes.items()}
    for i in range(1, len(frames)):
        frame = frames[i]
        track = tracker.step(track, frame, frame_digest(frame))
        assert track.mask is not None
        for tag, rows in found.items():
            here = track.mask == tag
            rows.append(mask_box(here) if here.any() else rows[-1])
    return {tag: np.array(rows) for tag, rows in found.items()}


def mil_boxes(frames: Sequence[Frame], boxes: Mapping[int, Box]) -> dict[int, Boxes]:
    """Tracks by tag of OpenCV's MIL tracker, which CVAT's user interface offers; one tracker per object.

    Babenko et al., "Visual Tracking with Online Multiple Instance Learning", 2009. It draws random numbers that
    OpenCV lets nobody seed: no two runs are equal.
    """
    trackers = {}
    for tag, (left, top, right, bottom) in boxes.items():
        trackers[tag] = cv2.TrackerMIL.create()
        trackers[tag].init(_bgr(frames[0]), (int(left), int(top), int(right - left), int(bottom - top)))
    found = {tag: [box] for tag, box in boxes.items()}
    for i in range(1, len(frames)):
        picture = _bgr(frames[i])
        for tag, tracker in trackers.items():
            seen, (x, y, width, height) = tracker.update(picture)
            found[tag].append((float(x), float(y), float(x + width), float(y + height)) if seen else found[tag][-1])
    return {tag: np.array(rows) for tag, rows in found.items()}


def still_boxes(frames: Sequence[Frame], boxes: Mapping[int, Box]) -> dict[int, Boxes]:
    """The first rectangle on every frame."""
    return {tag: np.tile(np.array(box), (len(frames), 1)) for tag, box in boxes.items()}


def first_boxes(truth: NDArray[np.uint8]) -> dict[int, Box]:
    """The rectangles of the first frame's objects, by tag. `truth`: index masks uint8 N×H×W."""
    return {int(tag): mask_box(truth[0] == tag) for tag in np.unique(truth[0]) if tag}


def score_boxes(found: Mapping[int, Boxes], truth: NDArray[np.uint8]) -> float:
    """Mean IoU over objects and frames, the first frame and those where the object is absent left out."""
    scores = []
    for tag, boxes in found.items():
        true = np.array([mask_box(mask == tag) if (mask == tag).any() else (np.nan,) * 4 for mask in truth])
        shown = ~np.isnan(true[:, 0])
        shown[0] = False
        if shown.any():
            scores.append(box_iou(boxes[shown], true[shown]).mean())
    return float(np.mean(scores))


def _bgr(frame: Frame) -> Frame:
    return np.ascontiguousarray(frame[..., ::-1])
