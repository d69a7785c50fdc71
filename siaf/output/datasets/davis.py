"""DAVIS 2017: palette PNGs of a sequence, in which a pixel's value is its object."""

import json
from pathlib import Path

from siaf.output.datasets.clip import LabeledClip
from siaf.output.palette import write_mask_png


def write_davis(folder: Path, clip: LabeledClip) -> list[str]:
    """Write Annotations/Full-Resolution/NAME/%05d.png by frame number, the sequence's name in ImageSets/2017/train.txt
    and the objects' labels in davis_semantics.json into an empty folder; the notes.
    """
    sequence = folder / "Annotations" / "Full-Resolution" / clip.name
    sequence.mkdir(parents=True)
    notes: list[str] = []
    for frame in clip.frames:
        write_mask_png(sequence / f"{frame.number:05d}.png", clip.index_mask(frame, notes))
    sets = folder / "ImageSets" / "2017"
    sets.mkdir(parents=True)
    (sets / "train.txt").write_text(f"{clip.name}\n", "utf-8")
    labels = {clip.name: {str(tag): label for tag, label in sorted(clip.objects.items())}}
    (folder / "davis_semantics.json").write_text(json.dumps(labels), "utf-8")
    return notes
