"""Weights: files of ours and of others, where to get them, and the way from a name to a loaded model."""

from siaf.weights.files import file_digest, load_part, read_weights, save_weights, weights_info
from siaf.weights.loading import MODELS, build_model, load_model, packaged_weights

__all__ = [
    "MODELS",
    "build_model",
    "file_digest",
    "load_model",
    "load_part",
    "packaged_weights",
    "read_weights",
    "save_weights",
    "weights_info",
]
