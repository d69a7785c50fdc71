"""COCO's run lengths: over the whole frame, column by column, beginning with zeros."""

from collections.abc import Sequence

import numpy as np

from siaf.masks import Bitmap


def column_runs(bitmap: Bitmap) -> list[int]:
    """A bitmap as COCO's uncompressed `counts`."""
    flat = bitmap.ravel(order="F")
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    runs: list[int] = np.diff(changes, prepend=0, append=flat.size).tolist()
    return [0, *runs] if flat[0] else runs


def compressed(counts: Sequence[int]) -> str:
    """COCO's `counts` as its short text: from the third on the difference to the last but one, five bits a character,
    the lowest first, with a sixth for "there is more".
    """
    text = []
    for i, count in enumerate(counts):
        left = count - counts[i - 2] if i > 2 else count
        more = True
        while more:
            bits, left = left & 0x1F, left >> 5
            more = left != (-1 if bits & 0x10 else 0)
            text.append(chr(48 + (bits | 0x20 if more else bits)))
    return "".join(text)
