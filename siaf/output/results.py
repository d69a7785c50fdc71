"""What the writers of this package need to know about a finished session, as plain data."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from siaf.frames.source import FrameSource
from siaf.masks import IndexMask
from siaf.scribbles import Scribble

Areas = dict[int, dict[int, int]]
"""Frame → tag → number of pixels; a tag that is absent from a frame is missing."""


class Interaction(Protocol):
    """One round: strokes by frame, and the frames whose mask a human gave."""

    @property
    def scribbles(self) -> Mapping[int, Sequence[Scribble]]: ...
    @property
    def references(self) -> Collection[int]: ...


@dataclass(frozen=True, kw_only=True)
class Results:
    """A segmented video.

    `mask(frame)` gives an index mask, uint8 H×W, whose tags all have a name in `labels`. `confidence` is
    frame → tag → 0 to 1, for propagated frames. `suggested` are the frames most worth annotating next, best
    first. `name` and `model` are for the reader: the video's file name, for instance, and "siaf-t". `notes` are lines
    for a person, of what was left out; the writers add theirs. `written` are the frames that masks, overlay and
    annotations hold, ascending; None: all.
    """

    name: str
    frames: FrameSource
    mask: Callable[[int], IndexMask]
    labels: Mapping[int, str]
    rounds: Sequence[Interaction] = ()
    confidence: Mapping[int, Mapping[int, float]] = field(default_factory=dict)
    suggested: Sequence[int] = ()
    model: str = ""
    notes: list[str] = field(default_factory=list)
    written: Sequence[int] | None = None

    def __post_init__(self) -> None:
        # A file name may hold characters that neither XML nor HTML can.
        object.__setattr__(self, "name", printable(self.name))
        object.__setattr__(self, "labels", {tag: printable(self.labels[tag]) for tag in sorted(self.labels)})

    @property
    def numbers(self) -> Sequence[int]:
        """Frames to write, in order."""
        return range(len(self.frames)) if self.written is None else self.written

    @property
    def mask_names(self) -> list[str]:
        """File names of the masks: after the pictures if the frames have names, else by number."""
        names = self.frames.names
        if names is None:
            return [f"{n:05d}.png" for n in range(len(self.frames))]
        return [f"{Path(name).stem}.png" for name in names]

    @property
    def interacted(self) -> dict[int, list[int]]:
        """Frame → rounds (from 1) in which a user annotated it, by frame."""
        found: dict[int, list[int]] = {}
        for number, interaction in enumerate(self.rounds, 1):
            for frame in {*interaction.scribbles, *interaction.references}:
                found.setdefault(frame, []).append(number)
        return dict(sorted(found.items()))


def printable(text: str) -> str:
    """Text without the characters that XML and HTML cannot hold."""
    return "".join(c if c.isprintable() else "?" for c in text)
