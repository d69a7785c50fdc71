"""Synthetic training clips: objects with known masks, moved over backgrounds.

A clip is a stack of layers: a canvas, objects, unlabelled distractors, an unlabelled occluder. Every layer
has its own smooth motion in a world that the camera moves over, is warped straight to the output resolution,
and is composited over what lies below. Labels come from the alpha of the pixels, so the two always agree.

Coordinates are (x, y) in output pixels with the origin in the middle of the output; times are in frames of an
ordinary video (about 25 a second), of which a clip shows only some (see `Gaps`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from siaf.errors import InputError
from siaf.frames.inpainting import fill_hole
from siaf.training.layers import Layer, Motion, affine, composite, draw_elastic, rescale, soften, warp_canvas
from siaf.training.look import Look
from siaf.training.regions import cut_out, pick_regions, premultiply
from siaf.training.sources import Sources
from siaf.training.thin import thin_thing

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]
_Item = TypeVar("_Item")


@dataclass(frozen=True)
class Gaps:
    """Range of the time between neighbouring frames: log-uniform for the first two, uniform afterwards."""

    first: tuple[float, float] = (0.5, 4.0)
    later: tuple[float, float] = (0.4, 1.5)


STILL_GAPS = Gaps((4.0, 30.0), (4.0, 30.0))
"""For frames that a user would interact with: far apart, as in different rounds."""

# Proportions of the recipe.
_IN_PLACE = 0.55
_IN_PLACE_SEGMENTS = 0.35
_PASTED_CUTOUT, _PASTED_SEGMENT = 0.25, 0.20
_OCCLUDER = 0.30
_DISTRACTOR, _HIDDEN_AT_FIRST = 0.35, 0.5
_LABELLED_TWIN, _CROSSING = 0.5, 0.6
_THIN = 0.1
_VANISHING = 0.12
_MIN_VISIBLE = 60
"""Fewest pixels of an object in the first frame; what shows less is not labelled."""
_MAX_ATTEMPTS = 20


@dataclass(frozen=True)
class Clip:
    """`frames` uint8 [T, H, W, 3] RGB; `labels` uint8 [T, H, W], 0 = background, 1..K all in frame 0."""

    frames: Bytes
    labels: Bytes


class ClipSynthesizer:
    """Makes clips of `length` frames of `size` x `size` px with 1 to `max_objects` objects.

    `untouched`: share of the clips with objects in their own photo that show the photo as it was taken, so that
    outlines and shadows are real; then only the camera moves.
    Raises InputError if one of these is below 1, and in `sample` if the sources show no object.
    """

    def __init__(
        self,
        sources: Sources,
        *,
        size: int,
        length: int,
        max_objects: int = 3,
        gaps: Gaps | None = None,
        untouched: float = 0.12,
    ) -> None:
        for name, value in (("size", size), ("length", length), ("max_objects", max_objects)):
            if value < 1:
                raise InputError(f"must be at least 1, is {value}", field=name)
        self._sources = sources
        self._size = size
        self._length = length
        self._max_objects = max_objects
        self._gaps = gaps or Gaps()
        self._untouched = untouched
        grain = np.random.default_rng(0).standard_normal((2 * size, 2 * size, 3)).astype(np.float32)
        coarse = cv2.GaussianBlur(grain, (0, 0), 0.8).astype(np.float32)
        self._grain = (grain, coarse * 2)

    def sample(self, rng: np.random.Generator) -> Clip:
        """A clip that depends on nothing but the state of `rng`."""
        for _ in range(_MAX_ATTEMPTS):
            layers = self._in_place(rng) if rng.random() < _IN_PLACE else self._pasted(rng)
            if layers and (len(layers) > 1 or layers[0].labels is not None):
                clip = self._render(layers, rng)
                if clip.labels[0].any():
                    return clip
        raise InputError(f"show no object of {_MIN_VISIBLE} px in {_MAX_ATTEMPTS} attempts", field="sources")

    # -- scenes ----------------------------------------------------------------------------------------------

    def _in_place(self, rng: np.random.Generator) -> list[Layer]:
        """Objects of one photo moved over that photo, the holes that they leave filled."""
        size = self._size
        segments = rng.random() < _IN_PLACE_SEGMENTS
        photo = _pick(self._sources.segments if segments else self._sources.instances, rng)
        image, masks = _flip_maybe(photo.image, pick_regions(photo, self._max_objects + 1, rng), rng)
        if not masks:
            return []
        height, width = image.shape[:2]
        # The view shows between the whole short side and a close look at the first object.
        x, y, w, h = cv2.boundingRect(masks[0])
        side = np.clip(max(w, h) * rng.uniform(1.1, 3.0), 0.45 * min(height, width), 1.1 * min(height, width))
        scale = size / side
        centre = np.array([x + w / 2, y + h / 2]) + rng.normal(0, 0.12, 2) * side
        slack = np.maximum(np.array([width, height]) - side, 0) / 2
        centre = np.clip(centre, np.array([width, height]) / 2 - slack, np.array([width, height]) / 2 + slack)
        keep = max(1, int(rng.integers(1, self._max_objects + 1)))
        if rng.random() < self._untouched:
            layer = self._canvas(image, centre, scale, rng)
            index_map = reduce(np.maximum, [mask * np.uint8(tag) for tag, mask in enumerate(masks[:keep], 1)])
            shown = cv2.resize(index_map, layer.sprite.shape[1::-1], interpolation=cv2.INTER_NEAREST_EXACT)
            layer.labels = shown.astype(np.uint8, copy=False)
            return [layer]
        hole = reduce(np.maximum, masks[:keep])
        canvas = fill_hole(image, hole, rng) if rng.random() < 0.9 else image
        layers = [self._canvas(canvas, centre, scale, rng)]
        for tag, mask in enumerate(masks[:keep], 1):
            cut = cut_out(image, mask)
            if cut is None:
                continue
            sprite, box_centre = cut
            offset = (box_centre - centre) * scale
            layers.append(self._layer(sprite, scale, offset, tag, rng, soft=rng.uniform(0.4, 1.0)))
        if len(masks) > keep and rng.random() < _DISTRACTOR:
            cut = cut_out(image, masks[keep])
            if cut is not None:
                layers.append(self._layer(cut[0], scale, rng.uniform(-0.4, 0.4, 2) * size, 0, rng))
        self._decorate(layers, rng)
        return layers

    def _pasted(self, rng: np.random.Generator) -> list[Layer]:
        """Objects from anywhere over a photo that they were not taken from."""
        background, _ = _flip_maybe(self._any_background(rng), [], rng)
        height, width = background.shape[:2]
        side = min(height, width) * rng.uniform(0.5, 1.0)
        scale = self._size / side
        room = (np.array([width, height]) - side) / 2
        centre = np.array([width, height]) / 2 + rng.uniform(-1, 1, 2) * room
        layers = [self._canvas(background, centre, scale, rng)]
        for tag in range(1, int(rng.integers(1, self._max_objects + 1)) + 1):
            layers.append(self._pasted_layer(tag, rng, (0.14, 0.75)))
        self._decorate(layers, rng)
        return layers

    def _pasted_layer(self, tag: int, rng: np.random.Generator, extent: tuple[float, float]) -> Layer:
        sprite = self._any_object(rng)
        target = self._size * np.exp(rng.uniform(np.log(extent[0]), np.log(extent[1])))
        scale = target / max(sprite.shape[:2])
        place = rng.uniform(-0.4, 0.4, 2) * self._size
        layer = self._layer(sprite, float(scale), place, tag, rng, soft=rng.uniform(0.3, 1.0))
        layer.gain = float(rng.uniform(0.7, 1.25))
        return layer

    def _decorate(self, layers: list[Layer], rng: np.random.Generator) -> None:
        """Add a distractor between the objects and an occluder above them, and make some objects vanish."""
        objects = [layer for layer in layers[1:] if layer.tag]
        if not objects:
            return
        size = self._size
        if rng.random() < _DISTRACTOR:
            self._add_twin(layers, _pick(objects, rng), rng)
        if len(objects) < self._max_objects and rng.random() < _LABELLED_TWIN:
            self._add_labelled_twin(layers, _pick(objects, rng), 1 + max(layer.tag for layer in objects), rng)
        for layer in objects:
            if self._length > 1 and rng.random() < _VANISHING:
                if self._length > 2 and rng.random() < 0.5:
                    first = int(rng.integers(1, self._length - 1))
                    layer.hidden = range(first, int(rng.integers(first + 1, self._length)))
                else:
                    outward = np.array(layer.centre) + rng.normal(0, 0.1 * size, 2)
                    outward = outward / (np.linalg.norm(outward) + 1e-6) * size * rng.uniform(0.3, 1.0)
                    layer.drift = (float(outward[0]), float(outward[1]))
        if rng.random() < _OCCLUDER:
            layers.append(self._pasted_layer(0, rng, (0.15, 0.6)))

    def _add_twin(self, layers: list[Layer], twin: Layer, rng: np.random.Generator) -> None:
        """An unlabelled copy of an object, next to it or, in a clip, behind it at first, from where it comes out."""
        hidden = self._length > 1 and rng.random() < _HIDDEN_AT_FIRST
        angle = rng.uniform(0, 2 * np.pi)
        reach = max(twin.sprite.shape[:2]) * rng.uniform(0.6, 1.2) * np.array([np.cos(angle), np.sin(angle)])
        beside = np.clip(np.array(twin.centre) + reach, -0.5 * self._size, 0.5 * self._size)
        sprite = np.ascontiguousarray(twin.sprite[:, ::-1]) if rng.random() < 0.5 else twin.sprite
        scale = rng.uniform(0.45, 0.8) if hidden else rng.uniform(0.75, 1.2)
        copy = self._layer(sprite, scale, np.array(twin.centre) if hidden else beside, 0, rng, soft=0)
        copy.gain = (twin.gain * rng.uniform(0.85, 1.15, 3)).astype(np.float32)
        if hidden:
            copy.drift = (float(reach[0]), float(reach[1]))
            layers.insert(next(i for i, layer in enumerate(layers) if layer is twin), copy)
        else:
            layers.insert(int(rng.integers(1, len(layers) + 1)), copy)

    def _add_labelled_twin(self, layers: list[Layer], twin: Layer, tag: int, rng: np.random.Generator) -> None:
        """A copy of an object that is an object itself, touching it or next to it; often the two change places."""
        angle = rng.uniform(0, 2 * np.pi)
        apart = max(twin.sprite.shape[:2]) * rng.uniform(0.3, 1.1) * np.array([np.cos(angle), 0.6 * np.sin(angle)])
        place = np.clip(np.array(twin.centre) + apart, -0.48 * self._size, 0.48 * self._size)
        sprite = np.ascontiguousarray(twin.sprite[:, ::-1]) if rng.random() < 0.5 else twin.sprite
        copy = self._layer(sprite, rng.uniform(0.8, 1.2), place, tag, rng, soft=0)
        copy.gain = (twin.gain * rng.uniform(0.9, 1.1, 3)).astype(np.float32)
        if self._length > 1 and rng.random() < _CROSSING:
            way = (np.array(twin.centre) - place) * rng.uniform(0.6, 1.6)
            copy.drift, twin.drift = (float(way[0]), float(way[1])), (float(-way[0]), float(-way[1]))
        layers.insert(int(rng.integers(1, len(layers) + 1)), copy)

    # -- material --------------------------------------------------------------------------------------------

    def _any_background(self, rng: np.random.Generator) -> Bytes:
        kind = rng.random()
        if kind < 0.35:
            return _pick(self._sources.backgrounds, rng)
        return _pick(self._sources.segments if kind < 0.8 else self._sources.instances, rng).image

    def _any_object(self, rng: np.random.Generator) -> Bytes:
        """RGBA sprite at source resolution."""
        if rng.random() < _THIN:
            return thin_thing(_pick(self._sources.backgrounds, rng), rng)
        kind = rng.random()
        if kind >= _PASTED_CUTOUT:
            segments = kind < _PASTED_CUTOUT + _PASTED_SEGMENT
            photo = _pick(self._sources.segments if segments else self._sources.instances, rng)
            image, masks = _flip_maybe(photo.image, pick_regions(photo, 1, rng), rng)
            cut = cut_out(image, masks[0]) if masks else None
            if cut is not None:
                return cut[0]
        cutout = _pick(self._sources.cutouts, rng)
        if rng.random() < 0.5:
            cutout = np.ascontiguousarray(cutout[:, ::-1])
        return premultiply(cutout[:, :, :3], cutout[:, :, 3])

    # -- layers ----------------------------------------------------------------------------------------------

    def _canvas(self, image: Bytes, centre: NDArray[np.float64], scale: float, rng: np.random.Generator) -> Layer:
        """The bottom layer: opaque, mirrored at its edges; its motion is the camera's."""
        resized = rescale(image, scale)
        middle = np.array([image.shape[1], image.shape[0]]) / 2
        offset = (middle - centre) * scale
        motion = Motion.draw(rng, self._length, self._size, calm=0.7)
        return Layer(resized, (float(offset[0]), float(offset[1])), motion, 0, draw_elastic(rng))

    def _layer(
        self,
        sprite: Bytes,
        scale: float,
        place: NDArray[np.float64],
        tag: int,
        rng: np.random.Generator,
        soft: float = 0.5,
    ) -> Layer:
        sprite = rescale(sprite, scale)
        sprite = np.pad(sprite, ((3, 3), (3, 3), (0, 0)))
        if soft > 0.35:
            sprite = soften(sprite, soft)
        # Small things are mostly far away, and so seem slow.
        unit = self._size * np.clip(np.sqrt(max(sprite.shape[:2]) / (0.5 * self._size)), 0.5, 1.2)
        motion = Motion.draw(rng, self._length, float(unit))
        smear = float(rng.uniform(0.2, 0.8)) if rng.random() < 0.2 else 0.0
        place_xy = (float(place[0]), float(place[1]))
        return Layer(sprite, place_xy, motion, tag, draw_elastic(rng), smear=smear)

    # -- rendering -------------------------------------------------------------------------------------------

    def _times(self, rng: np.random.Generator) -> Floats:
        low, high = self._gaps.first
        first = np.exp(rng.uniform(np.log(low), np.log(high), 1))
        later = rng.uniform(*self._gaps.later, max(self._length - 2, 0))
        return np.concatenate([[0.0], first, later]).cumsum()[: self._length].astype(np.float32)

    def _render(self, layers: list[Layer], rng: np.random.Generator) -> Clip:
        size, length = self._size, self._length
        times = self._times(rng)
        camera = layers[0].motion.states(times)
        states = [camera, *(layer.motion.states(times) for layer in layers[1:])]
        look = Look.draw(rng, length, self._grain)
        frames = np.empty((length, size, size, 3), np.uint8)
        labels = np.zeros((length, size, size), np.uint8)
        flicker = 1 + rng.normal(0, 0.02, (length, len(layers))).cumsum(0)
        for t in range(length):
            view = affine(camera[t], (0.0, 0.0))
            picture, labels[t] = warp_canvas(layers[0], view, states[0][t], size)
            for index, layer in enumerate(layers[1:], 1):
                if t in layer.hidden:
                    continue
                state = states[index][t].copy()
                state[:2] += np.array(layer.drift) * times[t] / times[-1] if t else 0
                before = states[index][max(t - 1, 0)]
                speed = (state[:2] - before[:2]) / max(float(times[t] - times[t - 1]), 0.5) if t else None
                composite(picture, labels[t], layer, view, state, speed, float(flicker[t, index]))
            frames[t] = look.apply(picture, t, rng)
        return Clip(frames, _renumber(labels))


def _pick(items: Sequence[_Item], rng: np.random.Generator) -> _Item:
    return items[int(rng.integers(len(items)))]


def _flip_maybe(image: Bytes, masks: list[Bytes], rng: np.random.Generator) -> tuple[Bytes, list[Bytes]]:
    if rng.random() < 0.5:
        return image, masks
    return np.ascontiguousarray(image[:, ::-1]), [np.ascontiguousarray(mask[:, ::-1]) for mask in masks]


def _renumber(labels: Bytes) -> Bytes:
    """Tags 1..K for what shows at least `_MIN_VISIBLE` pixels in frame 0, background for everything else."""
    counts = np.bincount(labels[0].ravel(), minlength=256)
    counts[0] = 0
    table = np.zeros(256, np.uint8)
    visible = np.flatnonzero(counts >= _MIN_VISIBLE)
    table[visible] = np.arange(1, visible.size + 1)
    return table[labels]
