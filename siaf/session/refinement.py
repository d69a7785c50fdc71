"""Masks after the interaction network: a Segment Anything decoder draws each object that was prompted again.

It is shown the network's mask, points along the strokes and the box, and works at a finer resolution; what counts is a
weighted mean of both. An object that is small in the frame is then drawn once more on a close-up of it
(`siaf.session.close_ups`). Measured effect: docs/training.md.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from siaf.boxes import Box
from siaf.masks import Bitmap, IndexMask, distance_to_outside
from siaf.model.probabilities import CloseUp, Probabilities, Window
from siaf.model.segmenter import Points, Prompt, Segmenter, resized
from siaf.scribbles import Scribble
from siaf.session.close_ups import shows_more, smallest, window_of

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
    *,
    standing: Sequence[Scribble] = (),
    closer: Collection[int] = (),
    close_ups: bool = True,
) -> Probabilities:
    """A frame's probabilities with every object that has a stroke or a box on it drawn again, at the segmenter's size.

    `before` is the frame's mask before these strokes, if it had one: strokes may only say what is wrong with it, so
    points inside it, and the strokes of earlier rounds that are still `standing`, stand for the rest. A pixel that
    several objects claim is the most probable one's. A close-up that is little finer serves objects that the frame did
    not have before, and those of `closer`. Without `close_ups` nothing is seen closer: a first answer, sooner.
    """
    size = segmenter.mask_size(*guess.size)
    named = {stroke.tag for stroke in strokes if stroke.tag} | boxes.keys()
    more = shows_more(*guess.size)
    small = _small(before, guess.tags[1:].tolist(), size) if before is not None and more else {}
    if any(not stroke.tag for stroke in strokes):
        named |= small.keys()
    said = [*standing, *strokes]
    asked = {tag: _Asked(tag, *points_of(said, tag), boxes.get(tag), before) for tag in sorted(named)}
    channels = {}
    for tag in guess.tags[1:].tolist():
        channels[tag] = small[tag] if tag in small else torch.from_numpy(guess.of(tag, size))
        if tag in asked:
            channels[tag] = _drawn_again(segmenter, frame, channels[tag], asked[tag], share)
    objects = torch.stack([*channels.values()]) if channels else torch.zeros(0, *size)
    background = 1 - objects.amax(0) if channels else torch.ones(size)
    whole = Probabilities(torch.cat((background[None], objects)), guess.tags, guess.size, align_corners=False)
    windows = {}
    for tag in asked.keys() & channels.keys() if more and close_ups else ():
        little = tag in closer or before is None or not (before == tag).any()
        window = window_of(channels[tag].numpy() > 0.5, asked[tag].on, asked[tag].box, guess.size, little=little)
        if window is not None:
            windows[tag] = window
    seen = {
        tag: CloseUp(window, _seen_closer(segmenter, frame, whole.of(tag), window, asked[tag], share))
        for tag, window in smallest(windows).items()
    }
    return replace(whole, close_ups=seen)


@dataclass(frozen=True, eq=False)
class _Asked:
    """What is known of an object: points N×2 (x, y) in pixels on it and beside it, its box, and the frame's index mask
    before, uint8 H×W, which all objects share.
    """

    tag: int
    on: Points
    beside: Points
    box: Box | None
    before: IndexMask | None

    def within(self, window: Window) -> "_Asked":
        """The same in the coordinates of a part of the frame."""
        left, top, right, bottom = window
        corner, far = np.array([left, top]), np.array([right, bottom])
        on, beside = (p[((p >= corner) & (p < far)).all(1)] - corner for p in (self.on, self.beside))
        box = self.box and (self.box[0] - left, self.box[1] - top, self.box[2] - left, self.box[3] - top)
        return _Asked(self.tag, on, beside, box, None if self.before is None else self.before[top:bottom, left:right])


def _small(before: IndexMask, tags: Sequence[int], size: tuple[int, int]) -> dict[int, Tensor]:
    """Of objects that a close-up shows much finer, what they were, as probabilities of `size`, by tag.

    The interaction network sees a few pixels of such an object, and a correction makes it forget them.
    """
    found = {}
    for tag in sorted(set(tags) & set(np.unique(before).tolist())):
        own = before == tag
        if window_of(own, np.zeros((0, 2)), None, before.shape) is not None:
            found[tag] = _as_probabilities(resized(torch.from_numpy(own), size))
    return found


def _drawn_again(segmenter: Segmenter, frame: NDArray[np.uint8], guess: Tensor, asked: _Asked, share: float) -> Tensor:
    """An object's probabilities h×w of the segmenter's size, from what they were thought to be."""
    thought = guess.clamp(_SURE, 1 - _SURE).logit()
    on = asked.on
    if asked.before is not None and asked.box is None:
        on = np.concatenate((on, _anchors(asked.before == asked.tag, guess.numpy() > 0.5, asked.beside)))
    if not len(on) and asked.box is None:
        return guess
    found = segmenter.segment(frame, Prompt(on, asked.beside, asked.box, thought)).cpu()
    return (share * found + (1 - share) * thought).sigmoid()


def _seen_closer(
    segmenter: Segmenter,
    frame: NDArray[np.uint8],
    guess: NDArray[np.float32],
    window: Window,
    asked: _Asked,
    share: float,
) -> Tensor:
    """An object's probabilities within a window, from those of the whole frame, H×W."""
    left, top, right, bottom = window
    part = np.ascontiguousarray(frame[top:bottom, left:right])
    thought = resized(torch.from_numpy(guess[top:bottom, left:right]), segmenter.mask_size(*part.shape[:2]))
    return _drawn_again(segmenter, part, thought, asked.within(window), share)


def guess_from(mask: IndexMask, tags: Sequence[int], segmenter: Segmenter) -> Probabilities:
    """An index mask as probabilities of these tags, for `refine`."""
    size = segmenter.mask_size(*mask.shape)
    shares = [resized(torch.from_numpy(mask == tag), size) for tag in (0, *tags)]
    channels = _as_probabilities(torch.stack(shares))
    return Probabilities(channels, np.array((0, *tags), np.uint8), mask.shape, align_corners=False)


def _as_probabilities(shares: Tensor) -> Tensor:
    """Of a mask that is known as pixels, from the share that it has of each cell."""
    return (_SOFT * (2 * shares - 1)).sigmoid()


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
    return distance_to_outside(np.pad(mask, 1) > 0)[1:-1, 1:-1]
