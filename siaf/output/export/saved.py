"""What of a saved session its exports need, as plain data."""

import re
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from siaf.errors import InputError, StateError
from siaf.frames.source import FrameSource
from siaf.masks import IndexMask, index_mask_to_rles
from siaf.output.datasets.clip import LabeledClip, LabeledFrame
from siaf.output.palette import COLOR
from siaf.session.snapshot import SessionMasks
from siaf.session.state_file import read_masks, read_summary

_UNNAMED = "object"
"""The category of objects without a label: what a number would say is in the datasets anyway."""


@dataclass(frozen=True, kw_only=True)
class SavedSession:
    """A state file's masks. `data` is the file, `named` the objects (tag → label, "" = none), `colors` those of them
    with a colour of their own ("#rrggbb"), and `frames` the clip it was made on, None where only masks are needed.
    """

    name: str
    data: bytes
    masks: SessionMasks
    named: Mapping[int, str]
    colors: Mapping[int, str] = field(default_factory=dict)
    frames: FrameSource | None = None

    @property
    def written(self) -> list[int]:
        """Frames that have a mask, ascending: others were never filled, which says nothing of what is on them."""
        return list(self.masks.masks)

    @property
    def labels(self) -> dict[int, str]:
        """Every object's label, as `siaf segment` names those without."""
        return {tag: label or f"object {tag}" for tag, label in self.named.items()}

    def mask(self, frame: int) -> IndexMask:
        """A frame's index mask, uint8 H×W."""
        return self.masks.mask(frame)

    @cached_property
    def labeled(self) -> LabeledClip:
        """The masks as the writers of datasets take them."""
        labels = {tag: label or _UNNAMED for tag, label in self.named.items()}
        return LabeledClip(
            name=_one_word(self.name),
            width=self.masks.width,
            height=self.masks.height,
            frames=[LabeledFrame(n, self._picture(n), self._run_lengths(n)) for n in self.written],
            objects=labels,
            labels=list(dict.fromkeys(labels.values())),
        )

    def notes(self) -> list[str]:
        """What a person should know of what is not there."""
        missing = sorted({*range(self.masks.frames)} - {*self.written})
        if not missing:
            return []
        return [f"{len(missing)} frames have no masks yet and are left out (the first is {missing[0]}): propagate them"]

    def _picture(self, frame: int) -> str:
        names = None if self.frames is None else self.frames.names
        return f"{frame:05d}.jpg" if names is None else names[frame]

    def _run_lengths(self, frame: int) -> dict[int, Sequence[int]]:
        # Lists of Python's numbers are nine times as large, and a long clip has millions of them.
        return {tag: array("i", points) for tag, points in index_mask_to_rles(self.mask(frame)).items()}


def _one_word(name: str) -> str:
    """A sequence's name as lists and folders of datasets can hold it."""
    return re.sub(r"[^\w.-]+", "-", name).strip(".-") or "clip"


def read_saved(
    data: bytes,
    *,
    name: str,
    file: str = "state",
    frames: FrameSource | None = None,
    colors: Mapping[int, str] | None = None,
) -> SavedSession:
    """A state file's content. `name` is the clip's, for datasets; `file` is what errors call the file; `colors` of
    objects, by default those that the file has.

    Raises StateError if it is no state file, or not one of `frames`.
    """
    summary = read_summary(data, file)
    masks = read_masks(data, file)
    if frames is not None:
        for key, here in (("frames", len(frames)), ("height", frames.height), ("width", frames.width)):
            if getattr(summary, key) != here:
                raise StateError(f"{key}: the state has {getattr(summary, key)}, the video {here}", field=file)
        changed = [frame for frame, digest in summary.digests.items() if not frames.shows(frame, digest)]
        if changed:
            raise StateError(f"frame {changed[0]} of the video is not the one that was annotated", field=file)
    named = {known.tag: known.label or "" for known in summary.objects}
    for frame in masks.masks:  # a file of masks alone names no objects
        named |= {int(tag): "" for tag in np.unique(masks.mask(frame)) if tag and int(tag) not in named}
    if colors is None:
        notes = {known.tag: known.origin.get(COLOR, "") for known in summary.objects}
        colors = {tag: note for tag, note in notes.items() if re.fullmatch("#[0-9a-fA-F]{6}", note)}
    return SavedSession(
        name=name, data=data, masks=masks, named=dict(sorted(named.items())), colors=colors, frames=frames
    )


def read_saved_file(path: Path, frames: FrameSource | None = None) -> SavedSession:
    """A state file, called after itself. Raises InputError if it cannot be read, StateError as `read_saved`."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(error.strerror or str(error), field=str(path)) from None
    return read_saved(data, name=path.stem, file=str(path), frames=frames)
