"""What the segmenter is asked while simulated labelers work on pictures: what its decoder is trained on.

Clicks and boxes are asked for as by CVAT's interactor (`siaf.evaluation.clicks`), strokes as by a session's rounds
(`siaf.evaluation.interaction`), each with the mask that the interaction network gave before.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from siaf.boxes import box_pixels, mask_box
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
_MOST_CLICKS = 4
_NONE = np.zeros((0, 2))


def record_prompts(
    model: Model, picture: NDArray[np.uint8], labels: IndexMask, rng: np.random.Generator
) -> list[Example]:
    """All that the model's segmenter is asked on a picture uint8 H×W×3 whose objects are `labels`, uint8 H×W.

    A box and some clicks for one object, and one or two rounds of strokes for two at most. Nothing if all are small.
    Raises InputError naming "model" if it has no segmenter.
    """
    if model.segmenter is None:
        raise InputError("has no segmenter to train", field="model")
    tags = [int(t) for t in np.unique(labels) if t and (labels == t).mean() > _SMALLEST]
    if not tags:
        return []
    tags = rng.permutation(tags).tolist()[:_OBJECTS]
    recorder = _RecordingSegmenter(model.segmenter, picture.shape)
    model = replace(model, segmenter=recorder)
    truth = labels == tags[0]
    siaf_segmenter(model, picture)(Clicks(_NONE, _NONE, (mask_box(truth),)))
    found = [Example(p, recorder.cells(truth), SHARE) for p in recorder.taken()]
    for number, prompts in enumerate(_clicked(model, recorder, picture, truth, rng)):
        found += [Example(p, recorder.cells(truth), 1.0 if number else SHARE) for p in prompts]
    table = np.zeros(256, np.uint8)
    table[tags] = np.arange(1, len(tags) + 1)
    known = table[labels]
    answer, mask = siaf_answer(model, picture), np.zeros_like(known)
    for _ in range(int(rng.integers(1, 3))):
        mask = answer(robot_scribbles(mask, known, [*range(1, len(tags) + 1)]))
        for prompt in recorder.taken():
            own = known == _meant(prompt, known)
            found.append(Example(prompt, recorder.cells(own), SHARE))
    return found


class _RecordingSegmenter(Segmenter):
    """A segmenter that remembers what it was asked on one picture, not on close-ups of it."""

    def __init__(self, segmenter: Segmenter, size: tuple[int, ...]) -> None:
        super().__init__(segmenter.net, segmenter.device)
        self._recorded: list[Prompt] = []
        self._size = size

    def segment(self, frame: NDArray[np.uint8], prompt: Prompt) -> Tensor:
        if frame.shape == self._size:
            self._recorded.append(prompt)
        return super().segment(frame, prompt)

    def taken(self) -> list[Prompt]:
        """What was asked since the last call."""
        asked, self._recorded = self._recorded, []
        return asked

    def cells(self, truth: Bitmap) -> Tensor:
        """A mask H×W as a share of 255 of the cells of the segmenter's masks."""
        shares = resized(torch.from_numpy(truth), self.mask_size(*truth.shape))
        return (shares * 255).round().to(torch.uint8)


def _clicked(
    model: Model, recorder: _RecordingSegmenter, picture: NDArray[np.uint8], truth: Bitmap, rng: np.random.Generator
) -> Iterator[list[Prompt]]:
    """What some clicks on an object ask, click by click. The first hits it anywhere, the next its largest error."""
    segment = siaf_segmenter(model, picture)
    mask, clicked = np.zeros_like(truth), np.zeros_like(truth)
    points: dict[bool, list[tuple[int, int]]] = {True: [], False: []}
    for number in range(int(rng.integers(2, _MOST_CLICKS + 1))):
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
        yield recorder.taken()


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
