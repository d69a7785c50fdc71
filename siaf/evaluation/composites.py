"""Multi-object evaluation clips with exact tags, made of sequences that have only one object each.

The base sequence keeps its frames and its own object(s). The objects of the other sequences are cut out with
their ground truth and pasted over it: every object mirrored or not, scaled and shifted by amounts drawn once
per clip, so that it keeps the motion it had in its own frames. Pasted objects lie on top of the base's, later
ones on top of earlier ones; what remains visible of an object defines its tag. Tags are 1, 2, … in the order
of the sequences. The same sequences and seed give the same clip.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from siaf.errors import InputError
from siaf.evaluation.davis import LabelledSequence
from siaf.frames.source import ArrayFrames, Frame
from siaf.masks import Bitmap, IndexMask

SIZES = (0.3, 0.5)
"""Diagonal of a pasted object's box, median over the clip, over the base frame's diagonal. None is enlarged."""
ATTEMPTS = 60
VISIBLE = 0.6
"""Least visible part of every object, in the first frame and on average, with which a set of placements is taken."""
_LOOK_EVERY = 8
"""Placements are judged on every so many frames."""


@dataclass(frozen=True)
class _Layer:
    """An object and where its frames' top left corner goes, in pixels of the composite."""

    source: LabelledSequence
    tag: int
    mirrored: bool = False
    scale: float = 1.0
    left: int = 0
    top: int = 0

    def cover(self, i: int, height: int, width: int) -> NDArray[np.uint8]:
        """How much of each pixel of the composite the object covers in frame `i`, 0…255, uint8 height × width."""
        own = (self.source.masks[i] == self.tag).astype(np.uint8) * 255
        # A cut-out with edges as sharp as a mask would show where it was cut.
        return cv2.GaussianBlur(self._placed(own, height, width), (3, 3), 0).astype(np.uint8, copy=False)

    def colours(self, i: int, height: int, width: int) -> NDArray[np.uint8]:
        """Frame `i` of the source where the composite shows it, uint8 height × width × 3."""
        return self._placed(self.source.frames[i], height, width)

    def _placed(self, image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
        rows, columns = (max(1, round(side * self.scale)) for side in image.shape[:2])
        small = cv2.resize(image, (columns, rows), interpolation=cv2.INTER_AREA)
        if self.mirrored:
            small = cv2.flip(small, 1)
        canvas = np.zeros((height, width, *image.shape[2:]), np.uint8)
        top, left, bottom, right = self.top, self.left, self.top + rows, self.left + columns
        part = canvas[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
        part[:] = small[max(-top, 0) :, max(-left, 0) :][: part.shape[0], : part.shape[1]]
        return canvas


def composite(sequences: Sequence[LabelledSequence], seed: int) -> LabelledSequence:
    """One clip of the first sequence with the objects of the others on top, as long as the shortest of them.

    Placements are drawn until every object is visible enough (`VISIBLE`); if `ATTEMPTS` draws do not give
    one, the best is taken. Raises InputError if there are fewer than two sequences, one comes twice, or one
    shows no object in that time.
    """
    if len({sequence.name for sequence in sequences}) < max(2, len(sequences)):
        raise InputError("a composite needs two or more different sequences", field="sequences")
    length = min(len(sequence.masks) for sequence in sequences)
    for sequence in sequences:
        if not sequence.masks[:length].any():
            raise InputError(f"{sequence.name} shows no object in {length} frames", field="sequences")
    base, *others = sequences
    layers = _placed_layers(base, others, length, np.random.default_rng(seed))
    drawn = [_drawn(layers, i, base) for i in range(length)]
    frames, masks = zip(*drawn, strict=True)
    name = "+".join(sequence.name for sequence in sequences)
    return LabelledSequence(name, ArrayFrames(frames), np.stack(masks))


def composites(sequences: Sequence[LabelledSequence], objects: int = 3, seed: int = 0) -> Iterator[LabelledSequence]:
    """One clip per sequence: it is the base, the `objects` − 1 sequences after it, round the list, are pasted.

    Raises InputError if there are fewer than `objects` sequences, or fewer than two.
    """
    for i in range(len(sequences)):
        yield composite([sequences[(i + k) % len(sequences)] for k in range(objects)], seed + i)


def _layers(sequence: LabelledSequence, length: int) -> list[_Layer]:
    """The objects that show up in the first `length` frames, where they are."""
    return [_Layer(sequence, int(tag)) for tag in np.unique(sequence.masks[:length]) if tag]


def _placed_layers(
    base: LabelledSequence, others: Sequence[LabelledSequence], length: int, rng: np.random.Generator
) -> list[_Layer]:
    """All objects from bottom to top: the base's in their place, the others' in the first good place, or the best."""
    fixed = _layers(base, length)
    loose = [layer for sequence in others for layer in _layers(sequence, length)]
    looked_at = range(0, length, _LOOK_EVERY)
    boxes = [_typical_box(layer, length) for layer in loose]
    best, best_visible = fixed, -1.0
    for _ in range(ATTEMPTS):
        layers = fixed + [_thrown(layer, box, base, rng) for layer, box in zip(loose, boxes, strict=True)]
        visible = _least_visible(layers, looked_at, base)
        if visible > best_visible:
            best, best_visible = layers, visible
        if visible >= VISIBLE:
            break
    return best


def _typical_box(layer: _Layer, length: int) -> NDArray[np.float64]:
    """Median over the frames that show the object of its box: x, y of the centre, width, height, in pixels."""
    shown = (mask == layer.tag for mask in layer.source.masks[:length])
    boxes = np.array([cv2.boundingRect(mask.view(np.uint8)) for mask in shown if mask.any()], np.float64)
    centred = np.column_stack([boxes[:, :2] + boxes[:, 2:] / 2, boxes[:, 2:]])
    median: NDArray[np.float64] = np.median(centred, axis=0)
    return median


def _thrown(layer: _Layer, box: NDArray[np.float64], base: LabelledSequence, rng: np.random.Generator) -> _Layer:
    """The object at a random size, its typical centre anywhere but close to the border of the base's frames."""
    height, width = base.masks.shape[1:]
    x, y, box_width, box_height = box.tolist()
    size = rng.uniform(*SIZES) * np.hypot(height, width) / np.hypot(box_width, box_height)
    scale = float(min(1.0, size))
    mirrored = bool(rng.random() < 0.5)
    if mirrored:
        x = layer.source.masks.shape[2] - x
    to_x, to_y = rng.uniform(0.15, 0.85) * width, rng.uniform(0.2, 0.8) * height
    return replace(layer, mirrored=mirrored, scale=scale, left=round(to_x - scale * x), top=round(to_y - scale * y))


def _drawn(layers: Sequence[_Layer], i: int, base: LabelledSequence) -> tuple[Frame, IndexMask]:
    """Frame `i` of the composite and its index mask: layer k has tag k + 1, later layers on top."""
    frame, mask = base.frames[i], _visible_tags(layers, i, base)
    for layer in layers:
        if layer.source is not base:
            cover = layer.cover(i, *mask.shape)
            x, y, width, height = cv2.boundingRect(cover)
            window = np.s_[y : y + height, x : x + width]
            alpha = cover[window][..., None] / 255
            colours = layer.colours(i, *mask.shape)[window]
            frame[window] = np.round(alpha * colours + (1 - alpha) * frame[window])
    return frame, mask


def _visible_tags(layers: Sequence[_Layer], i: int, base: LabelledSequence) -> IndexMask:
    mask = np.zeros(base.masks.shape[1:], np.uint8)
    for tag, layer in enumerate(layers, start=1):
        mask[_covered(layer, i, base)] = tag
    return mask


def _covered(layer: _Layer, i: int, base: LabelledSequence) -> Bitmap:
    """Where the layer's object is in frame `i`, hidden or not. The base's own objects keep their ground truth."""
    if layer.source is base:
        own: Bitmap = base.masks[i] == layer.tag
        return own
    return layer.cover(i, *base.masks.shape[1:]) > 127


def _least_visible(layers: Sequence[_Layer], looked_at: Sequence[int], base: LabelledSequence) -> float:
    """The least, over objects, of the visible part in the first frame that shows it and of its mean over frames.

    Parts that lie outside the frame are not visible.
    """
    shares: list[list[float]] = [[] for _ in layers]
    for i in looked_at:
        mask = _visible_tags(layers, i, base)
        for tag, layer in enumerate(layers, start=1):
            area = np.count_nonzero(layer.source.masks[i] == layer.tag) * layer.scale**2
            if area:
                shares[tag - 1].append(np.count_nonzero(mask == tag) / area)
    return min((min(share[0], float(np.mean(share))) for share in shares if share), default=0.0)
