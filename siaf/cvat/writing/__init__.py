"""Masks into a job: which shapes change, their checks, and scribbles that were used."""
