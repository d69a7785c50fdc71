"""Labeled clips in the formats that others train on and measure with."""
