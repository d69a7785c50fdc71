"""What the segmenter is asked while simulated labelers work on pictures: what its decoder is trained on.

Clicks and boxes are asked for as by CVAT's interactor (`siaf.evaluation.clicks`), strokes as by a session's rounds
(`siaf.evaluation.interaction`), each with the mask that the interaction network gave before. What is asked on close-ups
counts too: they have the last word.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from siaf.boxes import Box, box_pixels, mask_box
from siaf.errors import InputError
from siaf.evaluation.clicks import next_click, siaf_segmenter
from siaf.evaluation.interaction import siaf_answer
from siaf.evaluation.robot import robot_scribbles
from siaf.interactive.clicks import Clicks
from siaf.masks import Bitmap, IndexMask
from siaf.model.loaded import Model
from siaf.model.segmenter import Prompt, Segmenter, resized
from siaf.session.refinement import SHARE
from siaf.training.segmenter import Example

_SMALLEST = 0.004
"""Objects of a smaller share of the picture are drawn on a close-up."""
_OBJECTS = 2
_CLICKS = (3, 6)
_ROUNDS = (1, 3)
_LOOSE = (-0.04, 0.1)
"""How far the sides of a box drawn by hand lie outside the object, as shares of its own."""
_CLOSE_UPS = 2
_NONE = np.zeros((0, 2))


@dataclass(frozen=True, eq=False)
class Asked:
    """A picture uint8 H×W×3, or a close-up of it, and what was asked on it."""

    picture: NDArray[np.uint8]
    examples: list[Example]


def record_prompts(
    model: Model, picture: NDArray[np.uint8], labels: IndexMask, rng: np.random.Generator
) -> list[Asked]:
    """All that the model's segmenter is asked on a picture uint8 H×W×3 whose objects are `labels`, uint8 H×W, and on at
    most two close-ups of it.

    Two boxes and some clicks for one object, and some rounds of strokes for two at most. Nothing if all are small.
    Raises InputError naming "model" if it has no segmenter.
    """
    if model.segmenter is None:
        raise InputError("has no segmenter to train", field="model")
    tags = [int(t) for t in np.unique(labels) if t and (labels == t).mean() > _SMALLEST]
    if not tags:
        return []
    tags = rng.permutation(tags).tolist()[:_OBJECTS]
    table = np.zeros(256, np.uint8)
    table[tags] = np.arange(1, len(tags) + 1)
    known = table[labels]
    recorder = _RecordingSegmenter(model.segmenter, picture)
    model = replace(model, segmenter=recorder)
    truth = known == 1
    for box in (mask_box(truth), _loose(mask_box(truth), truth.shape, rng)):
        siaf_segmenter(model, picture)(Clicks(_NONE, _NONE, (box,)))
        recorder.keep(lambda _: truth, SHARE)
    for number in _clicked(model, picture, truth, rng):
        recorder.keep(lambda _: truth, 1.0 if number else SHARE)
    answer, mask = siaf_answer(model, picture), np.zeros_like(known)
    for _ in range(int(rng.integers(_ROUNDS[0], _ROUNDS[1] + 1))):
        mask = answer(robot_scribbles(mask, known, [*range(1, len(tags) + 1)]))
        recorder.keep(lambda prompt: known == _meant(prompt, known), SHARE)
    whole, *close_ups = recorder.kept
    return [whole, *close_ups[:_CLOSE_UPS]]


def _loose(box: Box, size: tuple[int, ...], rng: np.random.Generator) -> Box:
    left, top, right, bottom = box
    sides = np.array([left - right, top - bottom, right - left, bottom - top])
    corners = np.clip(np.array(box) + rng.uniform(*_LOOSE, 4) * sides, 0, [size[1], size[0]] * 2)
    left, top, right, bottom = (float(x) for x in corners.round())
    return left, top, max(right, left + 1), max(bottom, top + 1)


class _RecordingSegmenter(Segmenter):
    """A segmenter that remembers what it was asked on one picture and on close-ups, which are exact parts of it."""

    def __init__(self, segmenter: Segmenter, picture: NDArray[np.uint8]) -> None:
        super().__init__(segmenter.net, segmenter.device)
        self._picture = picture
        self._asked: list[tuple[tuple[slice, slice], Prompt]] = []
        self._kept: dict[tuple[int, int, int, int], Asked] = {}
        self._entry((slice(0, picture.shape[0]), slice(0, picture.shape[1])))

    @property
    def kept(self) -> list[Asked]:
        """What `keep` took, of the whole picture first, then of close-ups in the order in which they were looked at."""
        return [*self._kept.values()]

    def segment(self, frame: NDArray[np.uint8], prompt: Prompt) -> Tensor:
        self._asked.append((_place(self._picture, frame), prompt))
        return super().segment(frame, prompt)

    def keep(self, truth: Callable[[Prompt], Bitmap], share: float) -> None:
        """What was asked since the last call, and what should come out: `truth` H×W of a prompt on the picture."""
        for place, prompt in self._asked:
            left, top = place[1].start, place[0].start
            meant = replace(
                prompt, positive=prompt.positive + np.array([left, top]), box=_shifted(prompt.box, left, top)
            )
            entry = self._entry(place)
            own = np.ascontiguousarray(truth(meant)[place])
            shares = resized(torch.from_numpy(own), self.mask_size(*own.shape))
            entry.examples.append(Example(prompt, (shares * 255).round().to(torch.uint8), share))
        self._asked = []

    def _entry(self, place: tuple[slice, slice]) -> Asked:
        rows, columns = place
        key = rows.start, rows.stop, columns.start, columns.stop
        return self._kept.setdefault(key, Asked(np.ascontiguousarray(self._picture[place]), []))


def _place(picture: NDArray[np.uint8], part: NDArray[np.uint8]) -> tuple[slice, slice]:
    """Rows and columns of a picture that a part of it shows."""
    differences = cv2.matchTemplate(picture, part, cv2.TM_SQDIFF)
    y, x = (int(i) for i in np.unravel_index(int(differences.argmin()), differences.shape))
    return slice(y, y + part.shape[0]), slice(x, x + part.shape[1])


def _shifted(box: Box | None, left: int, top: int) -> Box | None:
    return None if box is None else (box[0] + left, box[1] + top, box[2] + left, box[3] + top)


def _clicked(model: Model, picture: NDArray[np.uint8], truth: Bitmap, rng: np.random.Generator) -> Iterator[int]:
    """Number of each of some clicks on an object, once it is answered. The first may hit it anywhere, others its
    largest error."""
    segment = siaf_segmenter(model, picture)
    mask, clicked = np.zeros_like(truth), np.zeros_like(truth)
    points: dict[bool, list[tuple[int, int]]] = {True: [], False: []}
    for number in range(int(rng.integers(_CLICKS[0], _CLICKS[1] + 1))):
        click = next_click(mask, truth, clicked)
        if click is None:
            return
        x, y, positive = click
        if not number and rng.random() < 0.5:
            rows, columns = np.nonzero(truth)
            at = int(rng.integers(len(rows)))
            x, y = int(columns[at]), int(rows[at])
        clicked[y, x] = True
        points[positive].append((x, y))
        positive_points, negative_points = (np.array(points[k], np.float64).reshape(-1, 2) for k in (True, False))
        mask = segment(Clicks(positive_points, negative_points))
        yield number


def _meant(prompt: Prompt, known: IndexMask) -> int:
    """The object that most of a prompt's points are on, or that most of its box is."""
    if len(prompt.positive):
        corner = np.array(known.shape[::-1]) - 1
        columns, rows = np.clip(prompt.positive.astype(int), 0, corner).T
        hit = known[rows, columns]
    else:
        assert prompt.box is not None
        hit = known[box_pixels(prompt.box, *known.shape)]
    counts = np.bincount(hit.ravel(), minlength=2)
    return int(counts[1:].argmax()) + 1
