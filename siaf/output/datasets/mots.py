"""MOTS PNGs, as MOTSChallenge and KITTI MOTS have them: a pixel's value is category × 1000 + object."""

from pathlib import Path

import numpy as np
from PIL import Image

from siaf.errors import InputError
from siaf.output.datasets.clip import LabeledClip

_OBJECTS = 1000
_MOST_CATEGORIES = (2**16 - 1) // _OBJECTS


def write_mots(folder: Path, clip: LabeledClip) -> list[str]:
    """Write instances/%06d.png by frame number (16 bits) and instances/labels.txt into an empty folder; the notes.

    Raises InputError for more labels than 16 bits have room for.
    """
    if len(clip.labels) > _MOST_CATEGORIES:
        raise InputError(f"MOTS holds {_MOST_CATEGORIES} labels at most, not {len(clip.labels)}", field="as")
    instances = folder / "instances"
    instances.mkdir()
    values = np.zeros(256, np.uint16)
    for tag in clip.objects:
        values[tag] = clip.category(tag) * _OBJECTS + tag
    notes: list[str] = []
    for frame in clip.frames:
        Image.fromarray(values[clip.index_mask(frame, notes)]).save(instances / f"{frame.number:06d}.png")
    (instances / "labels.txt").write_text("".join(f"{label}\n" for label in clip.labels), "utf-8")
    return notes
