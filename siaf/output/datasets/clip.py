"""What the writers of this package need to know about a labeled clip, as plain data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from siaf.masks import IndexMask, rles_to_index_mask


@dataclass(frozen=True)
class LabeledFrame:
    """A frame: its number, its picture's file name, and its masks.

    `masks` are CVAT run lengths (`siaf.masks`) by object, from bottom to top; none of them is empty.
    """

    number: int
    picture: str
    masks: Mapping[int, Sequence[int]]


@dataclass(frozen=True, kw_only=True)
class LabeledClip:
    """Frames of one size, ascending by number, and the objects in them.

    `objects`: object (1 to 255) → label. `labels`: all labels that objects may have; a label's category is its place
    among them, from 1.
    """

    name: str
    width: int
    height: int
    frames: Sequence[LabeledFrame]
    objects: Mapping[int, str]
    labels: Sequence[str]

    def category(self, tag: int) -> int:
        """The category of an object."""
        return self.labels.index(self.objects[tag]) + 1

    def index_mask(self, frame: LabeledFrame, notes: list[str]) -> IndexMask:
        """A frame's objects as one mask; `notes` gets a line about those that lie wholly under others."""
        mask = rles_to_index_mask(frame.masks, height=self.height, width=self.width)
        hidden = sorted(frame.masks.keys() - set(mask[mask > 0].tolist()))
        if hidden:
            which = " and ".join(map(str, hidden))
            notes.append(f"frame {frame.number}: object {which} lies wholly under others, and a pixel has one object")
        return mask
