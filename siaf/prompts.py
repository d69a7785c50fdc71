"""What a person gives in one round, on any frames and for any objects: strokes, masks and boxes."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from siaf.arguments import boxes_of_frame, by_frame, frame_number, strokes_of_frame
from siaf.boxes import Box
from siaf.masks import IndexMask, as_index_mask, decode_rle
from siaf.scribbles import Scribble, check_scribbles


@dataclass(frozen=True, eq=False)
class ObjectPrompt:
    """What a person gives for one object on a frame: strokes, or its pixels, or a box around it. Tag 0: background.

    `rle`: the pixels as of `siaf.masks.encode_rle`, because many prompts of a large picture may wait for the network.
    """

    tag: int
    strokes: tuple[Scribble, ...] = ()
    rle: Sequence[int] | None = None
    box: Box | None = None


@dataclass(eq=False)
class FramePrompts:
    """What a person gives on one frame. Boxes are by tag.

    `mask` is an index mask, uint8 H×W, that is taken as it is; strokes beside it add to it. `about`: the tags that it
    speaks for, be it that they are absent; None: all that there are. `fixed`: those pixels of the mask that the person
    drew, as an index mask, where the others only were let stand; None: all of them.
    """

    strokes: list[Scribble] = field(default_factory=list)
    boxes: dict[int, Box] = field(default_factory=dict)
    mask: IndexMask | None = None
    about: frozenset[int] | None = None
    fixed: IndexMask | None = None

    def __bool__(self) -> bool:
        return self.draws or self.mask is not None

    @property
    def draws(self) -> bool:
        """Whether the network is asked about the frame: there are strokes or boxes."""
        return bool(self.strokes or self.boxes)

    @property
    def drawn_tags(self) -> set[int]:
        """Objects that the strokes and boxes name."""
        return {stroke.tag for stroke in self.strokes if stroke.tag} | self.boxes.keys()

    @property
    def tags(self) -> set[int]:
        """Objects that strokes and boxes name, or that the mask shows."""
        shown = () if self.mask is None else np.unique(self.mask[self.mask > 0]).tolist()
        return self.drawn_tags.union(shown)

    def add(self, prompt: ObjectPrompt, height: int, width: int) -> None:
        """Take what was given for one object; a mask lies on top of those before it. `height`, `width`: the frame's."""
        if prompt.rle is not None:
            self.own_mask(height, width)[decode_rle(prompt.rle, height=height, width=width)] = prompt.tag
        if prompt.box is not None:
            self.boxes[prompt.tag] = prompt.box
        self.strokes += prompt.strokes

    def own_mask(self, height: int, width: int) -> IndexMask:
        """The mask; one of background, which is then the frame's, if there was none."""
        if self.mask is None:
            self.mask = np.zeros((height, width), np.uint8)
        return self.mask


class Prompts(Mapping[int, FramePrompts]):
    """Everything that is given in one round, by frame."""

    def __init__(self, frames: Mapping[int, FramePrompts] | None = None) -> None:
        self._frames = dict(frames or {})

    @classmethod
    def of(
        cls,
        scribbles: Mapping[int, Sequence[Scribble]] | None = None,
        references: Mapping[int, NDArray[np.generic]] | None = None,
        boxes: Mapping[int, Mapping[int, Box]] | None = None,
        about: Mapping[int, Collection[int]] | None = None,
        *,
        frames: int,
        height: int,
        width: int,
    ) -> "Prompts":
        """The arguments of `Session.interact`, for a video of so many frames of this size.

        Raises InputError naming `scribbles[frame]`, `references[frame]`, `boxes[frame]` or `about[frame]`.
        """
        drawn = by_frame(scribbles, "{frame: [Scribble, …]}", frames, "scribbles")
        framed = by_frame(boxes, "{frame: {tag: (left, top, right, bottom)}}", frames, "boxes")
        masks = by_frame(references, "{frame: index mask}", frames, "references")
        spoken = by_frame(about, "{frame: [tag, …]}", frames, "about")
        given = cls()
        for frame, strokes in drawn.items():
            given.at(frame).strokes = strokes_of_frame(strokes, f"scribbles[{frame}]")
        for frame, by_tag in framed.items():
            given.at(frame).boxes = boxes_of_frame(by_tag, height, width, f"boxes[{frame}]")
        for frame, mask in masks.items():
            given.at(frame).mask = as_index_mask(mask, height=height, width=width, field=f"references[{frame}]")
        for frame, tags in spoken.items():
            given.at(frame).about = frozenset(tags)
        return given

    def checked(self, *, frames: int, height: int, width: int) -> "Prompts":
        """Those of frames on which something is given, for a video of so many frames of this size.

        Raises InputError, as `of`, for what does not fit that video.
        """
        found = Prompts()
        for frame, here in self.items():
            if not here:
                continue
            frame_number(frame, frames, "frame")
            check_scribbles(here.strokes, height=height, width=width, field=f"scribbles[{frame}]")
            boxes = boxes_of_frame(here.boxes, height, width, f"boxes[{frame}]")
            mask = here.mask
            if mask is not None:
                mask = as_index_mask(mask, height=height, width=width, field=f"references[{frame}]")
            found._frames[frame] = FramePrompts(list(here.strokes), boxes, mask, here.about, here.fixed)
        return found

    def at(self, frame: int) -> FramePrompts:
        """A frame's, to add to."""
        return self._frames.setdefault(frame, FramePrompts())

    def __getitem__(self, frame: int) -> FramePrompts:
        return self._frames[frame]

    def __iter__(self) -> Iterator[int]:
        return iter(self._frames)

    def __len__(self) -> int:
        return len(self._frames)

    def __bool__(self) -> bool:
        return any(self._frames.values())

    @property
    def drawn(self) -> dict[int, FramePrompts]:
        """Frames that the network is asked about."""
        return {frame: here for frame, here in self._frames.items() if here.draws}

    @property
    def masks(self) -> dict[int, IndexMask]:
        """Masks that are taken as they are, by frame."""
        return {frame: here.mask for frame, here in self._frames.items() if here.mask is not None}

    @property
    def drawn_tags(self) -> set[int]:
        """Objects that strokes and boxes name."""
        return set().union(*(here.drawn_tags for here in self._frames.values()))

    @property
    def tags(self) -> set[int]:
        """Objects that strokes, boxes and masks name."""
        return set().union(*(here.tags for here in self._frames.values()))
