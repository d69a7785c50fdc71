"""What a job holds that no round took, to tell whether anything changed since a round was taken back."""

from siaf.cvat.job.ledger import Ledger
from siaf.cvat.job.reading import Reading

HELD = (
    "the last round was taken back, and nothing was drawn, changed or deleted since: its scribbles and masks wait for "
    "that, and then count again"
)


def unseen(reading: Reading, ledger: Ledger) -> set[str]:
    """Marks of scribbles, boxes, human masks, deletions and tags that the ledger does not know."""
    found = {stroke.marks[0] for stroke in reading.strokes if not stroke.used(ledger.strokes)}
    found |= {rectangle.mark for rectangle in reading.rectangles if rectangle.mark not in ledger.strokes}
    for key, mask in reading.human.items():
        known = ledger.human.get(key)
        if known is None or known.mark != mask.mark:
            found.add(mask.mark)
    found |= {f"right {frame}" for frame in reading.right.difference(ledger.right)}
    found |= {f"deleted {frame}:{tag}" for frame, tag in reading.missing - ledger.absent}
    return found | {f"deleted {tag}" for tag in reading.gone & ledger.objects.keys()}
