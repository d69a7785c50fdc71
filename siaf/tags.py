"""Numbers of objects."""

MAX_TAG = 255
"""The largest; 0 is background. An index mask holds one in a byte."""
