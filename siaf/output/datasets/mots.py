"""MOTS, as MOTSChallenge and KITTI MOTS have it: category × 1000 + object, as a pixel's value in PNGs, and in a line of
text for every object and frame.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from siaf.errors import InputError
from siaf.output.datasets.clip import LabeledClip
from siaf.output.datasets.column_runs import column_runs, compressed

_OBJECTS = 1000
_MOST_CATEGORIES = (2**16 - 1) // _OBJECTS


def write_mots(folder: Path, clip: LabeledClip) -> list[str]:
    """Write instances/%06d.png by frame number (16 bits), instances/labels.txt, and the same masks as run lengths in
    instances_txt/NAME.txt into an empty folder; the notes.

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
    lines: list[str] = []
    for frame in clip.frames:
        mask = clip.index_mask(frame, notes)
        Image.fromarray(values[mask]).save(instances / f"{frame.number:06d}.png")
        for tag in sorted(set(mask[mask > 0].tolist())):
            runs = compressed(column_runs(mask == tag))
            lines.append(f"{frame.number} {values[tag]} {clip.category(tag)} {clip.height} {clip.width} {runs}\n")
    (instances / "labels.txt").write_text("".join(f"{label}\n" for label in clip.labels), "utf-8")
    texts = folder / "instances_txt"
    texts.mkdir()
    (texts / f"{clip.name}.txt").write_text("".join(lines), "utf-8")
    return notes
