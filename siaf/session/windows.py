"""Windows: the parts of a frame in which small objects are followed, where the network sees them larger.

A window is a square (left, top, right, bottom) in pixels of the frame; right and bottom are exclusive. Objects that are
near each other share one, so that look-alikes still compete.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from siaf.masks import IndexMask
from siaf.model.probabilities import Window
from siaf.session.shrinking import areas

_OBJECT, _TOGETHER = 3.0, 1.3
"""A window is so many times as wide as the largest of its objects, and as all of them together."""
_LEAST = 160  # pixels; of smaller parts of a frame there is nothing finer to be seen
_FINER = 1.5
"""How much finer than in the whole frame the objects must be seen: less is not worth another pass of the network."""
MOST = 8  # windows of a frame


@dataclass(frozen=True)
class Site:
    """Small objects that are near each other: their `tags`, their `box` in pixels as of a window, and the side of the
    window that they need.
    """

    tags: frozenset[int]
    box: Window
    side: int

    def within(self, window: Window) -> bool:
        """Whether the objects are so far inside a window that they may be looked for there on the next frame."""
        side = window[2] - window[0]
        slack = (side - max(_size(self.box))) / 4
        away = max(abs(a - b) for a, b in zip(_centre(self.box), _centre(window), strict=True))
        return side / 2.1 <= self.side <= side and away <= slack

    def window(self, height: int, width: int, side: int | None = None) -> Window:
        """The window around them in a frame of height × width, of this side, by default their own."""
        side = min(side or self.side, height, width)
        left, top = (
            int(np.clip(round(at - side / 2), 0, most - side))
            for at, most in zip(_centre(self.box), (width, height), strict=True)
        )
        return left, top, left + side, top + side


def widest(seen: int, scale: float) -> int:
    """The widest window worth another pass, in pixels: seen as `seen` pixels; the whole frame is seen at `scale`."""
    return int(seen / (scale * _FINER))


def sites(mask: IndexMask, among: Collection[int], most: int) -> list[Site]:
    """Where the small ones of these objects are in an index mask uint8 H×W: those whose window is at most `most` wide.

    At most eight, the smallest; each object is in one of them.
    """
    found = [(frozenset({tag}), [box]) for tag, box in boxes_of(mask, among).items() if side_for([box]) <= most]
    merged = True
    while merged:
        merged = False
        for i, (tags, boxes) in enumerate(found):
            for j in range(i + 1, len(found)):
                together = boxes + found[j][1]
                if side_for(together) <= max(side_for(boxes), side_for(found[j][1])):
                    found[i] = tags | found[j][0], together
                    del found[j]
                    merged = True
                    break
            if merged:
                break
    chosen = sorted((Site(tags, _around(boxes), side_for(boxes)) for tags, boxes in found), key=_order)
    return chosen[:MOST]


def boxes_of(mask: IndexMask, tags: Collection[int]) -> dict[int, Window]:
    """By tag the box around each of these objects that an index mask uint8 H×W shows, ascending."""
    found = {}
    for tag in areas(mask):
        if tag in tags:
            left, top, width, height = cv2.boundingRect((mask == tag).view(np.uint8))
            found[tag] = left, top, left + width, top + height
    return found


def clusters(boxes: Collection[Window], side: int) -> list[Window]:
    """Boxes around boxes that fit into windows of this side together, in the order in which they are given."""
    left, found = list(boxes), []
    while left:
        part = [left.pop(0)]
        for box in list(left):
            if max(_size(_around([*part, box]))) <= side / _TOGETHER:
                part.append(box)
                left.remove(box)
        found.append(_around(part))
    return found


def side_for(boxes: Sequence[Window]) -> int:
    """Side of the window that objects with these boxes need, pixels; in steps of √2, so that it stays for a while."""
    largest, together = max(max(_size(box)) for box in boxes), max(_size(_around(boxes)))
    wanted = max(_OBJECT * largest, _TOGETHER * together, _LEAST)
    return int(2 ** (np.ceil(np.log2(wanted) * 2) / 2))


def _around(boxes: Sequence[Window]) -> Window:
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def _size(box: Window) -> tuple[int, int]:
    return box[2] - box[0], box[3] - box[1]


def _centre(box: Window) -> tuple[float, float]:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def _order(site: Site) -> tuple[int, int]:
    return site.side, min(site.tags)
