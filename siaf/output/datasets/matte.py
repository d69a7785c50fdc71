"""Mattes for compositing: one grey picture per object and frame, white where the object is."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from siaf.masks import decode_rle
from siaf.output.datasets.clip import LabeledClip

_HARD = "mattes are 0 or 255: edges are as the masks have them, neither soft nor with motion blur"


def write_matte(folder: Path, clip: LabeledClip) -> list[str]:
    """Write OBJECT/%05d.png by frame number (8 bits, 0 or 255) and the objects' labels in objects.json into an empty
    folder; the notes. An object has a picture of every frame, black where it is not, so that sequences have no gaps.
    """
    for tag in clip.objects:
        (folder / str(tag)).mkdir()
    for frame in clip.frames:
        for tag in clip.objects:
            alpha = np.zeros((clip.height, clip.width), np.uint8)
            if tag in frame.masks:
                alpha[decode_rle(frame.masks[tag], height=clip.height, width=clip.width)] = 255
            Image.fromarray(alpha).save(folder / str(tag) / f"{frame.number:05d}.png")
    labels = {str(tag): label for tag, label in sorted(clip.objects.items())}
    (folder / "objects.json").write_text(json.dumps(labels), "utf-8")
    return [_HARD]
