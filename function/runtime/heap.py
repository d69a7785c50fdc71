"""Free memory goes back to the system.

A session's features, masks and state files come and go in sizes that hardly ever repeat, so that glibc keeps the holes
between them and a worker on a long video grows although it holds no more.
"""

import ctypes
import sys


def give_back() -> None:
    """Return all free pages, also those between blocks in use; nothing where the C library is not glibc."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
