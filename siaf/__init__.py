"""SIAF: interactive video object segmentation from scribbles on several frames."""

import os
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from siaf.frames.source import open_video
    from siaf.scribbles import Scribble
    from siaf.session.session import Session
    from siaf.weights import load_model

# Read when torch loads its OpenMP library. By default a thread that is done spins until the others are, and takes the
# processor from them where something else wants it, too (docs/performance.md).
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

__all__ = ["Scribble", "Session", "load_model", "open_video"]

_HOMES = {
    "Scribble": "siaf.scribbles",
    "Session": "siaf.session.session",
    "load_model": "siaf.weights",
    "open_video": "siaf.frames.source",
}


def __getattr__(name: str) -> object:
    """A public name, from its module when it is first asked for: torch takes seconds to load, `siaf --help` none."""
    if name not in _HOMES:
        raise AttributeError(f"module 'siaf' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
