"""Objects that a round made vanish or shrink on frames where they were: what a labeler should look at."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from siaf.masks import IndexMask

Areas = Mapping[int, int]
"""Pixels by tag on one frame; a tag that is absent is missing or 0."""

LEAST = 0.0005
"""Share of the frame below which an object is too small to be missed."""


@dataclass(frozen=True)
class Shrunk:
    """Frames, ascending, on which an object lost more than half of its pixels, or (`gone`) all of them."""

    tag: int
    gone: bool
    frames: tuple[int, ...]

    def __str__(self) -> str:
        what = "is gone" if self.gone else "is less than half of what it was"
        return f"object {self.tag} {what} on {ranges(self.frames)}"


def areas(mask: IndexMask) -> dict[int, int]:
    """Pixels by tag of an index mask, without the background."""
    flat = mask.ravel()
    starts = np.append(0, np.flatnonzero(flat[1:] != flat[:-1]) + 1)
    # Of runs, not of pixels: objects have few, and a frame of 1080p takes 1 ms instead of 26.
    counts = np.bincount(flat[starts], weights=np.diff(starts, append=flat.size))
    return {int(tag): int(counts[tag]) for tag in np.flatnonzero(counts) if tag}


def losses(before: Areas, now: Areas, pixels: int) -> dict[int, bool]:
    """Tags that lost more than half of their area in a frame of `pixels` pixels; True for those that are gone."""
    return {
        tag: not now.get(tag, 0)
        for tag, size in sorted(before.items())
        if size >= LEAST * pixels and now.get(tag, 0) < size / 2
    }


def summarise(by_frame: Mapping[int, Mapping[int, bool]]) -> list[Shrunk]:
    """Frame → what `losses` found there, as one entry for every object and kind of loss, in order of tags."""
    found: dict[tuple[int, bool], list[int]] = {}
    for frame, lost in sorted(by_frame.items()):
        for tag, gone in lost.items():
            found.setdefault((tag, gone), []).append(frame)
    return [Shrunk(tag, gone, tuple(frames)) for (tag, gone), frames in sorted(found.items())]


def ranges(frames: Iterable[int]) -> str:
    """Ascending frame numbers for people: 39–49, 52."""
    runs: list[list[int]] = []
    for frame in frames:
        if runs and frame == runs[-1][1] + 1:
            runs[-1][1] = frame
        else:
            runs.append([frame, frame])
    return ", ".join(str(first) if first == last else f"{first}–{last}" for first, last in runs)
