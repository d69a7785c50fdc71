"""The models by name. It loads nothing, so that the command line knows them without torch."""

DEFAULT_PROPAGATION = {"siaf-t": "siaf-t", "siaf-r50": "r50_aotl", "siaf-swinb": "swinb_aotl"}
"""Model name → architecture of its propagation network."""

ENGINE_NAMES = ("edgetam", "sam2.1-tiny", "sam2.1-small", "sam2.1-base-plus", "sam2.1-large")
"""Models of other engines (`siaf.weights.engines`)."""
