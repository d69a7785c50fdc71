"""Masks that siaf made and somebody brought into a job by a file: siaf's own again if its session says so."""

import numpy as np

from siaf.cvat.job.clip import JobClip
from siaf.cvat.job.ledger import Ledger, OwnShape
from siaf.cvat.job.reading import HumanMask, Reading
from siaf.session.snapshot import SessionMasks

_MANY = 0.5
"""Share of a job's frames from which masks look imported rather than drawn."""


def adopt_equal_masks(reading: Reading, ledger: Ledger, results: SessionMasks, clip: JobClip) -> int:
    """Make masks that equal the session's own its own in `reading` and `ledger`; how many there were.

    Only masks that no round took and nothing stands beside: a second one of the same object was drawn on purpose.
    """
    own = {(ledger.shapes[number].frame, ledger.shapes[number].tag) for number in reading.own}
    unknown: dict[tuple[int, int], list[HumanMask]] = {}
    for mask in reading.human.values():
        unknown.setdefault((mask.frame, mask.tag), []).append(mask)
    adopted = 0
    for (frame, tag), masks in unknown.items():
        mask, known = masks[0], ledger.objects.get(tag)
        if len(masks) > 1 or (frame, tag) in own or known is None or known.label != mask.label or not _is_shape(mask):
            continue
        number = int(mask.key[1:])
        if number in ledger.shapes or mask.key in ledger.human:  # a human changed or drew it here
            continue
        if np.array_equal(mask.bitmap(clip), results.mask(clip.to_clip(frame)) == tag):
            ledger.shapes[number] = OwnShape(frame, tag, mask.mark)
            reading.own.add(number)
            del reading.human[mask.key]
            adopted += 1
    return adopted


def imported_frames(reading: Reading, ledger: Ledger, clip: JobClip) -> int:
    """On how many frames masks are that no round took, if that is so many that they look imported; else 0."""
    frames = {mask.frame for mask in reading.human.values() if mask.key not in ledger.human}
    shown = sum(clip.shows(frame) for frame in clip.frames)
    return len(frames) if len(frames) > 2 and len(frames) >= _MANY * shown else 0


def _is_shape(mask: HumanMask) -> bool:
    return mask.key.startswith("s") and mask.figure is not None and mask.figure["type"] == "mask"
