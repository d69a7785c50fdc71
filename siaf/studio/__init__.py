"""The studio: draw, commit, propagate and correct in a browser."""
