"""The models by name. It loads nothing, so that the command line knows them without torch."""

DEFAULT_PROPAGATION = {"siaf-t": "siaf-t", "siaf-r50": "r50_aotl", "siaf-swinb": "swinb_aotl"}
"""Model name → architecture of its propagation network."""
