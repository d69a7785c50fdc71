"""What a round was, and how a session stood before it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from siaf.boxes import Box
from siaf.masks import IndexMask
from siaf.prompts import Prompts
from siaf.scribbles import Scribble
from siaf.session.adaptation import Decoder
from siaf.session.confidence import Confidence
from siaf.session.mask_store import MaskStore
from siaf.session.objects import ObjectTable
from siaf.session.shrinking import areas
from siaf.session.stroke_slots import honour_strokes


@dataclass
class Annotations:
    """All that a user's actions have led to; propagated masks and memories follow from it.

    `masks`: index masks of the interacted frames. `interacted`: frame → round that touched it last. `annotated_tags`:
    frame → tags that its mask speaks for (an object added later is not among them until it was looked for). `human`:
    frames whose whole mask a human made or saw. `adopted`: frame → those of its tags that were carried there in this
    round. `decoder`: what came of adapting the network to such masks, if that was asked for.
    """

    masks: MaskStore
    annotated_tags: dict[int, frozenset[int]]
    interacted: dict[int, int]
    human: frozenset[int]
    objects: ObjectTable
    adopted: dict[int, frozenset[int]] = field(default_factory=dict)
    decoder: Decoder | None = None

    @classmethod
    def none(cls, height: int, width: int) -> "Annotations":
        """Those of a session that nobody has drawn in, on frames of height × width."""
        return cls(MaskStore(height, width), {}, {}, frozenset(), ObjectTable())

    def copy(self) -> "Annotations":
        """An independent copy."""
        return Annotations(
            self.masks.copy(),
            dict(self.annotated_tags),
            dict(self.interacted),
            self.human,
            self.objects.copy(),
            dict(self.adopted),
            self.decoder,
        )

    def take_round(
        self, number: int, given: Prompts, result: Mapping[int, IndexMask], propagated: Mapping[int, Confidence]
    ) -> None:
        """A round's masks become those of its frames. `propagated`: by frame, the tags that were looked for there."""
        everything = frozenset(self.objects.tags)
        for frame, mask in result.items():
            here = given[frame]
            named = frozenset(here.drawn_tags)
            if here.mask is not None:
                named |= everything if here.about is None else here.about
            before = self.annotated_tags.get(frame, frozenset(propagated.get(frame, ())))
            self.annotated_tags[frame] = (before | named) & everything
            self.masks[frame] = mask
            self.interacted[frame] = number
        spoken = {f: everything if (own := given[f].about) is None else own for f in given.masks}
        whole = {f for f, mask in given.masks.items() if spoken[f].issuperset(np.unique(mask[mask > 0]).tolist())}
        # Strokes draw what nobody has seen yet.
        self.human = (self.human - given.masks.keys() | whole) - given.drawn.keys()

    def forget(self, tag: int) -> None:
        """There is no such object, and no mask speaks for it; pixels that it may have stay."""
        self.objects.discard(tag)
        self.annotated_tags = {frame: tags - {tag} for frame, tags in self.annotated_tags.items()}
        self.adopted = {frame: tags - {tag} for frame, tags in self.adopted.items()}

    def erase(self, tag: int) -> None:
        """As `forget`; its pixels become background."""
        self.forget(tag)
        erase_other_tags(self.masks, keep=self.objects.tags)

    def adopt(self, frame: int, found: IndexMask, tags: frozenset[int], drawn: Sequence[Scribble]) -> None:
        """Take objects that were annotated elsewhere into an interacted frame's mask, on its background only.

        What the interaction network guessed of them there gives way; what the user said of other objects stays, as do
        the strokes that were `drawn` there last.
        """
        mask = self.masks[frame]
        free = (mask == 0) | np.isin(mask, list(tags))
        mask = np.where(free, np.where(np.isin(found, list(tags)), found, 0), mask).astype(np.uint8)
        self.masks[frame] = honour_strokes(mask, drawn) if drawn else mask

    def take_over(self, frame: int, tags: frozenset[int]) -> None:
        """The frame's mask now shows these tags as they were carried there."""
        self.adopted[frame] = self.adopted.get(frame, frozenset()) | (tags - self.annotated_tags[frame])
        self.annotated_tags[frame] |= tags

    def let_go(self) -> None:
        """What was carried is to be carried again, as its source may change; the masks stay until then."""
        for frame, tags in self.adopted.items():
            self.annotated_tags[frame] -= tags
        self.adopted = {}

    def forget_adopted(self) -> None:
        """As `let_go`, and the masks lose it too: it may not come again."""
        for frame, tags in self.adopted.items():
            mask = self.masks[frame]
            self.masks[frame] = np.where(np.isin(mask, list(tags)), 0, mask).astype(np.uint8)
        self.let_go()


@dataclass
class Round:
    """What the user gave in one round: strokes by frame, frames given as masks, boxes by frame and tag; and the
    annotations before it, for undo.
    """

    scribbles: dict[int, list[Scribble]]
    references: list[int]
    before: Annotations
    boxes: dict[int, dict[int, Box]] = field(default_factory=dict)

    @classmethod
    def of(cls, given: Prompts, before: Annotations) -> "Round":
        """What was given, without the masks themselves."""
        strokes = {frame: here.strokes for frame, here in given.drawn.items()}
        boxes = {frame: here.boxes for frame, here in given.drawn.items() if here.boxes}
        return cls(strokes, sorted(given.masks), before, boxes)

    def erase(self, tag: int) -> None:
        """An undo does not bring this object back, nor does a later one of the same tag find its strokes."""
        self.before.erase(tag)
        for frame, strokes in self.scribbles.items():
            self.scribbles[frame] = [stroke for stroke in strokes if stroke.tag != tag]
        for boxes in self.boxes.values():
            boxes.pop(tag, None)


def erase_other_tags(store: MaskStore, keep: list[int]) -> list[int]:
    """Make pixels of all tags but `keep` background, in every mask; the frames that had some."""
    changed = []
    for frame in store:
        mask = store[frame]
        gone = areas(mask).keys() - set(keep)
        if gone:
            store[frame] = np.where(np.isin(mask, list(gone)), 0, mask).astype(np.uint8)
            changed.append(frame)
    return changed
