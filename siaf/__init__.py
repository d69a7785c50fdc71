"""SIAF: interactive video object segmentation from scribbles on several frames."""

from siaf.frames.source import open_video
from siaf.scribbles import Scribble
from siaf.session.session import Session
from siaf.weights import load_model

__all__ = ["Scribble", "Session", "load_model", "open_video"]
