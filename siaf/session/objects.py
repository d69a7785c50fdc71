"""The object table: which tags exist, and where each lives in the slots of the network's passes."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from siaf.errors import InputError
from siaf.masks import MAX_TAG
from siaf.model.config import MAX_TAGS

MAX_PLACES = 2 * MAX_TAG
"""Tags and freed places of a session: ten more are another pass of the network."""


@dataclass
class ObjectInfo:
    """What is known of an object. `label` is free text (a CVAT label name, say); `origin` is the caller's own note."""

    tag: int
    label: str | None = None
    origin: dict[str, str] = field(default_factory=dict)


class ObjectTable:
    """Tags in groups of as many as a network takes in one pass: `per_pass`, at most ten. A tag keeps its place for
    good, so that memories written earlier stay readable.

    The network sees *slots* 1…10 of a *group*; the 11th object opens a second group, which costs a second pass.
    """

    def __init__(self) -> None:
        self._places: list[int | None] = []
        self._info: dict[int, ObjectInfo] = {}

    @property
    def tags(self) -> list[int]:
        """Existing tags, ascending."""
        return sorted(self._info)

    def groups(self, per_pass: int = MAX_TAGS) -> int:
        """Number of network passes that all objects need, of at most `per_pass` objects each."""
        return max(1, -(-len(self._places) // per_pass))

    def __contains__(self, tag: int) -> bool:
        return tag in self._info

    def __getitem__(self, tag: int) -> ObjectInfo:
        try:
            return self._info[tag]
        except KeyError:
            raise InputError(f"there is no object with tag {tag}", field="tag") from None

    def add(self, tag: int, label: str | None = None, origin: dict[str, str] | None = None) -> ObjectInfo:
        """Add a tag (1…255), or return it if it exists. A freed place is never given to another tag."""
        if not 1 <= tag <= MAX_TAG:
            raise InputError(f"must be 1 to {MAX_TAG}, not {tag}", field="tag")
        if tag not in self._info:
            if tag not in self._places:
                if len(self._places) >= MAX_PLACES:
                    raise InputError(f"{MAX_PLACES} objects were added and removed, no more have a place", field="tag")
                self._places.append(tag)
            self._info[tag] = ObjectInfo(tag, label, origin or {})
        elif label is not None:
            self._info[tag].label = label
        return self._info[tag]

    def remove(self, tag: int) -> None:
        """Forget a tag; its place stays empty."""
        del self._info[self[tag].tag]

    def discard(self, tag: int) -> None:
        """Forget a tag if it is there."""
        self._info.pop(tag, None)

    def copy(self) -> "ObjectTable":
        """An independent table."""
        return ObjectTable.restore(self._places, map(replace, self._info.values()))

    def places(self) -> list[int | None]:
        """Tags by place, None where the object was removed: what a state file keeps."""
        return [tag if tag in self._info else None for tag in self._places]

    @classmethod
    def restore(cls, places: Iterable[int | None], info: Iterable[ObjectInfo]) -> "ObjectTable":
        """The inverse of `places`."""
        table = cls()
        table._places = list(places)
        table._info = {entry.tag: entry for entry in info}
        return table

    def slots(self, group: int, per_pass: int = MAX_TAGS) -> dict[int, int]:
        """slot (1…`per_pass`) → tag, for the tags of a group that still exist."""
        part = self._places[group * per_pass : (group + 1) * per_pass]
        return {slot: tag for slot, tag in enumerate(part, 1) if tag is not None and tag in self._info}

    def channels(self, per_pass: int = MAX_TAGS) -> tuple[list[list[int]], NDArray[np.uint8]]:
        """Slots in use by group, and the tag of every merged channel (siaf.model.identity; channel 0 = background)."""
        groups = [self.slots(g, per_pass) for g in range(self.groups(per_pass))]
        return [list(g) for g in groups], np.array([0, *(tag for g in groups for tag in g.values())], np.uint8)

    def to_slots(self, mask: NDArray[np.uint8], per_pass: int = MAX_TAGS) -> NDArray[np.uint8]:
        """Index mask H×W of tags → uint8 groups×H×W of slots; a pixel of another group's object is background."""
        tables = np.zeros((self.groups(per_pass), MAX_TAG + 1), np.uint8)
        for group, table in enumerate(tables):
            for slot, tag in self.slots(group, per_pass).items():
                table[tag] = slot
        return tables[:, mask]
