"""Objects of annotated photos: choosing regions, cutting them out."""

import cv2
import numpy as np
from numpy.typing import NDArray

from siaf.training.sources import AnnotatedPhoto

Bytes = NDArray[np.uint8]
_MERGED = 0.5
"""How often regions of a full segmentation are joined with neighbours, so that objects are not only parts."""
_RIDDEN = 0.25
"""How often an instance is joined with one that touches it: users also mean a horse with its rider."""


def pick_regions(photo: AnnotatedPhoto, count: int, rng: np.random.Generator) -> list[Bytes]:
    """Up to `count` disjoint object masks (uint8 0/1 [H, W]) of one annotation, larger ones more likely."""
    index_map = photo.maps[0] if rng.random() < 0.7 else photo.maps[-1]
    areas = np.bincount(index_map.ravel()) / index_map.size
    if photo.has_background:
        areas[0] = 0
    usable = np.flatnonzero((areas > 0.004) & (areas < 0.5))
    if not usable.size:
        return []
    # What the photo's border cuts is a part of something, or scenery; prefer what is seen whole.
    border = np.concatenate([index_map[0], index_map[-1], index_map[:, 0], index_map[:, -1]])
    side = np.sqrt(areas * index_map.size) + 1e-6
    wholeness = 1 / (1 + 2 * np.bincount(border, minlength=areas.size) / side)
    weights = np.sqrt(areas[usable]) * wholeness[usable]
    chosen = rng.choice(usable, min(count, usable.size), replace=False, p=weights / weights.sum())
    taken = {int(c) for c in chosen}
    groups = [[int(c)] for c in chosen]
    if rng.random() < (_RIDDEN if photo.has_background else _MERGED):
        touching = _contacts(index_map, len(areas))
        if photo.has_background:
            touching[0] = touching[:, 0] = 0
        # A part shares much of its outline with the rest of its object, scenery little of its own.
        attraction = touching / (touching.sum(0) + 1e-6) * wholeness
        for group in groups:
            _grow(group, taken, attraction, areas, 1 if photo.has_background else int(rng.integers(1, 6)), rng)
    masks = []
    for group in groups:
        table = np.zeros(256, np.uint8)
        table[group] = 1
        masks.append(cv2.LUT(index_map, table).astype(np.uint8, copy=False))
    return masks


def _contacts(index_map: Bytes, count: int) -> NDArray[np.float64]:
    """Length of the common boundary of every two regions, float64 [count, count]."""
    below = index_map[:-1].astype(np.int32) * count + index_map[1:]
    beside = index_map[:, :-1].astype(np.int32) * count + index_map[:, 1:]
    pairs = np.concatenate([below.ravel(), beside.ravel()])
    table = np.bincount(pairs, minlength=count * count)
    matrix = table.reshape(count, count).astype(np.float64)
    matrix += matrix.T
    np.fill_diagonal(matrix, 0)
    return matrix


def _grow(
    group: list[int],
    taken: set[int],
    attraction: NDArray[np.float64],
    areas: NDArray[np.float64],
    more: int,
    rng: np.random.Generator,
) -> None:
    """Add up to `more` regions that `attraction` [member, region] favours, up to 40 % of the photo."""
    for _ in range(more):
        reach = attraction[group].sum(0)
        reach[[*taken]] = 0
        reach[areas[group].sum() + areas > 0.4] = 0
        if not reach.any():
            return
        added = int(rng.choice(reach.size, p=reach / reach.sum()))
        group.append(added)
        taken.add(added)


def cut_out(image: Bytes, mask: Bytes) -> tuple[Bytes, NDArray[np.float64]] | None:
    """Premultiplied RGBA sprite of the masked pixels and the middle of its box (x, y)."""
    x, y, w, h = cv2.boundingRect(mask)
    if w < 4 or h < 4:
        return None
    part = (slice(y, y + h), slice(x, x + w))
    sprite = premultiply(np.ascontiguousarray(image[part]), np.ascontiguousarray(mask[part]) * np.uint8(255))
    return sprite, np.array([x + w / 2, y + h / 2])


def premultiply(image: Bytes, alpha: Bytes) -> Bytes:
    colour = cv2.multiply(image, cv2.merge([alpha, alpha, alpha]), scale=1 / 255)
    return cv2.merge([colour, alpha]).astype(np.uint8, copy=False)
