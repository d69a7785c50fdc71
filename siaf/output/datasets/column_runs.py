"""COCO's run lengths: over the whole frame, column by column, beginning with zeros."""

import numpy as np

from siaf.masks import Bitmap


def column_runs(bitmap: Bitmap) -> list[int]:
    """A bitmap as COCO's uncompressed `counts`."""
    flat = bitmap.ravel(order="F")
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    runs: list[int] = np.diff(changes, prepend=0, append=flat.size).tolist()
    return [0, *runs] if flat[0] else runs
