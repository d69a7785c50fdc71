"""SIAF: interactive video object segmentation from scribbles on several frames."""

from siaf.scribbles import Scribble
from siaf.session import Session
from siaf.video import open_video
from siaf.weights import load_model

__all__ = ["Scribble", "Session", "load_model", "open_video"]
